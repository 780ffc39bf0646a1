//! State of a job from before this process began, read from the history.

use std::sync::Arc;
use std::time::SystemTime;

use super::job_state::{Finished, JobState, RECENT};
use super::series::uniform::Outcomes;
use crate::job::Job;
use crate::run::{Outcome, report};
use metricsjob_metrics::{Family, GroupingKey, Method, system_time};
use metricsjob_state::counters::Counter;
use metricsjob_state::history::{GroupPast, RecordedRun};
use metricsjob_state::{State, StateError};

/// State of a job as the history has it.
#[derive(Default)]
pub struct Restored {
    /// The last runs, the oldest first.
    runs: Vec<RecordedRun>,
    /// The last one that did not succeed.
    last_failure: Option<RecordedRun>,
    /// Families that were reported last, for each run whose report is still to be seen.
    reports: Vec<(GroupingKey, Method, Vec<Family>)>,
    /// All runs so far with the job's own key, by outcome.
    outcomes: Outcomes,
}

impl Restored {
    /// Reads it from the history.
    pub fn of(state: &mut State, job: &Job, key: &GroupingKey) -> Result<Self, StateError> {
        let mut runs = state.runs_of(&job.name, &job.job, RECENT as u32)?;
        runs.reverse();
        let totals = state.counters(key)?;
        let last_of = |state: &mut State, outcome| state.last_run(&job.name, &job.job, outcome);
        let [success, failures @ .., _skipped] = Outcome::NAMES;
        let mut failed = Vec::new();
        for outcome in failures {
            failed.extend(last_of(state, outcome)?);
        }
        let last_success = last_of(state, success)?;
        let last_failure = failed
            .into_iter()
            .max_by(|a, b| a.ended_at.total_cmp(&b.ended_at));
        let shown = last_success.iter().chain(&last_failure);
        let mut shown: Vec<&RecordedRun> = shown.collect();
        shown.sort_by(|a, b| a.ended_at.total_cmp(&b.ended_at));
        let reports = shown.into_iter().map(|run| {
            let mut success = last_success.iter().filter(|success| success.key == run.key);
            let past = (run.key == *key).then(|| GroupPast {
                totals: totals.clone(),
                last_success: success.next().map(|success| success.ended_at),
                ..GroupPast::default()
            });
            (
                run.key.clone(),
                job.method,
                report_of(run, job, past.as_ref()),
            )
        });
        Ok(Restored {
            reports: reports.collect(),
            outcomes: Outcome::NAMES.map(|outcome| runs_so_far(&job.prefix, outcome, &totals)),
            last_failure,
            runs,
        })
    }

    /// When the last run began.
    pub fn last_start(&self) -> Option<SystemTime> {
        self.runs.last().map(|run| system_time(run.started_at))
    }

    pub fn put_into(&self, entry: &mut JobState) {
        let finished = |run: &RecordedRun| {
            Arc::new(Finished {
                run: run.clone(),
                trigger: None,
            })
        };
        for run in &self.runs {
            entry.remember(&finished(run));
        }
        entry.last_failure = self.last_failure.as_ref().map(finished);
        entry.begin_with(self.outcomes);
        for (key, method, families) in &self.reports {
            entry.report(key, *method, families.clone());
        }
    }
}

fn runs_so_far(prefix: &str, outcome: &str, totals: &[Counter]) -> u64 {
    let family = report::runs_total(prefix, totals);
    let mut metrics = family.metrics.iter();
    let metric = metrics.find(|metric| metric.labels.get("outcome") == Some(outcome));
    match metric.map(|metric| &metric.value) {
        Some(metricsjob_metrics::Value::Number(value)) => *value as u64,
        _ => 0,
    }
}

/// Families that the run reported, as far as the history has them.
fn report_of(run: &RecordedRun, job: &Job, past: Option<&GroupPast>) -> Vec<Family> {
    let mut families = report::runner(run, job, past);
    let totals = past.map(|past| &*past.totals);
    let own = report::with_totals(run.metrics.clone(), &job.metrics, totals);
    families.extend(own);
    families
}
