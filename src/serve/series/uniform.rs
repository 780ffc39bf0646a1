//! Metrics that have the same names for all jobs, regardless of their prefixes.

use super::JOB_NAME;
use super::durations::Durations;
use crate::run::Outcome;
use metricsjob_metrics::text::rendered::RenderedFamily;
use metricsjob_metrics::{Family, Kind, Labels, Value};

pub const RUN_DURATION: &str = "batch_job_run_duration_seconds";
pub const RUNS_TOTAL: &str = "batch_job_runs_total";
pub const RUNNING: &str = "batch_job_running";
pub const NEXT_RUN: &str = "batch_job_next_run_timestamp_seconds";
pub const LAST_RUN: &str = "metricsjob_last_run_timestamp_seconds";
pub const MISSED_RUNS: &str = "metricsjob_missed_runs_total";

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

/// Metrics of one job that change only when one of its runs ends, rendered then.
pub struct Uniform {
    pub durations: Family,
    pub duration_lines: String,
    pub runs: Family,
    pub runs_lines: String,
}

impl Uniform {
    pub fn new(job: &str, durations: &Durations, outcomes: &[u64; Outcome::NAMES.len()]) -> Self {
        let durations = Family::new(
            RUN_DURATION,
            "How long runs took.",
            Kind::Histogram,
            [(Labels::from([(JOB_NAME, job)]), durations.value())],
        );
        let runs = Outcome::NAMES.iter().zip(outcomes).map(|(outcome, count)| {
            let labels = Labels::from([(JOB_NAME, job), ("outcome", outcome)]);
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
