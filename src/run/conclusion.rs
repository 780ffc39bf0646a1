//! The end of a run: its record in the history, its report, and the delivery of that.

use std::borrow::Cow;
use std::sync::Mutex;

use super::lock::Lock;
use super::outcome::Outcome;
use super::spec::{Reporting, RunSpec};
use super::start_ping::StartPings;
use super::{Comparison, Run, anomaly, notification, report};
use crate::push::{DeliveryTarget, Dispatch, Item, Notifier};
use metricsjob_client::Stop;
use metricsjob_metrics::check::{CheckError, add_pushable};
use metricsjob_metrics::{Method, Push, system_time};
use metricsjob_state::history::{GroupPast, Outgoing, RecordedRun, Recording, RunEntries};
use metricsjob_state::notified::Addressed;
use metricsjob_state::outbox::Content;
use metricsjob_state::{LazyState, State, StateError};
use metricsjob_system::panics::locked;

/// Records `run`, and delivers its report, or leaves it in the outbox for others to deliver, as `spec` has it. A report
/// that could not be put there is delivered in any case, since it would be lost.
pub fn conclude(
    spec: &RunSpec<'_>,
    run: &mut Run,
    (lock, pings): (Option<Lock>, StartPings),
    state: &Mutex<LazyState>,
    stop: Stop,
) {
    let mut recording = locked(state);
    let left = record(spec, run, &mut recording);
    match spec.reporting {
        Reporting::Push => {
            pings.wait();
            deliver(spec, run, left, lock, &mut recording, stop);
        }
        Reporting::Enqueue => {
            // Other runs wait for the shared one.
            drop(recording);
            pings.wait();
            if left.entries.is_none() {
                let mut state = LazyState::new(spec.state_dir);
                deliver(spec, run, left, lock, &mut state, stop);
                let damage = state.take_damage();
                run.warnings.extend(damage.map(|damage| damage.to_string()));
            }
        }
        Reporting::Record | Reporting::DryRun => {}
    }
}

/// Notifications of a run, and its entries in the outbox.
pub struct LeftByRun {
    notifications: Vec<Addressed>,
    /// Its entries in the outbox; `None` if the state cannot be written.
    entries: Option<RunEntries>,
}

/// Delivers the report to its destinations and notifications to whom they are for, and then what else waits for all of them.
fn deliver(
    spec: &RunSpec<'_>,
    run: &mut Run,
    left: LeftByRun,
    lock: Option<Lock>,
    state: &mut LazyState,
    stop: Stop,
) {
    let (of_push, of_notifications) = match &left.entries {
        Some(entries) => (Some(&entries.of_push), Some(&entries.of_notifications)),
        None => (None, None),
    };
    let entry = |entries: Option<&Vec<i64>>, index: usize| entries?.get(index).copied();
    let mut destinations: Vec<DeliveryTarget> = Vec::new();
    let mut items: Vec<Option<Item<'_>>> = Vec::new();
    if let Some(Ok(push)) = &run.push {
        for (index, destination) in spec.destinations.iter().enumerate() {
            destinations.push(destination.clone());
            items.push(Some(Item {
                content: Content::Push(Cow::Borrowed(push)),
                entry: entry(of_push, index),
            }));
        }
    }
    let of_report = destinations.len();
    for target in &spec.job.policy.notify.to {
        let name = target.name();
        let mut addressed = left.notifications.iter().enumerate();
        let item = addressed.find(|(_, (to, _))| *to == name);
        let item = item.map(|(index, (_, notification))| Item {
            content: Content::Notification(Cow::Borrowed(notification)),
            entry: entry(of_notifications, index),
        });
        let is_anything_waiting = |state: &mut LazyState| {
            let waiting = state.get().and_then(|state| state.waiting_for(&name));
            waiting.is_ok_and(|waiting| waiting > 0)
        };
        if item.is_some() || is_anything_waiting(state) {
            let notifier = Notifier::new(target.clone(), spec.connection);
            destinations.push(DeliveryTarget::Notifier(notifier));
            items.push(item);
        }
    }
    if destinations.is_empty() {
        return;
    }
    let dispatch = Dispatch::new(&destinations, spec.state_dir, spec.delivery, stop);
    let until = dispatch.until();
    let mut deliveries = dispatch.deliver(&items, state, until);
    // It was kept until the report is out, so that reports come in the order of the runs.
    drop(lock);
    if left.entries.is_some() {
        dispatch.finish(&mut deliveries, state, until);
    }
    let of_notifiers = deliveries.split_off(of_report);
    let is_of_run = items[of_report..].iter().map(Option::is_some);
    let of_notifiers = destinations[of_report..]
        .iter()
        .zip(of_notifiers)
        .zip(is_of_run);
    let notified =
        of_notifiers.filter_map(|((destination, delivery), is_of_run)| match destination {
            DeliveryTarget::Notifier(notifier) if is_of_run => {
                Some((notifier.target.clone(), delivery))
            }
            _ => None,
        });
    run.notified = notified.collect();
    run.deliveries = deliveries;
}

/// Records `run`, and puts its report and notifications into the outbox, in one step: a run that is seen as finished is
/// also reported, even if this process ends here.
pub fn record(spec: &RunSpec<'_>, run: &mut Run, state: &mut LazyState) -> LeftByRun {
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
            (outgoing(spec, run, Some(&past)), RunEntries::default())
        })
    } else {
        let destinations = match spec.reporting {
            Reporting::Push | Reporting::Enqueue => spec.destinations,
            Reporting::Record | Reporting::DryRun => &[],
        };
        let names: Vec<String> = destinations.iter().map(DeliveryTarget::name).collect();
        let gateways = destinations.iter().filter_map(DeliveryTarget::gateway);
        let gateways: Vec<String> = gateways.map(ToString::to_string).collect();
        let recording = Recording {
            increments: &increments,
            keep: job.policy.keep,
            destinations: &names,
            gateways: &gateways,
            prefix: &job.prefix,
            success: report::needed_success(&run.record, job),
            is_notified: is_notified(spec),
        };
        state.get().and_then(|state| {
            state.record(&run.record, &recording, |past| {
                outgoing(spec, run, Some(past))
            })
        })
    };
    let (outgoing, entries) = match recorded {
        Ok((outgoing, entries)) => (outgoing, Some(entries)),
        Err(error) => {
            let outgoing = outgoing(spec, run, None);
            run.state_failure = Some(error);
            (outgoing, None)
        }
    };
    run.push = outgoing.push;
    LeftByRun {
        notifications: outgoing.notifications,
        entries,
    }
}

/// Returns true if notifications are sent, if there are any.
fn is_notified(spec: &RunSpec<'_>) -> bool {
    let is_sent = matches!(spec.reporting, Reporting::Push | Reporting::Enqueue);
    is_sent && !spec.job.policy.notify.to.is_empty()
}

/// Report and notifications of `run`, with what comes from the past of the group.
fn outgoing(spec: &RunSpec<'_>, run: &Run, past: Option<&GroupPast>) -> Outgoing<CheckError> {
    let (notifications, notified) = if is_notified(spec) {
        let known = past.map(|past| Cow::Borrowed(&past.notified));
        notification::of_run(&run.record, spec.job, &known.unwrap_or_default())
    } else {
        Default::default()
    };
    Outgoing {
        push: push_of(spec, &run.record, &run.comparisons, past),
        notifications,
        notified,
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
    Some(push.map(|push| push.with_runners_own(runners_own).with_ttl(job.policy.ttl)))
}
