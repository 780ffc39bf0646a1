//! Specification of a run: the job, and where it is reported.

use std::path::Path;
use std::sync::Arc;

use super::events::LineSink;
use crate::job::Job;
use crate::push::{DeliveryPolicy, DeliveryTarget};
use metricsjob_client::Connection;
use metricsjob_metrics::GroupingKey;

/// Specification of a run: the job, and where it is reported.
pub struct RunSpec<'a> {
    pub job: &'a Job,
    pub key: &'a GroupingKey,
    /// Each gets the report.
    pub destinations: &'a [DeliveryTarget],
    /// How those are reached who are notified of events.
    pub connection: &'a Connection,
    pub delivery: &'a DeliveryPolicy,
    /// Where the history, the outbox and the locks are.
    pub state_dir: &'a Path,
    pub reporting: Reporting,
    /// Receiver of a command's output, line by line, in place of our own stdout and stderr.
    pub lines: Option<Arc<LineSink>>,
}

/// Destination of a run's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting {
    /// It is recorded in the history and pushed.
    Push,
    /// It is recorded in the history, and put into the outbox, from where another thread or process delivers it.
    Enqueue,
    /// It is recorded in the history only.
    Record,
    /// It is made, and neither recorded nor pushed.
    DryRun,
}
