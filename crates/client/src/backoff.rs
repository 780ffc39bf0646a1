//! Waits between retries.

use std::time::Duration;

/// Exponential backoff with jitter: each wait is twice the one before, up to a maximum, and of that a random part
/// between a half and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// Creates a backoff whose first wait is at most `min`, and whose longest is at most `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max }
    }

    /// Returns the wait after attempt number `attempt`, from 1. `random` is a random number in [0, 1).
    pub fn delay(self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.min.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(0.5 + random / 2.0)
    }
}
