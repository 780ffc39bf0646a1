//! `demo-orders`: a shop that sells.

use rand::RngExt;

use super::{DURATION, FAILURE_RATE, REGIONS, SEED, Simulation, pick};
use crate::job::builtin::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Counts simulated orders, and their revenue, by region and product.
pub struct Orders;

const PARAMS: &[Param] = &[
    Param {
        name: "orders",
        default: Some("40"),
        help: "How many orders there are in a run at most; there are at least half as many",
    },
    DURATION,
    FAILURE_RATE,
    SEED,
];

/// The products, and what one of each costs in euros: in binary fractions, so that sums are exact.
const PRODUCTS: [(&str, f64); 3] = [("coffee", 12.5), ("grinder", 89.0), ("machine", 449.0)];

/// How many pieces an order has at most.
const MAX_PIECES: u32 = 3;

const LABELS: [&str; 2] = ["region", "product"];

impl Builtin for Orders {
    fn name(&self) -> &'static str {
        "demo-orders"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        Ok(Box::new(Shop(Simulation::read(&params, "orders")?)))
    }
}

struct Shop(Simulation);

impl Task for Shop {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let orders = context.counters(
            "orders_total",
            "Simulated orders, by region and product.",
            &LABELS,
        )?;
        let revenue = context.counters(
            "revenue_euros_total",
            "What the simulated orders brought in, by region and product.",
            &LABELS,
        )?;
        // All series are there from the first run on, so that each increase is seen.
        for region in REGIONS {
            for (product, _) in PRODUCTS {
                orders.with_label_values(&[region, product]);
                revenue.with_label_values(&[region, product]);
            }
        }
        let failure = "the payment service stopped answering";
        self.0.run(context, "orders", failure, |random| {
            let region = *pick(random, &REGIONS);
            let (product, price) = *pick(random, &PRODUCTS);
            let pieces = f64::from(random.random_range(1..=MAX_PIECES));
            orders.with_label_values(&[region, product]).inc();
            revenue
                .with_label_values(&[region, product])
                .inc_by(price * pieces);
        })
    }
}
