//! How late runs began, against their schedules.

use std::time::Duration;

use metricsjob_metrics::{Bucket, Value};

/// The buckets' upper bounds in seconds.
const BOUNDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0,
];

/// How late runs began, in seconds.
#[derive(Debug, Default)]
pub struct Lag {
    count: u64,
    sum: f64,
    /// Not cumulative.
    buckets: [u64; BOUNDS.len()],
}

impl Lag {
    pub fn add(&mut self, lag: Duration) {
        let seconds = lag.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(place) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[place] += 1;
        }
    }

    pub fn value(&self) -> Value {
        Value::Histogram {
            count: self.count.into(),
            sum: self.sum,
            buckets: Bucket::cumulative(BOUNDS, self.buckets),
            native: None,
        }
    }
}
