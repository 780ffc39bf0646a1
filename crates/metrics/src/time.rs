//! Conversion of times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Last second that RFC 3339 can express, 9999-12-31T23:59:59Z, in seconds since the epoch.
pub const LAST_SECOND: f64 = 253_402_300_799.0;

/// Converts a time to seconds since the epoch, as Prometheus does; negative before it.
pub fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// The time that is `seconds` after the epoch; the epoch itself for a time before it, or one that the clock cannot have.
pub fn system_time(seconds: f64) -> SystemTime {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
