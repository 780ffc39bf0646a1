//! One run, in a thread of its own: the same steps as those of `metricsjob run`, but for the delivery of its
//! report, which is left to other threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::bell::Bell;
use super::damage::{shorten_log, tell_damage};
use super::request::RunRequest;
use super::restore::Restored;
use crate::job::builtin::NoProgress;
use crate::job::metric_rule::OutputStream;
use crate::job::{Job, LockPolicy};
use crate::push::{DeliveryPolicy, Dispatch, Gateway};
use crate::run::lock::{self, Holder};
use crate::run::{self, Attempt, Concluded, Observer, Reporting, Run, RunSpec, RunTurn, Signals};
use metricsjob_client::Stop;
use metricsjob_metrics::{Family, GroupingKey, Method, Push};
use metricsjob_state::history::RecordedRun;
use metricsjob_state::{LazyState, State, StateError};
use metricsjob_system::panics::{self, point};

/// How long a run that could not be recorded counts as a failure of the state that can be written again: the
/// next run may be far off.
const FAILURE_COUNTS: Duration = Duration::from_secs(15);

/// Where runs are recorded, and where their reports go.
pub struct Runner {
    gateways: Vec<Gateway>,
    /// As the outbox names them.
    names: Vec<String>,
    delivery: DeliveryPolicy,
    state_dir: PathBuf,
    /// Connection by which all runs are recorded, one after the other.
    recording: Mutex<LazyState>,
    /// Connection for reads, which need not wait for recording.
    reading: Mutex<LazyState>,
    /// Connection for the check whether the state can be written: that waits for other writing processes, and no
    /// scrape may wait for those.
    probing: Mutex<LazyState>,
    /// Since when the last run could not be recorded, and why.
    failure: Mutex<Option<(Instant, String)>>,
    /// Rung when there is something to deliver: one for each gateway.
    bells: Vec<Arc<Bell>>,
}

/// A run that is over, and recorded if that was possible.
pub struct Settled {
    pub run: RecordedRun,
    /// Change of the shown metrics by its report.
    pub report: Option<(Method, Vec<Family>)>,
}

/// Settles a run by `work`, or as failed where that panics: one that is never settled would keep its slot for ever.
pub fn settled_anyhow(request: &RunRequest, work: impl FnOnce() -> Settled) -> Settled {
    panics::caught(work).unwrap_or_else(|message| {
        let (job, run_id) = (&request.job.name, &request.id);
        tracing::error!(
            job,
            run_id,
            err = message,
            "a panic: the end of a run is not recorded"
        );
        let run = Run::broken(request.id.clone(), &message);
        Settled {
            run: run::recorded(&run, job, &request.key),
            report: None,
        }
    })
}

impl Runner {
    pub fn new(gateways: Vec<Gateway>, delivery: DeliveryPolicy, state_dir: PathBuf) -> Self {
        let names = Dispatch::new(&gateways, &state_dir, &delivery, Stop::never()).names();
        Runner {
            bells: gateways.iter().map(|_| Arc::default()).collect(),
            names,
            gateways,
            delivery,
            recording: Mutex::new(LazyState::new(&state_dir)),
            reading: Mutex::new(LazyState::new(&state_dir)),
            probing: Mutex::new(LazyState::new(&state_dir)),
            failure: Mutex::new(None),
            state_dir,
        }
    }

    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    pub fn delivery(&self) -> &DeliveryPolicy {
        &self.delivery
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    pub fn bells(&self) -> &[Arc<Bell>] {
        &self.bells
    }

    /// Reads from the state. It may take a while.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&mut State) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        ask(&self.reading, read)
    }

    /// Why runs cannot be recorded; `None` if they can. It may take a while.
    pub fn state_failure(&self) -> Option<String> {
        let probed = ask(&self.probing, State::probe);
        let failure = probed.err().map(|error| error.to_string());
        let unrecorded = locked(&self.failure).clone();
        let unrecorded = unrecorded.filter(|(since, _)| since.elapsed() < FAILURE_COUNTS);
        failure.or(unrecorded.map(|(_, why)| why))
    }

    /// Restores the state of a job from the history; an empty one if the history cannot be read.
    pub fn restore(&self, job: &Job, key: &GroupingKey) -> Restored {
        let restored = self.read(|state| Restored::of(state, job, key));
        restored.unwrap_or_else(|error| {
            let job = &job.name;
            tracing::warn!(job, err = %error, "the job's history could not be read");
            Restored::default()
        })
    }

    /// Holder of the job's lock, if the job is one that does not wait for others.
    pub fn holder(&self, job: &Job, key: &GroupingKey) -> Option<Holder> {
        match job.policy.lock {
            LockPolicy::Wait(Duration::ZERO) => lock::holder_of(&self.state_dir, key),
            LockPolicy::Wait(_) | LockPolicy::Off => None,
        }
    }

    /// Runs the job and records that.
    pub fn perform(&self, request: &RunRequest, signals: &Signals) -> Settled {
        let order = self.order(request);
        let observer = Noted { request };
        let id = request.id.clone();
        match run::take_turn(&order, id, &NoProgress, signals, &observer) {
            Ok(turn) => self.conclude(&order, turn, Some(signals.stop())),
            Err(error) => {
                let (job, run_id) = (&request.job.name, &request.id);
                tracing::error!(job, run_id, err = %error, "a run did not take place");
                self.skip(request, error.to_string())
            }
        }
    }

