//! One run, from the wait for its turn to its report.

use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime};

use super::attempt::Attempt;
use super::events::Events;
use super::live::Live;
use super::lock::{Lock, LockError, Locking};
use super::order::{Reporting, RunSpec};
use super::outcome::Outcome;
use super::pause::pause;
use super::signals::Signals;
use super::{Observer, Run, new_id, report, run};
use crate::job::builtin::Progress;
use crate::job::params::ParamError;
use crate::job::{Job, LockPolicy, Work};
use crate::push::secrets;
use crate::push::{Delivery, Dispatch};
use metricsjob_metrics::check::{CheckError, add_pushable};
use metricsjob_metrics::{GroupingKey, Method, Push, unix_seconds};
use metricsjob_state::counters::Counter;
use metricsjob_state::history::{Recorded, RecordedRun};
use metricsjob_state::{LazyState, State, StateError};
use metricsjob_system::panics;

/// A run that is over, and the fate of its report.
pub struct Performed<'a> {
    pub run: Run,
    /// The report, or why it is none that a gateway could take; `None` if none was wanted.
    pub push: Option<Result<Push, CheckError>>,
    /// Outcome of the push at each gateway; empty if nothing was sent.
    pub deliveries: Vec<Delivery>,
    /// Why the run is not in the history, and its report not in the outbox.
    pub state_failure: Option<StateError>,
    /// Other problems of the run or its record.
    pub warnings: Vec<String>,
    /// Resources of the run. Closing them takes a while, which a process that ends can do without.
    _open: (LazyState, Option<Dispatch<'a>>),
}

