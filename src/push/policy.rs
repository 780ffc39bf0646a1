//! Limits of a delivery.

use std::time::{Duration, Instant};

/// Limits of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// How long the whole delivery may take, including the other entries that wait for the gateway.
    pub deadline: Duration,
    /// How long a push that failed for a transient reason is retried, from its first failure on.
    pub retry_window: Duration,
    /// How many entries the outbox may hold.
    pub outbox_limit: u64,
    /// How large the state may be, in bytes.
    pub state_limit: u64,
    /// True if gateways get metrics about their deliveries too.
    pub self_metrics: bool,
}

impl Default for DeliveryPolicy {
    /// The retry window is a wait of the job that is too short to be noticed: a reset connection or a proxy
    /// that reloads is over by then. A gateway that is down is not, so more would only hold the job up;
    /// the outbox has the report, and the next run brings it.
    fn default() -> Self {
        DeliveryPolicy {
            deadline: Duration::from_secs(10),
            retry_window: Duration::from_millis(30),
            outbox_limit: 10_000,
            state_limit: 1 << 30,
            self_metrics: false,
        }
    }
}

/// Longer than any useful wait, and not too long for a clock.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl DeliveryPolicy {
    /// When a delivery that begins now must be over.
    pub fn until(&self) -> Instant {
        Instant::now() + self.deadline.min(FOREVER)
    }
}
