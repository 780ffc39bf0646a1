//! Times as values.

use std::time::{SystemTime, UNIX_EPOCH};

/// A time as Prometheus writes it: seconds since the epoch, negative before it.
pub fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
