//! Defaults of jobs.

use super::policy::Policy;
use metricsjob_client::grouping::GroupingSettings;
use metricsjob_metrics::{DEFAULT_PREFIX, Method};

/// Settings of a job that its definition does not give.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDefaults {
    /// Prefix of the names of the runner's metrics.
    pub prefix: String,
    pub method: Method,
    pub grouping: GroupingSettings,
    pub policy: Policy,
    /// How many of the last lines of a command's stderr are kept.
    pub tail: usize,
}

impl Default for JobDefaults {
    fn default() -> Self {
        JobDefaults {
            prefix: DEFAULT_PREFIX.to_owned(),
            method: Method::default(),
            grouping: GroupingSettings::default(),
            policy: Policy::default(),
            tail: 0,
        }
    }
}
