//! The end of a run: its record in the history, its report, and the delivery of that.

use std::sync::Mutex;

use super::lock::Lock;
use super::outcome::Outcome;
use super::spec::{Reporting, RunSpec};
use super::{Comparison, Run, anomaly, report};
use crate::push::Dispatch;
use metricsjob_client::Stop;
use metricsjob_metrics::check::{CheckError, add_pushable};
use metricsjob_metrics::{Method, Push, system_time};
use metricsjob_state::history::{GroupPast, RecordedRun, Recording};
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
    let own = std::mem::take(&mut run.record.metrics);
    let (own, left_out) = report::reportable(job, spec.key, own);
    run.record.metrics = own;
    let left_out = left_out.into_iter();
    let left_out = left_out.map(|error| format!("a metric of the job is left out: {error}"));
    run.warnings.extend(left_out);
    compare(spec, run, state);
    let increments = report::increments(&run.record, &job.prefix, &job.metrics);
    let recorded = if spec.reporting == Reporting::DryRun {
        past(spec, &run.record).map(|past| {
            let past = GroupPast {
                totals: report::sum(past.totals, increments),
                ..past
            };
            (
                push_of(spec, &run.record, &run.comparisons, Some(&past)),
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
        let recording = Recording {
            increments: &increments,
            keep: job.policy.keep,
            gateways: &gateways,
            prefix: &job.prefix,
            success: report::needed_success(&run.record, job),
        };
        state.get().and_then(|state| {
            state.record(&run.record, &recording, |past| {
                push_of(spec, &run.record, &run.comparisons, Some(past))
            })
        })
    };
    match recorded {
        Ok((push, entries)) => {
            run.push = push;
            Some(entries)
        }
        Err(error) => {
            run.push = push_of(spec, &run.record, &run.comparisons, None);
            run.state_failure = Some(error);
            None
        }
    }
}

/// Compares the values of a success with those of the successes before it, if the job wants that. What cannot be read is
/// not compared: the report must not wait for it.
fn compare(spec: &RunSpec<'_>, run: &mut Run, state: &mut LazyState) {
    let metrics = &spec.job.policy.expected.anomaly_metrics;
    if metrics.is_empty() || !run.outcome().is_success() {
        return;
    }
    let earlier = earlier(spec, run, state).unwrap_or_default();
    run.comparisons = anomaly::compare(&run.record, &earlier, metrics, &spec.job.prefix);
}

/// The last successes of the group before `run`, which is one.
fn earlier(
    spec: &RunSpec<'_>,
    run: &Run,
    state: &mut LazyState,
) -> Result<Vec<RecordedRun>, StateError> {
    let success = run.outcome().name();
    let of = |state: &mut State| state.last_runs(&run.record, success, anomaly::MAX_RUNS);
    match spec.reporting {
        Reporting::DryRun => {
            let existing = State::open_existing(spec.state_dir)?;
            existing.map_or(Ok(Vec::new()), |mut state| of(&mut state))
        }
        _ => of(state.get()?),
    }
}

/// The past of the group, without `run`.
fn past(spec: &RunSpec<'_>, run: &RecordedRun) -> Result<GroupPast, StateError> {
    match State::open_existing(spec.state_dir)? {
        Some(mut state) => state.past(run, report::needed_success(run, spec.job)),
        None => Ok(GroupPast::default()),
    }
}

/// The push of the report: the families of the runner and of the job, with what comes from the past of the group. `None`
/// if there is nothing to report, or it is not wanted.
fn push_of(
    spec: &RunSpec<'_>,
    record: &RecordedRun,
    comparisons: &[Comparison],
    past: Option<&GroupPast>,
) -> Option<Result<Push, CheckError>> {
    if spec.reporting == Reporting::Record {
        return None;
    }
    let job = spec.job;
    let mut families = report::runner(record, job, past);
    families.extend(anomaly::family(comparisons));
    let runners_own = report::names(&families);
    let totals = past.map(|past| &*past.totals);
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
