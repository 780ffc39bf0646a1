//! A requested run, and why it begins or is refused.

use std::sync::Arc;
use std::time::SystemTime;

use crate::job::Job;
use metricsjob_metrics::GroupingKey;

/// Why a run is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Schedule,
    /// One run for all due times that went by while no server could start it.
    Missed,
    Http,
}

impl Trigger {
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Schedule => "schedule",
            Trigger::Missed => "missed",
            Trigger::Http => "http",
        }
    }
}

/// A run that is to begin.
#[derive(Clone)]
pub struct RunRequest {
    /// The run's id.
    pub id: String,
    /// As it was defined when the run was requested.
    pub job: Arc<Job>,
    pub key: GroupingKey,
    pub trigger: Trigger,
    /// When it should have begun.
    pub due: SystemTime,
}

/// Why a run is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no job is called {0:?}")]
    Unknown(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Full(String),
    #[error("the server is ending")]
    Ending,
}