    /// Records that the run did not take place.
    pub fn skip(&self, request: &RunRequest, why: String) -> Settled {
        let turn = RunTurn {
            run: Run::skipped(request.id.clone(), why),
            lock: None,
            warnings: Vec::new(),
        };
        self.conclude(&self.order(request), turn, None)
    }

    fn order<'a>(&'a self, request: &'a RunRequest) -> RunSpec<'a> {
        RunSpec {
            job: &request.job,
            key: &request.key,
            gateways: &self.gateways,
            delivery: &self.delivery,
            state_dir: &self.state_dir,
            reporting: Reporting::Enqueue,
            lines: Some(logged_lines(&request.job.name, &request.id)),
        }
    }

    /// Records the run, and has its report delivered. A report that cannot be put into the outbox is delivered here,
    /// unless `stop` is wanted; without `stop` it is not.
    fn conclude(&self, order: &RunSpec<'_>, turn: RunTurn, stop: Option<Stop>) -> Settled {
        point("conclude");
        let RunTurn {
            run,
            warnings,
            lock,
        } = turn;
        let concluded = {
            let mut state = locked(&self.recording);
            let concluded = run::conclude(order, run, &mut state, warnings, &self.names);
            shorten_log(&mut state, self.delivery.state_limit);
            tell_damage(&mut state);
            concluded
        };
        if let (Some(Ok(push)), Some(_), Some(stop)) =
            (&concluded.push, &concluded.state_failure, stop)
        {
            self.deliver_unkept(order, &concluded.run.id, push, stop);
        }
        // The outbox has the reports in the order of the runs.
        drop(lock);
        for bell in &self.bells {
            bell.ring();
        }
        let Concluded {
            run,
            push,
            warnings,
            state_failure,
            ..
        } = concluded;
        let (job, run_id) = (&order.job.name, &run.id);
        for warning in &warnings {
            tracing::warn!(
                job,
                run_id,
                err = warning,
                "not all of a run went as it should"
            );
        }
        if let Some(Err(error)) = &push {
            tracing::warn!(job, run_id, err = %error, "the report of a run is not pushed");
        }
        if let Some(error) = &state_failure {
            tracing::error!(job, run_id, err = %error, "a run could not be recorded");
        }
        *locked(&self.failure) = state_failure.map(|error| (Instant::now(), error.to_string()));
        log_end(job, &run);
        let report = push.and_then(Result::ok);
        Settled {
            run: run::recorded(&run, job, order.key),
            report: report.map(|push| (push.method(), push.families().to_vec())),
        }
    }

    fn deliver_unkept(&self, order: &RunSpec<'_>, run_id: &str, push: &Push, stop: Stop) {
        let dispatch = Dispatch::new(&self.gateways, &self.state_dir, &self.delivery, stop);
        // Not the one that others wait for.
        let mut state = LazyState::new(&self.state_dir);
        let deliveries = dispatch.deliver(push, None, &mut state, dispatch.until());
        tell_damage(&mut state);
        for delivery in deliveries {
            if let Err(undelivered) = delivery.result {
                let (job, error) = (&order.job.name, undelivered.error);
                tracing::error!(job, run_id, err = %error, "the report of a run is lost");
            }
        }
    }
}

fn ask<T>(
    state: &Mutex<LazyState>,
    ask: impl FnOnce(&mut State) -> Result<T, StateError>,
) -> Result<T, StateError> {
    let mut state = locked(state);
    let result = state.get().and_then(ask);
    tell_damage(&mut state);
    if let Err(error @ StateError::NotReplaced { aside: Some(_), .. }) = &result {
        tracing::error!(err = %error, "the state was replaced");
    }
    result
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_end(job: &str, run: &Run) {
    let seconds = (run.duration.as_secs_f64() * 1e6).round() / 1e6;
    let failure = run.failure.as_deref();
    let (run_id, outcome, attempts) = (&run.id, run.outcome.name(), run.attempts);
    let exit_code = run.outcome.exit_code();
    macro_rules! ended {
        ($level:ident) => {
            tracing::$level!(
                job,
                run_id,
                outcome,
                exit_code,
                attempts,
                seconds,
                failure,
                "run ended"
            )
        };
    }
    if run.outcome.is_success() {
        ended!(info)
    } else {
        ended!(warn)
    }
}

/// Sink that makes the lines of a command a part of the log.
fn logged_lines(job: &str, run_id: &str) -> Arc<run::events::LineSink> {
    let (job, run_id) = (job.to_owned(), run_id.to_owned());
    Arc::new(move |stream, line| {
        let stream = match stream {
            OutputStream::Stderr => "stderr",
            _ => "stdout",
        };
        let text = String::from_utf8_lossy(line);
        tracing::info!(job, run_id, stream, text = %text, "output");
    })
}

struct Noted<'a> {
    request: &'a RunRequest,
}

impl Observer for Noted<'_> {
    fn begins(&self, _at: SystemTime) {
        let (job, run_id) = (&self.request.job.name, &self.request.id);
        let trigger = self.request.trigger.name();
        tracing::debug!(job, run_id, trigger, "run begins");
    }

    fn retries(&self, attempt: u32, end: &Attempt, wait: Duration) {
        let (job, run_id) = (&self.request.job.name, &self.request.id);
        let wait = humantime::format_duration(wait);
        let failure = end.failure.as_deref();
        tracing::warn!(
            job,
            run_id,
            attempt,
            outcome = %end.outcome,
            failure,
            next_in = %wait,
            "an attempt did not succeed"
        );
    }
}
