//! Waits that grow, for whatever is tried again. It imports nothing of ours.

use std::time::Duration;

/// Waits between attempts: from the shortest on twice as long each time, up to the longest, and
/// of that a random part between a half and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// From `min`, the wait after the first attempt, to `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max }
    }

    /// The wait after attempt number `attempt` (from 1) where the draw from [0, 1) was `random`.
    pub fn delay(self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.min.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(0.5 + random / 2.0)
    }
}
