//! Services elsewhere, whose state is random here, and connections to them.

use prometheus::{Gauge, GaugeVec, Opts, Registry};
use rand::RngExt;

/// Services, each with the endpoint that is asked.
const SERVICES: [(&str, &str); 4] = [
    ("payment-gateway", "https://payments.example/health"),
    ("email-service", "https://email.example/health"),
    ("cdn", "https://cdn.example/health"),
    ("database", "postgres://database.example:5432"),
];

/// Latency that is reported of a service that is down: the timeout.
const TIMEOUT_SECONDS: f64 = 5.0;

pub struct Services {
    up: GaugeVec,
    latency: GaugeVec,
}

impl Services {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let labels = ["service", "endpoint"];
        let up = Opts::new("external_service_up", "1 if the service responds, else 0.");
        let latency = Opts::new(
            "external_service_latency_seconds",
            "Time that the service took to respond.",
        );
        let services = Services {
            up: GaugeVec::new(up, &labels)?,
            latency: GaugeVec::new(latency, &labels)?,
        };
        registry.register(Box::new(services.up.clone()))?;
        registry.register(Box::new(services.latency.clone()))?;
        Ok(services)
    }

    pub fn measure(&self) {
        let mut rng = rand::rng();
        for (service, endpoint) in SERVICES {
            let (up, latency) = if rng.random_bool(0.95) {
                (1.0, rng.random_range(0.05..=0.25))
            } else {
                (0.0, TIMEOUT_SECONDS)
            };
            let labels = [service, endpoint];
            self.up.with_label_values(&labels).set(up);
            self.latency.with_label_values(&labels).set(latency);
        }
    }
}

/// Connections that come and go.
pub struct Connections {
    active: Gauge,
}

impl Connections {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let active = Gauge::new("active_connections", "Connections that are open.")?;
        registry.register(Box::new(active.clone()))?;
        Ok(Connections { active })
    }

    /// Opens some connections, and closes some of those that are open.
    pub fn change(&self) {
        let mut rng = rand::rng();
        self.active.add(f64::from(rng.random_range(0..=5_u32)));
        let closed = f64::from(rng.random_range(0..=5_u32));
        self.active.sub(closed.min(self.active.get()));
    }
}
