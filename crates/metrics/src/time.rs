//! Conversion of times.

use std::time::{SystemTime, UNIX_EPOCH};

/// Last second that RFC 3339 can express, 9999-12-31T23:59:59Z, in seconds since the epoch.
pub const LAST_SECOND: f64 = 253_402_300_799.0;

/// Converts a time to seconds since the epoch, as Prometheus does; negative before it.
pub fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
