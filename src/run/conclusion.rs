//! The end of a run: its record in the history, its report, and the delivery of that.

use std::sync::Mutex;

use super::lock::Lock;
use super::outcome::Outcome;
use super::spec::{Reporting, RunSpec};
use super::{Run, report};
use crate::push::Dispatch;
use metricsjob_client::Stop;
use metricsjob_metrics::check::{CheckError, add_pushable};
use metricsjob_metrics::{Family, Method, Push, system_time};
use metricsjob_state::counters::Counter;
use metricsjob_state::history::RecordedRun;
use metricsjob_state::{LazyState, State, StateError};
use metricsjob_system::panics::locked;

/// Records `run`, and delivers its report, or leaves it in the outbox for others to deliver, as `spec` has it. A report
/// that could not be put there is delivered in any case, since it would be lost.
pub fn conclude(
    spec: &RunSpec<'_>,
    run: &mut Run,
    lock: Option<Lock>,
    state: &Mutex<LazyState>,
    stop: Stop,
) {
    let mut recording = locked(state);
    let entries = record(spec, run, &mut recording);
    match spec.reporting {
        Reporting::Push => deliver(spec, run, entries, lock, &mut recording, stop),
        Reporting::Enqueue if run.state_failure.is_some() => {
            // Other runs wait for the shared one.
            drop(recording);
            let mut state = LazyState::new(spec.state_dir);
            deliver(spec, run, None, lock, &mut state, stop);
            let damage = state.take_damage();
            run.warnings.extend(damage.map(|damage| damage.to_string()));
        }
        _ => {}
    }
}

fn deliver(
    spec: &RunSpec<'_>,
    run: &mut Run,
    entries: Option<Vec<i64>>,
    lock: Option<Lock>,
    state: &mut LazyState,
    stop: Stop,
) {
    let Some(Ok(push)) = &run.push else {
        return;
    };
    let dispatch = Dispatch::new(spec.gateways, spec.state_dir, spec.delivery, stop);
    let until = dispatch.until();
    run.deliveries = dispatch.deliver(push, entries.as_deref(), state, until);
    // It was kept until the report is out, so that reports come in the order of the runs.
    drop(lock);
    if entries.is_some() {
        dispatch.finish(&mut run.deliveries, state, until);
    }
}

/// Records `run`, and puts its report into the outbox, in one step: a run that is seen as finished is also
/// reported, even if this process ends here. Returns the entries of the report in the outbox, one for each gateway;
/// `None` if the state cannot be written.
pub fn record(spec: &RunSpec<'_>, run: &mut Run, state: &mut LazyState) -> Option<Vec<i64>> {
    let job = spec.job;
    let mut runners = report::runner(&run.record, job, None);
    run.warnings
        .extend(leave_out_unpushable(spec, &mut runners, &mut run.record));
    let push =
        |record: &RecordedRun, totals: Option<&[Counter]>| push_of(spec, &runners, record, totals);
    let increments = report::increments(&run.record, &job.prefix, &job.metrics);
    let recorded = if spec.reporting == Reporting::DryRun {
        totals(spec).map(|totals| {
            (
                push(&run.record, Some(&report::sum(totals, increments))),
                Vec::new(),
            )
        })
    } else {
        let gateways: Vec<String> = match spec.reporting {
            Reporting::Push | Reporting::Enqueue => {
                spec.gateways.iter().map(ToString::to_string).collect()
            }
            Reporting::Record | Reporting::DryRun => Vec::new(),
        };
        let keep = job.policy.keep;
        state.get().and_then(|state| {
            let to = (&*gateways, &*job.prefix);
            state.record(&run.record, &increments, keep, to, |totals| {
                push(&run.record, Some(totals))
            })
        })
    };
    match recorded {
        Ok((push, entries)) => {
            run.push = push;
            Some(entries)
        }
        Err(error) => {
            run.push = push(&run.record, None);
            run.state_failure = Some(error);
            None
        }
    }
}

fn totals(spec: &RunSpec<'_>) -> Result<Vec<Counter>, StateError> {
    match State::open_existing(spec.state_dir)? {
        Some(mut state) => state.counters(spec.key),
        None => Ok(Vec::new()),
    }
}

/// Leaves out the metrics of the job that could not be pushed beside those of the runner; returns the warnings.
fn leave_out_unpushable(
    spec: &RunSpec<'_>,
    runners: &mut Vec<Family>,
    record: &mut RecordedRun,
) -> Vec<String> {
    let count = runners.len();
    // Its name is the runner's too.
    runners.push(report::runs_total(&spec.job.prefix, &[]));
    let left_out = add_pushable(spec.key, runners, std::mem::take(&mut record.metrics));
    record.metrics = runners.split_off(count + 1);
    runners.truncate(count);
    let left_out = left_out.into_iter();
    left_out
        .map(|error| format!("a metric of the job is left out: {error}"))
        .collect()
}

/// The push of the report: the families of the runner and of the job, with the counters that accumulate over runs, which
/// have the values of `totals`. `None` if there is nothing to report, or it is not wanted.
fn push_of(
    spec: &RunSpec<'_>,
    runners: &[Family],
    record: &RecordedRun,
    totals: Option<&[Counter]>,
) -> Option<Result<Push, CheckError>> {
    if spec.reporting == Reporting::Record {
        return None;
    }
    let job = spec.job;
    let mut families = runners.to_vec();
    families.extend(totals.map(|totals| report::runs_total(&job.prefix, totals)));
    let runners_own = report::names(&families);
    let own = report::with_totals(record.metrics.clone(), &job.metrics, totals);
    // Counters of earlier runs may not fit what the job reports now.
    add_pushable(spec.key, &mut families, own);
    if families.is_empty() {
        return None;
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    // A skipped run must not erase the metrics of the running one.
    let method = match report::outcome(record) {
        Outcome::Skipped => Method::Post,
        _ => job.method,
    };
    let push = Push::new(
        spec.key.clone(),
        method,
        families,
        system_time(record.ended_at),
    );
    Some(push.map(|push| push.with_runners_own(runners_own)))
}