/// Why nothing has run.
#[derive(Debug, thiserror::Error)]
pub enum PerformError {
    #[error(transparent)]
    Param(#[from] ParamError),
    #[error("{0}; nothing has run, because another run may go on")]
    Lock(#[from] LockError),
    /// By the signal of this number, while it waited for its turn.
    #[error("signal {0} came before the run began")]
    Interrupted(u8),
}

/// Waits for the job's turn, runs it, records the run and reports it.
pub fn perform<'a>(
    order: &RunSpec<'a>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Performed<'a>, PerformError> {
    let mut state = match (&order.job.work, order.reporting) {
        // A command has a processor of its own; a built-in would only be disturbed.
        (Work::Command(_), Reporting::Push | Reporting::Record) => {
            LazyState::opening(order.state_dir)
        }
        _ => LazyState::new(order.state_dir),
    };
    let RunTurn {
        run,
        lock,
        warnings,
    } = take_turn(order, new_id(), progress, signals, observer)?;
    let dispatch = (order.reporting == Reporting::Push).then(|| {
        let RunSpec {
            gateways,
            state_dir,
            delivery,
            ..
        } = order;
        Dispatch::new(gateways, state_dir, delivery, signals.stop())
    });
    let names = dispatch.as_ref().map(Dispatch::names).unwrap_or_default();
    let mut concluded = conclude(order, run, &mut state, warnings, &names);
    let mut deliveries = Vec::new();
    if let (Some(Ok(push)), Some(dispatch)) = (&concluded.push, &dispatch) {
        let until = dispatch.until();
        deliveries = dispatch.deliver(push, concluded.entries.as_deref(), &mut state, until);
        // It was kept until the report is out, so that reports come in the order of the runs.
        drop(lock);
        if concluded.state_failure.is_none() {
            dispatch.finish(&mut deliveries, &mut state, until);
        }
    }
    let pruned = state.shorten_log(order.delivery.state_limit);
    let damage = state.take_damage().map(|damage| damage.to_string());
    let pruned = pruned.map(|pruned| pruned.to_string());
    concluded.warnings.extend(damage.into_iter().chain(pruned));
    Ok(Performed {
        run: concluded.run,
        push: concluded.push,
        deliveries,
        state_failure: concluded.state_failure,
        warnings: concluded.warnings,
        _open: (state, dispatch),
    })
}

/// A run that is over, and is not recorded yet.
pub struct RunTurn {
    pub run: Run,
    /// The job's lock, if it has one: its next run begins once this is dropped.
    pub lock: Option<Lock>,
    /// Problems that did not keep the job from running.
    pub warnings: Vec<String>,
}

/// Waits for the job's turn, and runs it as the run `id`.
pub fn take_turn(
    order: &RunSpec<'_>,
    id: String,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<RunTurn, PerformError> {
    let policy = &order.job.policy;
    let splay = policy.splay.mul_f64(match policy.splay {
        Duration::ZERO => 0.0,
        _ => rand::random(),
    });
    if let Some(signal) = pause(splay, signals) {
        return Err(PerformError::Interrupted(signal.number));
    }
    let locking = match policy.lock {
        LockPolicy::Off => None,
        LockPolicy::Wait(wait) => Some(Lock::acquire(
            order.state_dir,
            order.key,
            &id,
            wait,
            signals,
        )?),
    };
    let (lock, (run, warnings)) = match locking {
        Some(Locking::Interrupted(signal)) => {
            return Err(PerformError::Interrupted(signal.number));
        }
        Some(Locking::Busy(holder)) => {
            let why = match holder {
                Some(holder) => format!("another run goes on (process {})", holder.pid),
                None => "another run goes on".into(),
            };
            signals.hold();
            (None, (Run::skipped(id, why), Vec::new()))
        }
        Some(Locking::Locked(lock)) => {
            let ran = run_live(order, id, progress, signals, observer)?;
            (Some(lock), ran)
        }
        None => (None, run_live(order, id, progress, signals, observer)?),
    };
    Ok(RunTurn {
        run,
        lock,
        warnings,
    })
}

/// Runs the job. A panic is a failure of the run, so that it is reported like any other.
fn run_guarded(
    job: &Job,
    id: String,
    events: &Arc<Events>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Run, ParamError> {
    let run = || run(job, id.clone(), events, progress, signals, observer);
    panics::caught(run).unwrap_or_else(|message| {
        signals.hold();
        Ok(Run::broken(id, &message))
    })
}

/// Runs the job, and reports it while it is running, if that is wanted.
fn run_live(
    order: &RunSpec<'_>,
    id: String,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<(Run, Vec<String>), ParamError> {
    let Job { policy, .. } = order.job;
    let secrets = secrets::of_process(order.gateways);
    let events = Arc::new(Events::new(order.job, order.lines.clone(), secrets));
    let is_live = policy.push_start || policy.push_interval.is_some();
    let is_pushed = matches!(order.reporting, Reporting::Push | Reporting::Enqueue);
    if !is_live || !is_pushed {
        let run = run_guarded(order.job, id, &events, progress, signals, observer)?;
        return Ok((run, Vec::new()));
    }
    let live = Live::new(order, &events);
    let run = thread::scope(|scope| {
        let observer = Reported {
            observer,
            live: &live,
            scope,
        };
        let run = run_guarded(order.job, id, &events, progress, signals, &observer);
        live.end();
        run
    })?;
    let (failure, damage) = live.into_failures();
    let failure =
        failure.map(|error| format!("a report while the run went on was not delivered: {error}"));
    let damage = damage.map(|damage| damage.to_string());
    Ok((run, failure.into_iter().chain(damage).collect()))
}

/// Begins the reports of a run when it begins.
struct Reported<'scope, 'env, 'a> {
    observer: &'a dyn Observer,
    live: &'scope Live<'env>,
    scope: &'scope Scope<'scope, 'env>,
}

impl Observer for Reported<'_, '_, '_> {
    fn begins(&self, at: SystemTime) {
        let live = self.live;
        let thread = thread::Builder::new().spawn_scoped(self.scope, move || {
            // The scope would pass it on at its end, and the outcome of the run would be lost.
            if let Err(message) = panics::caught(|| live.report(at)) {
                live.fails(format!("internal error: {message}"));
            }
        });
        if let Err(error) = thread {
            live.fails(format!("no thread for it: {error}"));
        }
        self.observer.begins(at);
    }

    fn retries(&self, attempt: u32, end: &Attempt, wait: Duration) {
        self.observer.retries(attempt, end, wait);
    }
}

/// A run that is over, with its report and its record.
pub struct Concluded {
    pub run: Run,
    pub push: Option<Result<Push, CheckError>>,
    pub warnings: Vec<String>,
    /// Why the run is not in the history, and its report not in the outbox.
    pub state_failure: Option<StateError>,
    /// The report in the outbox, once for each gateway; `None` if it could not be put there.
    pub entries: Option<Vec<i64>>,
}

/// Records a run, and puts its report into the outbox, in one step: a run that is seen as finished is also
/// reported, even if this process ends here. `gateways` are named as the outbox names them.
pub fn conclude(
    order: &RunSpec<'_>,
    mut run: Run,
    state: &mut LazyState,
    mut warnings: Vec<String>,
    gateways: &[String],
) -> Concluded {
    warnings.extend(run.warnings.iter().cloned());
    let mut own = report::runner(&run, order.job, Some(&[]));
    let runners = own.len();
    let left_out = add_pushable(order.key, &mut own, std::mem::take(&mut run.metrics));
    run.metrics = own.split_off(runners);
    let left_out = left_out.into_iter();
    warnings.extend(left_out.map(|error| format!("a metric of the job is left out: {error}")));
    let (push, entries, state_failure) = match record(order, &run, state, gateways) {
        Ok(recorded) => (recorded.push, Some(recorded.entries), None),
        Err(error) => (push_of(order, &run, None), None, Some(error)),
    };
    Concluded {
        run,
        push,
        warnings,
        state_failure,
        entries,
    }
}

/// Records `run`, makes the push of its report, and puts that into the outbox.
fn record(
    order: &RunSpec<'_>,
    run: &Run,
    state: &mut LazyState,
    gateways: &[String],
) -> Result<Recorded<CheckError>, StateError> {
    let job = order.job;
    let increments = report::increments(run, &job.prefix, &job.metrics);
    if order.reporting == Reporting::DryRun {
        let totals = match State::open_existing(order.state_dir)? {
            Some(mut state) => state.counters(order.key)?,
            None => Vec::new(),
        };
        return Ok(Recorded {
            push: push_of(order, run, Some(&report::sum(totals, increments))),
            entries: Vec::new(),
        });
    }
    let recorded = recorded(run, &job.name, order.key);
    let keep = job.policy.keep;
    let state = state.get()?;
    state.record(&recorded, &increments, keep, gateways, |totals| {
        push_of(order, run, Some(totals))
    })
}

/// `run` as the history keeps it.
pub fn recorded(run: &Run, name: &str, key: &GroupingKey) -> RecordedRun {
    RecordedRun {
        run_id: run.id.clone(),
        name: name.to_owned(),
        key: key.clone(),
        started_at: unix_seconds(run.started_at),
        ended_at: unix_seconds(run.completed_at),
        duration: run.duration.as_secs_f64(),
        outcome: run.outcome.name().to_owned(),
        exit_code: run.outcome.exit_code(),
        failure: run.failure.clone(),
        attempts: run.attempts,
        cpu_user: run.usage.cpu_user.as_secs_f64(),
        cpu_system: run.usage.cpu_system.as_secs_f64(),
        max_rss: run.usage.max_rss,
        metrics: run.metrics.clone(),
        tail: run.tail.clone(),
    }
}

/// The push of `run`'s report; `None` if there is nothing to report, or it is not wanted.
fn push_of(
    order: &RunSpec<'_>,
    run: &Run,
    totals: Option<&[Counter]>,
) -> Option<Result<Push, CheckError>> {
    if order.reporting == Reporting::Record {
        return None;
    }
    let job = order.job;
    let mut families = report::runner(run, job, totals);
    let runners_own = report::names(&families);
    // A skipped run must not erase the metrics of the running one.
    let mut method = Method::Post;
    if run.outcome != Outcome::Skipped {
        let own = report::with_totals(run.metrics.clone(), &job.metrics, totals);
        // The metrics that it leaves out were left out of the run before, with a warning.
        add_pushable(order.key, &mut families, own);
        method = job.method;
    }
    if families.is_empty() {
        return None;
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let push = Push::new(order.key.clone(), method, families, run.completed_at);
    Some(push.map(|push| push.with_runners_own(runners_own)))
}
