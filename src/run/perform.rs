//! One run, from the wait for its turn to its report.

use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime};

use super::attempt::Attempt;
use super::events::Events;
use super::live::Live;
use super::lock::{Lock, LockError, Locking};
use super::order::{Order, Reporting};
use super::outcome::Outcome;
use super::pause::pause;
use super::signals::Signals;
use super::{Observer, Run, new_id, report, run};
use crate::job::builtin::Progress;
use crate::job::params::ParamError;
use crate::job::{Job, LockPolicy, Work};
use crate::metrics::check::{CheckError, add_pushable};
use crate::metrics::{Method, Push, unix_seconds};
use crate::push::{Delivery, Kept, Pusher, deliver};
use crate::state::counters::Counter;
use crate::state::history::RecordedRun;
use crate::state::{LazyState, State, StateError};

/// A run that is over, and what became of its report.
pub struct Performed {
    pub run: Run,
    /// The report, or why it is none that a gateway could take; `None` if none was wanted.
    pub push: Option<Result<Push, CheckError>>,
    /// `None` if nothing was sent.
    pub delivery: Option<Delivery>,
    /// What did not go as it should, but for the delivery.
    pub warnings: Vec<String>,
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

/// How often a report of counters is followed by another one, because they have changed meanwhile.
const MAX_FOLLOW_UPS: u32 = 20;

/// Waits for the job's turn, runs it, records the run and reports it.
pub fn perform(
    order: &Order<'_>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Performed, PerformError> {
    let state = match (&order.job.work, order.reporting) {
        // A command has a processor of its own; what a built-in does would only be disturbed.
        (Work::Command(_), Reporting::Push | Reporting::Record) => {
            LazyState::opening(order.state_dir)
        }
        _ => LazyState::new(order.state_dir),
    };
    let policy = &order.job.policy;
    let id = new_id();
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
    let (_lock, run, warnings) = match locking {
        Some(Locking::Interrupted(signal)) => {
            return Err(PerformError::Interrupted(signal.number));
        }
        Some(Locking::Busy(holder)) => {
            let why = match holder {
                Some(holder) => format!("another run goes on (process {})", holder.pid),
                None => "another run goes on".into(),
            };
            signals.hold();
            (None, Run::skipped(id, why), Vec::new())
        }
        Some(Locking::Locked(lock)) => {
            let (run, warnings) = run_live(order, id, progress, signals, observer)?;
            (Some(lock), run, warnings)
        }
        None => {
            let (run, warnings) = run_live(order, id, progress, signals, observer)?;
            (None, run, warnings)
        }
    };
    // The lock is kept until the report is out, so that reports come in the order of the runs.
    Ok(conclude(order, run, state, warnings))
}

/// Runs the job, and reports it while it goes on, if that is wanted.
fn run_live(
    order: &Order<'_>,
    id: String,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<(Run, Vec<String>), ParamError> {
    let Job { policy, .. } = order.job;
    let events = Arc::new(Events::new(order.job));
    let is_live = policy.push_start || policy.push_interval.is_some();
    if !is_live || order.reporting != Reporting::Push {
        let run = run(order.job, id, &events, progress, signals, observer)?;
        return Ok((run, Vec::new()));
    }
    let live = Live::new(order, &events);
    let run = thread::scope(|scope| {
        let observer = Reported {
            observer,
            live: &live,
            scope,
        };
        let run = run(order.job, id, &events, progress, signals, &observer);
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
        let thread = thread::Builder::new().spawn_scoped(self.scope, move || live.report(at));
        if let Err(error) = thread {
            live.fails(format!("no thread for it: {error}"));
        }
        self.observer.begins(at);
    }

    fn retries(&self, attempt: u32, end: &Attempt, wait: Duration) {
        self.observer.retries(attempt, end, wait);
    }
}

/// Records and reports a run.
fn conclude(
    order: &Order<'_>,
    mut run: Run,
    mut state: LazyState,
    mut warnings: Vec<String>,
) -> Performed {
    warnings.extend(run.warnings.iter().cloned());
    let mut own = report::runner(&run, order.job, Some(&[]));
    let runners = own.len();
    let left_out = add_pushable(order.key, &mut own, std::mem::take(&mut run.metrics));
    run.metrics = own.split_off(runners);
    let left_out = left_out.into_iter();
    warnings.extend(left_out.map(|error| format!("a metric of the job is left out: {error}")));
    let pusher = (order.reporting == Reporting::Push).then(|| order.gateway.pusher());
    let (totals, unrecorded) = match record(order, &run, &mut state) {
        Ok(totals) => (Some(totals), None),
        Err(error) => (None, Some(error)),
    };
    let unrecorded = unrecorded.map(|error| format!("the run is not in the history: {error}"));
    let push = match order.reporting {
        Reporting::Record => None,
        Reporting::Push | Reporting::DryRun => push_of(order, &run, totals.as_deref()),
    };
    let mut delivery = None;
    if let (Some(Ok(push)), Some(pusher)) = (&push, &pusher) {
        let done = deliver(push, pusher, &mut state);
        if let (Delivery::Delivered, Some(totals)) = (&done, totals) {
            follow_up(order, pusher, &mut state, totals);
        }
        delivery = Some(done);
    }
    // Where the embedded gateway failed, the reason is the same, and will be told.
    let is_told = matches!(
        delivery,
        Some(Delivery::Undelivered {
            kept: Kept::LostWithGateway,
            ..
        })
    );
    warnings.extend(unrecorded.filter(|_| !is_told));
    warnings.extend(state.take_damage().map(|damage| damage.to_string()));
    Performed {
        run,
        push,
        delivery,
        warnings,
    }
}

/// Records `run`. Returns the counters of its group, which have counted it.
fn record(order: &Order<'_>, run: &Run, state: &mut LazyState) -> Result<Vec<Counter>, StateError> {
    let job = order.job;
    let increments = report::increments(run, &job.prefix, &job.metrics);
    if order.reporting == Reporting::DryRun {
        let totals = match State::open_existing(order.state_dir)? {
            Some(mut state) => state.counters(order.key)?,
            None => Vec::new(),
        };
        return Ok(report::sum(totals, increments));
    }
    let recorded = RecordedRun {
        run_id: run.id.clone(),
        name: job.name.clone(),
        key: order.key.clone(),
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
    };
    state.get()?.record(&recorded, &increments, job.policy.keep)
}

/// The push of `run`'s report; `None` if there is nothing to report.
fn push_of(
    order: &Order<'_>,
    run: &Run,
    totals: Option<&[Counter]>,
) -> Option<Result<Push, CheckError>> {
    let job = order.job;
    let mut families = report::runner(run, job, totals);
    // A skipped run must not erase what the run that goes on reports.
    let mut method = Method::Post;
    if run.outcome != Outcome::Skipped {
        let own = report::with_totals(run.metrics.clone(), &job.metrics, totals);
        // What it leaves out was left out of the run before, and has been told.
        add_pushable(order.key, &mut families, own);
        method = job.method;
    }
    if families.is_empty() {
        return None;
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Push::new(
        order.key.clone(),
        method,
        families,
        run.completed_at,
    ))
}

/// Pushes the counters again if other runs have changed them meanwhile: their reports may have been
/// overtaken by ours, which knew less.
fn follow_up(
    order: &Order<'_>,
    pusher: &Pusher<'_>,
    state: &mut LazyState,
    mut pushed: Vec<Counter>,
) {
    let job = order.job;
    for _ in 0..MAX_FOLLOW_UPS {
        let totals = state.get().and_then(|state| state.counters(order.key));
        let Ok(totals) = totals else {
            return;
        };
        if totals == pushed {
            return;
        }
        let mut families = report::with_totals(Vec::new(), &job.metrics, Some(&totals));
        families.push(report::runs_total(&job.prefix, &totals));
        // The next run reports them too.
        let push = Push::new(order.key.clone(), Method::Post, families, SystemTime::now());
        let pushing = push.map(|push| pusher.push(&push, state));
        if !matches!(pushing, Ok(Ok(()))) {
            return;
        }
        pushed = totals;
    }
}
