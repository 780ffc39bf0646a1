//! Times as values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z, in seconds since the epoch.
pub const LAST_SECOND: f64 = 253_402_300_799.0;

/// A time as Prometheus writes it: seconds since the epoch, negative before it.
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
