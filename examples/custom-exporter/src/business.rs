//! A business, whose numbers are random here and would come from a database.

use prometheus::{Gauge, GaugeVec, IntCounter, Opts, Registry};
use rand::RngExt;

const REGIONS: [&str; 4] = ["us-east", "us-west", "europe", "asia"];
const PRODUCTS: [&str; 3] = ["premium", "standard", "basic"];

pub struct Business {
    sales: IntCounter,
    revenue: Gauge,
    satisfaction: GaugeVec,
}

impl Business {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let satisfaction = Opts::new(
            "business_customer_satisfaction_score",
            "Satisfaction of customers, 1 to 5.",
        );
        let business = Business {
            sales: IntCounter::new("business_sales_total", "Sales.")?,
            revenue: Gauge::new("business_revenue_dollars", "Revenue of the day in dollars.")?,
            satisfaction: GaugeVec::new(satisfaction, &["region", "product"])?,
        };
        registry.register(Box::new(business.sales.clone()))?;
        registry.register(Box::new(business.revenue.clone()))?;
        registry.register(Box::new(business.satisfaction.clone()))?;
        Ok(business)
    }

    pub fn measure(&self) {
        let mut rng = rand::rng();
        if rng.random_bool(0.3) {
            self.sales.inc();
        }
        self.revenue.set(rng.random_range(100_000.0..=150_000.0));
        for region in REGIONS {
            for product in PRODUCTS {
                let score = rng.random_range(3.5..=5.0);
                self.satisfaction
                    .with_label_values(&[region, product])
                    .set(score);
            }
        }
    }
}
