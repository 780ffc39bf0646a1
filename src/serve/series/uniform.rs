//! Metrics that have the same names for all jobs, regardless of their prefixes.

use std::sync::Arc;
use std::time::Duration;

use super::durations::Durations;
use super::{MAX_KEYS, group_labels};
use crate::run::Outcome;
use metricsjob_metrics::text::rendered::RenderedFamily;
use metricsjob_metrics::{Family, GroupingKey, Kind, Labels, Value};

pub const RUN_DURATION: &str = "batch_job_run_duration_seconds";
pub const RUNS_TOTAL: &str = "batch_job_runs_total";
pub const RUNNING: &str = "batch_job_running";
pub const NEXT_RUN: &str = "batch_job_next_run_timestamp_seconds";
pub const LAST_RUN: &str = "metricsjob_last_run_timestamp_seconds";
pub const MISSED_RUNS: &str = "metricsjob_missed_runs_total";

/// Labels that the series here have themselves, where a gateway would refuse the group.
const OUTCOME: &str = "outcome";
const LE: &str = "le";

/// Returns true if a family is one of these, and so never one of a job's own.
pub fn is_uniform(name: &str) -> bool {
    [
        RUN_DURATION,
        RUNS_TOTAL,
        RUNNING,
        NEXT_RUN,
        LAST_RUN,
        MISSED_RUNS,
    ]
    .contains(&name)
}

/// Labels of the series here about runs of the job called `name` with this `key`: those that its reports have.
pub fn uniform_labels(name: &str, key: &GroupingKey) -> Labels {
    let mut labels = group_labels(name, key);
    labels.remove(OUTCOME);
    labels.remove(LE);
    labels
}

/// Numbers of runs by outcome, in the order of [`Outcome::NAMES`].
pub type Outcomes = [u64; Outcome::NAMES.len()];

/// Runs of one job that have ended, counted for each grouping key that it ran with.
pub struct RunCounts {
    /// Counts by grouping key: the job's own key first, then the others in the order in which they came.
    groups: Vec<GroupCounts>,
}

struct GroupCounts {
    labels: Labels,
    outcomes: Outcomes,
    durations: Durations,
    /// The counts as metrics.
    uniform: Arc<Uniform>,
}

impl RunCounts {
    /// Counts runs of a job whose own key has these `labels`. So many have ended before this process began.
    pub fn new(labels: Labels, outcomes: Outcomes) -> Self {
        RunCounts {
            groups: vec![GroupCounts::new(labels, outcomes)],
        }
    }

    /// Counts a run whose key has these `labels`. One that has made no attempt has no `duration`.
    pub fn count(&mut self, labels: Labels, outcome: &str, duration: Option<Duration>) {
        let known = self.groups.iter().position(|group| group.labels == labels);
        let place = known.unwrap_or_else(|| {
            if self.groups.len() > MAX_KEYS {
                self.groups.remove(1);
            }
            self.groups
                .push(GroupCounts::new(labels, Outcomes::default()));
            self.groups.len() - 1
        });
        self.groups[place].count(outcome, duration);
    }

    /// Labels of each key.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.groups.iter().map(|group| &group.labels)
    }

    /// Metrics of each key.
    pub fn uniform(&self) -> impl Iterator<Item = Arc<Uniform>> {
        self.groups.iter().map(|group| Arc::clone(&group.uniform))
    }
}

impl GroupCounts {
    fn new(labels: Labels, outcomes: Outcomes) -> Self {
        let durations = Durations::default();
        GroupCounts {
            uniform: Arc::new(Uniform::new(&labels, &durations, &outcomes)),
            labels,
            outcomes,
            durations,
        }
    }

    fn count(&mut self, outcome: &str, duration: Option<Duration>) {
        let place = Outcome::NAMES.iter().position(|name| *name == outcome);
        if let Some(place) = place {
            self.outcomes[place] += 1;
        }
        if let Some(duration) = duration {
            self.durations.add(duration);
        }
        let uniform = Uniform::new(&self.labels, &self.durations, &self.outcomes);
        self.uniform = Arc::new(uniform);
    }
}

/// Metrics of one job and grouping key that change only when a run ends, rendered then.
pub struct Uniform {
    pub durations: Family,
    pub duration_lines: String,
    pub runs: Family,
    pub runs_lines: String,
}

impl Uniform {
    fn new(labels: &Labels, durations: &Durations, outcomes: &Outcomes) -> Self {
        let durations = Family::new(
            RUN_DURATION,
            "How long runs took.",
            Kind::Histogram,
            [(labels.clone(), durations.value())],
        );
        let runs = Outcome::NAMES.iter().zip(outcomes).map(|(outcome, count)| {
            let mut labels = labels.clone();
            labels.insert(OUTCOME, outcome);
            (labels, Value::Number(*count as f64))
        });
        let help = "Runs so far, by their outcome.";
        let runs = Family::new(RUNS_TOTAL, help, Kind::Counter, runs);
        Uniform {
            duration_lines: RenderedFamily::of(&durations).lines,
            durations,
            runs_lines: RenderedFamily::of(&runs).lines,
            runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        Labels::from([("db", value), ("job", "j"), ("job_name", "j")])
    }

    #[test]
    fn runs_are_counted_by_key() {
        let mut counts = RunCounts::new(labels("own"), [2, 0, 0, 0, 0]);
        counts.count(labels("x"), "success", None);
        counts.count(labels("own"), "success", None);
        counts.count(labels("x"), "success", None);
        let lines: String = counts.uniform().map(|of| of.runs_lines.clone()).collect();
        for line in [
            "batch_job_runs_total{db=\"own\",job=\"j\",job_name=\"j\",outcome=\"success\"} 3\n",
            "batch_job_runs_total{db=\"x\",job=\"j\",job_name=\"j\",outcome=\"success\"} 2\n",
        ] {
            assert!(lines.contains(line), "{lines}");
        }
    }

    #[test]
    fn keys_are_bounded_and_the_own_one_stays() {
        let mut counts = RunCounts::new(labels("own"), Outcomes::default());
        for number in 0..MAX_KEYS + 5 {
            counts.count(labels(&number.to_string()), "success", None);
        }
        let shown: Vec<&str> = counts.labels().filter_map(|of| of.get("db")).collect();
        assert_eq!(shown.len(), MAX_KEYS + 1);
        assert_eq!(shown[..2], ["own", "5"]);
    }

    #[test]
    fn labels_of_the_key_make_no_series_twice() {
        let grouping = ["le", "outcome"].map(|name| (name.to_owned(), "x".to_owned()));
        let key = GroupingKey::new("j", grouping).unwrap();
        let labels = uniform_labels("n", &key);
        assert_eq!(labels, Labels::from([("job", "j"), ("job_name", "n")]));
    }
}
