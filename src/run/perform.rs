//! One run, from the wait for its turn to its report.

use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime};

use super::attempt::Attempt;
use super::events::Events;
use super::live::Live;
use super::lock::{Lock, LockError, Locking};
use super::pause::pause;
use super::signals::Signals;
use super::spec::{Reporting, RunSpec};
use super::start_ping::StartPings;
use super::{Observer, Run, attempts, conclusion};
use crate::job::builtin::Progress;
use crate::job::params::ParamError;
use crate::job::{Job, LockPolicy};
use crate::push::secrets;
use metricsjob_metrics::Family;
use metricsjob_state::LazyState;
use metricsjob_system::panics::{self, point};

/// Why nothing has run.
#[derive(Debug, thiserror::Error)]
pub enum PerformError {
    #[error(transparent)]
    Param(#[from] ParamError),
    #[error("{0}; nothing has run, because another run may be in progress")]
    Lock(#[from] LockError),
    /// By the signal of this number, while it waited for its turn.
    #[error("signal {0} came before the run began")]
    Interrupted(u8),
}

/// Waits for the job's turn, runs it as the run `id`, records the run and reports it. `state` may be shared with
/// other runs; it is locked from the record on, until the report is delivered if that is done here.
pub fn perform(
    spec: &RunSpec<'_>,
    id: String,
    state: &Mutex<LazyState>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Run, PerformError> {
    let mut run = Run::new(spec, id);
    let mut pings = StartPings::none();
    let lock = take_turn(spec, &mut run, &mut pings, progress, signals, observer)?;
    point("conclude");
    conclusion::conclude(spec, &mut run, (lock, pings), state, signals.stop());
    Ok(run)
}

/// Records that the run `id` does not take place, and puts the report of that into the outbox.
pub fn skip(spec: &RunSpec<'_>, id: String, why: String, state: &Mutex<LazyState>) -> Run {
    let mut run = Run::new(spec, id);
    run.skips(why);
    point("conclude");
    conclusion::record(spec, &mut run, &mut panics::locked(state));
    run
}

/// Waits for the job's turn, and runs it unless another run of it is running; then `pings` say so. Returns the job's lock, if it has one:
/// its next run begins once that is dropped.
fn take_turn(
    spec: &RunSpec<'_>,
    run: &mut Run,
    pings: &mut StartPings,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Option<Lock>, PerformError> {
    let policy = &spec.job.policy;
    let splay = policy.splay.mul_f64(match policy.splay {
        Duration::ZERO => 0.0,
        _ => rand::random(),
    });
    if let Some(signal) = pause(splay, signals) {
        return Err(PerformError::Interrupted(signal.number));
    }
    let lock = match policy.lock {
        LockPolicy::Off => None,
        LockPolicy::Wait(wait) => {
            let id = &run.record.run_id;
            match Lock::acquire(spec.state_dir, spec.key, id, wait, signals)? {
                Locking::Locked(lock) => Some(lock),
                Locking::Interrupted(signal) => {
                    return Err(PerformError::Interrupted(signal.number));
                }
                Locking::Busy(holder) => {
                    run.skips(match holder {
                        Some(holder) => {
                            format!("another run is in progress (process {})", holder.pid)
                        }
                        None => "another run is in progress".into(),
                    });
                    signals.hold();
                    return Ok(None);
                }
            }
        }
    };
    *pings = StartPings::send(spec, &run.record.run_id, &signals.stop());
    run_live(spec, run, progress, signals, observer)?;
    Ok(lock)
}

/// Runs the job. A panic is a failure of the run, so that it is reported like any other.
fn run_guarded(
    job: &Job,
    run: &mut Run,
    events: &Arc<Events>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<(), ParamError> {
    let attempts = || attempts(run, job, events, progress, signals, observer);
    panics::caught(attempts).unwrap_or_else(|message| {
        signals.hold();
        run.breaks(&message);
        Ok(())
    })
}

/// Runs the job, and reports it while it is running, if that is wanted.
fn run_live(
    spec: &RunSpec<'_>,
    run: &mut Run,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<(), ParamError> {
    let Job { policy, .. } = spec.job;
    let secrets = secrets::of_process(spec.destinations, &policy.notify.to);
    let events = Arc::new(Events::new(spec.job, spec.lines.clone(), secrets));
    let is_live = policy.push_start || policy.push_interval.is_some();
    let is_pushed = matches!(spec.reporting, Reporting::Push | Reporting::Enqueue);
    if !is_live || !is_pushed {
        return run_guarded(spec.job, run, &events, progress, signals, observer);
    }
    let live = Live::new(spec, &events);
    thread::scope(|scope| {
        let observer = Reported {
            observer,
            live: &live,
            scope,
        };
        let result = run_guarded(spec.job, run, &events, progress, signals, &observer);
        live.end();
        result
    })?;
    let (failure, damage) = live.into_failures();
    let failure =
        failure.map(|error| format!("a report during the run was not delivered: {error}"));
    let damage = damage.map(|damage| damage.to_string());
    run.warnings.splice(0..0, failure.into_iter().chain(damage));
    Ok(())
}

/// Begins the reports of a run when it begins.
struct Reported<'scope, 'env, 'a> {
    observer: &'a dyn Observer,
    live: &'scope Live<'env>,
    scope: &'scope Scope<'scope, 'env>,
}

impl Observer for Reported<'_, '_, '_> {
    fn begins(&self, at: SystemTime, events: &Arc<Events>) {
        let live = self.live;
        let thread = thread::Builder::new().spawn_scoped(self.scope, move || {
            // The scope would pass it on at its end, and the outcome of the run would be lost.
            if let Err(message) = panics::caught(|| live.report(at)) {
                live.fails(format!("internal error: {message}"));
            }
        });
        if let Err(error) = thread {
            live.fails(format!(
                "no thread for it: {}",
                metricsjob_system::reason(&error)
            ));
        }
        self.observer.begins(at, events);
    }

    fn retries(&self, attempt: u32, end: &Attempt, wait: Duration) {
        self.observer.retries(attempt, end, wait);
    }

    fn ends(&self, own: &[Family]) {
        self.observer.ends(own);
    }
}
