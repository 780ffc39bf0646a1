//! Outcome of a delivery to one gateway.

use std::path::PathBuf;

use super::gateway::GatewayError;
use metricsjob_state::StateError;
use metricsjob_state::outbox::Left;

/// Outcome of a delivery to one gateway: of a push with the entries that waited before it, or of entries alone.
#[derive(Debug)]
pub struct Delivery {
    /// Fate of the push; `Ok` if there was none.
    pub result: Result<(), Undelivered>,
    /// Number of entries that were delivered, not counting the push.
    pub delivered: u64,
    /// Why the gateway has rejected entries, or parts of them, not counting the push.
    pub rejected: Vec<GatewayError>,
    /// First of the failures that may pass.
    pub failure: Option<GatewayError>,
    /// Number of entries that still wait, if they were counted.
    pub waiting: u64,
    /// The oldest entries, which were dropped because the outbox was full.
    pub dropped: Vec<i64>,
    /// Work left at the gateway after the delivery, as far as that is known.
    pub left_there: Option<Left>,
    /// Why the outcome is not in the outbox.
    pub state_failure: Option<StateError>,
    /// Notices in the gateway's responses, such as that another host reports to the group.
    pub notices: Vec<String>,
}

/// A push that its gateway does not have.
#[derive(Debug)]
pub struct Undelivered {
    pub error: GatewayError,
    pub kept: Kept,
}

/// Place of an undelivered push.
#[derive(Debug)]
pub enum Kept {
    /// In the outbox of the state database at `path`.
    InOutbox { id: i64, path: PathBuf },
    /// Nowhere, because it never came into the outbox.
    Lost,
    /// Nowhere, because the outbox was full.
    Dropped,
}

impl Delivery {
    /// Delivery of one push with this result.
    pub fn new(result: Result<(), Undelivered>) -> Self {
        Delivery {
            result,
            delivered: 0,
            rejected: Vec::new(),
            failure: None,
            waiting: 0,
            dropped: Vec::new(),
            left_there: None,
            state_failure: None,
            notices: Vec::new(),
        }
    }

    /// Delivery of what waits, of which nothing is delivered yet.
    pub fn of_waiting() -> Self {
        Delivery::new(Ok(()))
    }

    /// Returns true if nothing waited.
    pub fn is_empty(&self) -> bool {
        self.delivered + self.waiting == 0 && self.rejected.is_empty()
    }

    /// Returns true if the gateway is to get the statistics of pushing.
    pub fn are_stats_due(&self) -> bool {
        self.left_there.is_some_and(|left| left.are_stats_due)
    }

    /// Adds what became of the entries of another delivery to the same gateway.
    pub fn add(&mut self, later: Delivery) {
        self.delivered += later.delivered;
        self.rejected.extend(later.rejected);
        self.dropped.extend(later.dropped);
        self.left_there = later.left_there.or(self.left_there);
        if self.failure.is_none() {
            self.failure = later.failure;
        }
        if self.state_failure.is_none() {
            self.state_failure = later.state_failure;
        }
    }
}
