//! A run as metric families.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Comparison, Outcome, anomaly, expected, new_record};
use crate::job::Job;
use crate::job::metric_rule::MetricRule;
use metricsjob_client::host;
use metricsjob_metrics::check::{CheckError, add_pushable};
use metricsjob_metrics::{
    DEFAULT_PREFIX, Family, GroupingKey, Kind, Labels, Metric, Value, under_default_prefix,
};
use metricsjob_state::counters::Counter;
use metricsjob_state::history::{GroupPast, RecordedRun};

/// Outcome of a run that the history has; a failure if a newer version gave it a name that is unknown here.
pub fn outcome(run: &RecordedRun) -> Outcome {
    let outcome = Outcome::recorded(&run.outcome, run.exit_code);
    outcome.unwrap_or(Outcome::Failure(run.exit_code))
}

/// Families that the runner reports of `run`. Those that need the past of the group are left out without it: a counter
/// that begins anew would be wrong. A skipped run has no others.
pub fn runner(run: &RecordedRun, job: &Job, past: Option<&GroupPast>) -> Vec<Family> {
    let mut families = Vec::new();
    if outcome(run) != Outcome::Skipped {
        families = gauges(run, &job.prefix);
        let is_live = job.policy.push_start || job.policy.push_interval.is_some();
        families.extend(is_live.then(|| running(&job.prefix, false)));
        families.extend(under_default_prefix(&families, &job.prefix));
        families.push(info());
        families.extend(expected::families(run, job));
    }
    families.extend(past.into_iter().flat_map(|past| of_past(run, job, past)));
    families
}

/// Families that need the past of the group.
fn of_past(run: &RecordedRun, job: &Job, past: &GroupPast) -> Vec<Family> {
    let mut families = vec![runs_total(&job.prefix, &past.totals)];
    if job.prefix != DEFAULT_PREFIX {
        let counter = Family {
            name: runs_total_name(DEFAULT_PREFIX),
            ..families[0].clone()
        };
        families.push(counter);
    }
    families.extend(expected::deadline(run, job, past.last_success));
    families
}

/// Name of the outcome of a success, if the report of `run` needs the time of the last one: the deadline of a run that did
/// not succeed follows from it.
pub fn needed_success(run: &RecordedRun, job: &Job) -> Option<&'static str> {
    let is_needed = job.has_deadline() && !outcome(run).is_success();
    is_needed.then(|| Outcome::Success(0).name())
}

/// The gauges of a run. Times and durations are in seconds, times since the epoch.
fn gauges(run: &RecordedRun, prefix: &str) -> Vec<Family> {
    let gauge =
        |name: &str, help: &str, value: f64| Family::gauge(format!("{prefix}_{name}"), help, value);
    let is_success = outcome(run).is_success();
    let mut families = vec![
        gauge(
            "duration_seconds",
            "How long the last run took.",
            run.duration,
        ),
        start_timestamp(prefix, run.started_at),
        gauge(
            "last_completion_timestamp_seconds",
            "When the last run ended, well or not.",
            run.ended_at,
        ),
        gauge(
            "success",
            "Whether the last run succeeded (1) or not (0).",
            f64::from(is_success),
        ),
        gauge(
            "exit_code",
            "The exit code of the last run; 128+n if signal n ended it, 124 if it took too long.",
            f64::from(run.exit_code),
        ),
        gauge(
            "attempts",
            "How often the last run tried.",
            f64::from(run.attempts),
        ),
        gauge(
            "cpu_user_seconds",
            "CPU time that the last run spent in user mode.",
            run.cpu_user,
        ),
        gauge(
            "cpu_system_seconds",
            "CPU time that the last run spent in the kernel.",
            run.cpu_system,
        ),
        gauge(
            "max_rss_bytes",
            "The most memory that a process of the last run had resident.",
            run.max_rss as f64,
        ),
    ];
    if is_success {
        families.push(gauge(
            "last_success_timestamp_seconds",
            "When the last run that succeeded ended.",
            run.ended_at,
        ));
    }
    families
}

/// Families of a job's own that its report can have beside the runner's, and why the others cannot be there.
pub fn reportable(
    job: &Job,
    key: &GroupingKey,
    own: Vec<Family>,
) -> (Vec<Family>, Vec<CheckError>) {
    if own.is_empty() {
        return (own, Vec::new());
    }
    let mut record = new_record(job, key, String::new());
    record.outcome = Outcome::Success(0).name().to_owned();
    let mut families = runner(&record, job, Some(&GroupPast::default()));
    if !job.policy.expected.anomaly_metrics.is_empty() {
        families.extend(anomaly::family(&[Comparison::default()]));
    }
    let runners = families.len();
    let left_out = add_pushable(key, &mut families, own);
    (families.split_off(runners), left_out)
}

/// The names of `families`.
pub fn names(families: &[Family]) -> Vec<String> {
    let names = families.iter().map(|family| family.name.clone());
    names.collect()
}

