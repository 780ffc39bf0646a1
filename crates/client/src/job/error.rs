//! Problems of reports.

use std::path::PathBuf;
use std::time::Duration;

use metricsjob_metrics::GroupingKeyError;
use metricsjob_metrics::check::CheckError;

use crate::{GatewayUrlError, PusherError};

/// Reason why the run of a job is not reported, or not as its settings say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Neither the code nor the environment names a gateway.
    #[error(
        "there is no gateway, so nothing is reported: call Job::gateway or set METRICSJOB_GATEWAY"
    )]
    NoGateway,
    /// The URL of a gateway cannot be used.
    #[error("the gateway cannot be used: {0}")]
    Gateway(#[from] GatewayUrlError),
    /// The job's name or a grouping label is invalid.
    #[error("nothing is reported: {0}")]
    GroupingKey(#[from] GroupingKeyError),
    /// The prefix cannot begin the name of a metric.
    #[error("the prefix {0:?} cannot begin the name of a metric; it is {default} now", default = metricsjob_metrics::DEFAULT_PREFIX)]
    Prefix(String),
    /// A variable of the environment cannot be used.
    #[error("{variable} is ignored: {reason}")]
    Variable {
        /// The variable's name.
        variable: &'static str,
        /// Why it cannot be used. Secrets are not in it.
        reason: String,
    },
    /// A grouping label in a variable of the environment cannot be used. The report goes to the group without it.
    #[error("a label in {variable} is left out: {reason}")]
    Label {
        /// The variable's name.
        variable: &'static str,
        /// Why it cannot be used.
        reason: String,
    },
    /// A metric that the run recorded does not go with the others. It is left out of the report.
    #[error("a metric of the job is not reported: {0}")]
    Metrics(#[from] CheckError),
    /// A gateway could not be reached, or refused the report.
    #[error("the report is not delivered: {0}")]
    Push(#[from] PusherError),
    /// The deadline passed before a gateway took the report.
    #[error("the report is not delivered: {gateway} did not take it within {deadline:?}")]
    Deadline {
        /// URL of the gateway, without credentials.
        gateway: String,
        /// Time for a report.
        deadline: Duration,
    },
    /// The metrics could not be handed to the `metricsjob` that runs this program.
    #[error("the metrics cannot be written to {} (METRICSJOB_METRICS): {reason}", path.display())]
    Handover {
        /// The file.
        path: PathBuf,
        /// Why it cannot be written.
        reason: String,
    },
}
