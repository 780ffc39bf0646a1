//! Lag of runs behind their schedules.

use std::time::Duration;

use metricsjob_metrics::Family;
use metricsjob_metrics::registry::{gather, register};
use prometheus::{Histogram, HistogramOpts, Registry};

/// Upper bounds of the buckets in seconds.
const BOUNDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0,
];

/// Histogram of how late runs began.
pub struct Lag {
    registry: Registry,
    seconds: Histogram,
}

impl Lag {
    pub fn new() -> Self {
        let registry = Registry::new();
        let options = HistogramOpts::new(
            "metricsjob_schedule_lag_seconds",
            "How late runs began, against their schedules.",
        );
        let seconds = Histogram::with_opts(options.buckets(BOUNDS.into()));
        Lag {
            seconds: register(&registry, seconds),
            registry,
        }
    }

    pub fn add(&self, lag: Duration) {
        self.seconds.observe(lag.as_secs_f64());
    }

    pub fn families(&self) -> Vec<Family> {
        gather(&self.registry)
    }
}
