//! Condition of a group: what failed, and what is late.

use metricsjob_metrics::LastRun;

/// Condition of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Condition {
    /// True if the last run of its job failed.
    pub is_failed: bool,
    /// True if the last push to it was refused.
    pub is_refused: bool,
    /// True if the time has passed by which its job wanted to report again.
    pub is_late: bool,
    /// True if several hosts report to it.
    pub is_shared: bool,
}

/// How soon a group deserves a look; the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Failed,
    Late,
    Shared,
    Fine,
}

impl Condition {
    /// Returns the condition at `now`, in seconds since the epoch, as far as the last run decides it.
    pub fn of_run(last_run: &LastRun, now: f64) -> Self {
        Condition {
            is_failed: last_run.has_failed(),
            is_late: last_run.is_late(now),
            ..Condition::default()
        }
    }

    pub fn urgency(self) -> Urgency {
        match self {
            failed if failed.is_failed || failed.is_refused => Urgency::Failed,
            late if late.is_late => Urgency::Late,
            shared if shared.is_shared => Urgency::Shared,
            _ => Urgency::Fine,
        }
    }
}

/// Numbers of groups in each bad condition.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ConditionCounts {
    pub failed: usize,
    pub refused: usize,
    pub late: usize,
    pub shared: usize,
}

impl FromIterator<Condition> for ConditionCounts {
    fn from_iter<T: IntoIterator<Item = Condition>>(conditions: T) -> Self {
        let mut counts = ConditionCounts::default();
        for condition in conditions {
            counts.failed += usize::from(condition.is_failed);
            counts.refused += usize::from(condition.is_refused);
            counts.late += usize::from(condition.is_late);
            counts.shared += usize::from(condition.is_shared);
        }
        counts
    }
}