/// The time when the last run began, in seconds since the epoch.
pub fn start_timestamp(prefix: &str, started_at: f64) -> Family {
    Family::gauge(
        format!("{prefix}_start_timestamp_seconds"),
        "When the last run started.",
        started_at,
    )
}

/// Gauge that is 1 while a run is running, else 0.
pub fn running(prefix: &str, is_running: bool) -> Family {
    Family::gauge(
        format!("{prefix}_running"),
        "1 during a run, else 0.",
        f64::from(is_running),
    )
}

/// The host that reports, by which a gateway sees that two of them share a group, and the version of this program.
fn info() -> Family {
    let host = host::name().unwrap_or_default();
    let labels = Labels::from([("host", &*host), ("version", env!("CARGO_PKG_VERSION"))]);
    Family {
        name: format!("{DEFAULT_PREFIX}_info"),
        help: "The host that reported the last run, and its version of metricsjob; always 1."
            .into(),
        kind: Kind::Gauge,
        metrics: vec![number(labels, 1.0)],
    }
}

/// The name of the counter of runs.
fn runs_total_name(prefix: &str) -> String {
    format!("{prefix}_runs_total")
}

/// All runs so far, by their outcome, which `totals` have counted; 0 for one that never was.
pub fn runs_total(prefix: &str, totals: &[Counter]) -> Family {
    let name = runs_total_name(prefix);
    let metrics = Outcome::NAMES.map(|outcome| {
        let labels = Labels::from([("outcome", outcome)]);
        let mut found = totals.iter();
        let found = found.find(|total| total.name == name && total.labels == labels);
        number(labels, found.map_or(0.0, |total| total.value))
    });
    Family {
        name,
        help: "Runs so far, by their outcome.".into(),
        kind: Kind::Counter,
        metrics: metrics.into(),
    }
}

/// Increments by `run` of the counters that accumulate over runs: the counter of runs, and those of the job
/// that `rules` name.
pub fn increments(run: &RecordedRun, prefix: &str, rules: &[MetricRule]) -> Vec<Counter> {
    let mut increments = increments_of(&run.metrics, rules);
    increments.push(Counter {
        name: runs_total_name(prefix),
        labels: Labels::from([("outcome", run.outcome.as_str())]),
        value: 1.0,
    });
    increments
}

/// Increments by the families of `own` that accumulate over runs.
pub fn increments_of(own: &[Family], rules: &[MetricRule]) -> Vec<Counter> {
    let mut increments = Vec::new();
    for family in own.iter().filter(|family| is_cumulative(family, rules)) {
        for metric in &family.metrics {
            if let Value::Number(value) = metric.value {
                increments.push(Counter {
                    name: family.name.clone(),
                    labels: metric.labels.clone(),
                    value,
                });
            }
        }
    }
    increments
}

/// The job's own families, where the counters that accumulate over runs have the value of `totals`.
/// Without totals they are left out: a value that begins anew would be wrong.
pub fn with_totals(
    own: Vec<Family>,
    rules: &[MetricRule],
    totals: Option<&[Counter]>,
) -> Vec<Family> {
    let (goes_on, mut families): (Vec<Family>, Vec<Family>) = own
        .into_iter()
        .partition(|family| is_cumulative(family, rules));
    let mut seen = Vec::new();
    for rule in rules.iter().filter(|rule| rule.is_cumulative) {
        // Several rules can be about one counter.
        if seen.contains(&&rule.name) {
            continue;
        }
        seen.push(&rule.name);
        let totals = totals.into_iter().flatten();
        let metrics: Vec<Metric> = totals
            .filter(|total| total.name == rule.name)
            .map(|total| number(total.labels.clone(), total.value))
            .collect();
        if metrics.is_empty() {
            continue;
        }
        let current = goes_on.iter().find(|family| family.name == rule.name);
        families.push(Family {
            name: rule.name.clone(),
            help: current.map_or(&rule.help, |family| &family.help).clone(),
            kind: Kind::Counter,
            metrics,
        });
    }
    families
}

/// Adds `increments` to `totals`. There may be thousands of both.
pub fn sum(mut totals: Vec<Counter>, increments: Vec<Counter>) -> Vec<Counter> {
    let series = |counter: &Counter| (counter.name.clone(), counter.labels.clone());
    let known = totals.iter().enumerate();
    let mut places: HashMap<_, usize> =
        known.map(|(place, total)| (series(total), place)).collect();
    for increment in increments {
        match places.entry(series(&increment)) {
            Entry::Occupied(place) => totals[*place.get()].value += increment.value,
            Entry::Vacant(free) => {
                free.insert(totals.len());
                totals.push(increment);
            }
        }
    }
    totals
}

fn is_cumulative(family: &Family, rules: &[MetricRule]) -> bool {
    let mut rules = rules.iter().filter(|rule| rule.is_cumulative);
    family.kind == Kind::Counter && rules.any(|rule| rule.name == family.name)
}

fn number(labels: Labels, value: f64) -> Metric {
    Metric {
        labels,
        value: Value::Number(value),
        timestamp_ms: None,
    }
}
