//! Expectations of a job as metric families, whose names are the same for all jobs.

use super::report::outcome;
use crate::job::Job;
use crate::job::expectations::{MetricExpectation, is_meant};
use metricsjob_metrics::{DEFAULT_PREFIX, Family, Kind, Labels, Value, system_time, unix_seconds};
use metricsjob_state::history::RecordedRun;

/// Families of each report, skipped runs excepted.
pub fn families(run: &RecordedRun, job: &Job) -> Vec<Family> {
    let expected = &job.policy.expected;
    let mut families = Vec::new();
    if let Some(longest) = expected.max_duration {
        families.push(Family::gauge(
            name("max_duration_seconds"),
            "Longest time that a run of the job should take.",
            longest.as_secs_f64(),
        ));
    }
    if let Some(share) = expected.slo {
        families.push(Family::gauge(
            name("slo_ratio"),
            "Share of the runs that should succeed.",
            share,
        ));
    }
    families.extend(alerting_info(job));
    // A failed run is an alert of its own, and its metrics may be incomplete.
    if outcome(run).is_success() && !expected.metrics.is_empty() {
        families.push(met(run, job));
    }
    families
}

/// Deadline of the next success, in seconds since the epoch, if one is expected. Without a `last_success` none is known.
pub fn deadline(run: &RecordedRun, job: &Job, last_success: Option<f64>) -> Option<Family> {
    let last = if outcome(run).is_success() {
        run.ended_at
    } else {
        last_success?
    };
    let policy = &job.policy;
    let plan = job.plan.as_ref();
    let expected = &policy.expected;
    let deadline = expected.deadline(plan, policy.splay, system_time(last))?;
    Some(Family::gauge(
        name("deadline_timestamp_seconds"),
        "When the next success of the job is due.",
        unix_seconds(deadline),
    ))
}

/// Labels for alerts about the job, as far as it has any.
fn alerting_info(job: &Job) -> Option<Family> {
    let expected = &job.policy.expected;
    let given = [
        ("severity", &expected.severity),
        ("owner", &expected.owner),
        ("runbook", &expected.runbook),
    ];
    let given = given.into_iter();
    let labels: Labels = given
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    (!labels.is_empty()).then(|| {
        Family::new(
            name("alerting_info"),
            "Severity, owner and runbook of alerts about the job; always 1.",
            Kind::Gauge,
            [(labels, Value::Number(1.0))],
        )
    })
}

fn met(run: &RecordedRun, job: &Job) -> Family {
    let unmet = unmet(run, job);
    let expected = job.policy.expected.metrics.iter();
    let met = expected.map(|expected| {
        let labels = Labels::from([("metric", expected.metric.as_str())]);
        let is_met = !unmet.iter().any(|unmet| unmet.expected == expected);
        (labels, Value::Number(f64::from(u8::from(is_met))))
    });
    Family::new(
        name("expectation_met"),
        "Whether the metric of the last successful run was in its range (1) or not (0).",
        Kind::Gauge,
        met,
    )
}

/// An expectation that a run has not met.
#[derive(Debug)]
pub struct Unmet<'a> {
    pub expected: &'a MetricExpectation,
    /// `rows is 0, expected 1..`
    pub text: String,
}

/// The expectations of `job` that the metrics of `run` do not meet: there is no such metric, or one of its values is not in
/// the range.
pub fn unmet<'a>(run: &RecordedRun, job: &'a Job) -> Vec<Unmet<'a>> {
    let expected = job.policy.expected.metrics.iter();
    let unmet = expected.filter_map(|expected| {
        let families = run.metrics.iter();
        let meant = families.filter(|family| is_meant(&expected.metric, &family.name, &job.prefix));
        let mut values = meant.flat_map(|family| &family.metrics).peekable();
        let found = if values.peek().is_none() {
            "is missing".to_owned()
        } else {
            values.find_map(|metric| match metric.value {
                Value::Number(value) if expected.is_met_by(value) => None,
                Value::Number(value) => Some(format!("is {value}")),
                _ => Some("is no number".to_owned()),
            })?
        };
        let limit = |limit: Option<f64>| limit.map_or(String::new(), |limit| limit.to_string());
        let (min, max) = (limit(expected.min), limit(expected.max));
        let text = format!("{} {found}, expected {min}..{max}", expected.metric);
        Some(Unmet { expected, text })
    });
    unmet.collect()
}

fn name(name: &str) -> String {
    format!("{DEFAULT_PREFIX}_{name}")
}
