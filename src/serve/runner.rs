//! One run, in a thread of its own: what `metricsjob run` does, but for the delivery of its report, which is left to
//! other threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::damage::{shorten_log, tell_damage};
use super::delivery::Deliverer;
use super::live::LiveRun;
use super::request::RunRequest;
use super::restore::Restored;
use crate::job::builtin::NoProgress;
use crate::job::output_pattern::OutputStream;
use crate::job::{Job, LockPolicy};
use crate::push::{DeliveryPolicy, Destinations, Undelivered};
use crate::run::lock::{self, Holder};
use crate::run::{self, Attempt, Events, Observer, Reporting, Run, RunSpec, Signals, report};
use metricsjob_client::Stop;
use metricsjob_metrics::{Family, GroupingKey};
use metricsjob_state::history::RecordedRun;
use metricsjob_state::{LazyState, State, StateError};
use metricsjob_system::panics;
use metricsjob_system::panics::locked;

/// How long a run that could not be recorded counts as a failure of the state that can be written again: the
/// next run may be far off.
const FAILURE_COUNTS: Duration = Duration::from_secs(15);

/// Where runs are recorded, and where their reports go.
pub struct Runner {
    destinations: Destinations,
    deliverer: Deliverer,
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
}

impl Runner {
    /// One whose reports go to `destinations`. Once `stop` is wanted, no gateway is waited for any more.
    pub fn new(
        destinations: Destinations,
        delivery: DeliveryPolicy,
        state_dir: PathBuf,
        stop: Stop,
    ) -> Self {
        Runner {
            destinations,
            deliverer: Deliverer::new(stop),
            delivery,
            recording: Mutex::new(LazyState::new(&state_dir)),
            reading: Mutex::new(LazyState::new(&state_dir)),
            probing: Mutex::new(LazyState::new(&state_dir)),
            failure: Mutex::new(None),
            state_dir,
        }
    }

    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    pub fn deliverer(&self) -> &Deliverer {
        &self.deliverer
    }

    pub fn delivery(&self) -> &DeliveryPolicy {
        &self.delivery
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
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

    /// Runs the job and records that, or that it did not run. `live` gets what it reports meanwhile.
    pub fn perform(&self, request: &RunRequest, live: &LiveRun, signals: &Signals) -> Run {
        self.concluded(request, |spec, id| {
            let observer = Noted {
                request,
                live,
                runner: self,
            };
            let state = &self.recording;
            let performed = run::perform(spec, id.clone(), state, &NoProgress, signals, &observer);
            performed.unwrap_or_else(|error| {
                let job = &request.job.name;
                tracing::error!(job, run_id = id, err = %error, "a run did not take place");
                run::skip(spec, id, error.to_string(), state)
            })
        })
    }

    /// Records that the run does not take place.
    pub fn skip(&self, request: &RunRequest, why: String) -> Run {
        self.concluded(request, |spec, id| {
            run::skip(spec, id, why, &self.recording)
        })
    }

    /// Does `work`, which makes a run of it, and has its report delivered. Where that panics, the run has failed: one that
    /// never ends would keep its slot for ever.
    fn concluded(
        &self,
        request: &RunRequest,
        work: impl FnOnce(&RunSpec<'_>, String) -> Run,
    ) -> Run {
        let (job, run_id) = (&request.job.name, &request.id);
        let spec = RunSpec {
            job: &request.job,
            key: &request.key,
            destinations: &self.destinations.of(&request.job),
            connection: &self.destinations.connection,
            delivery: &self.delivery,
            state_dir: &self.state_dir,
            reporting: Reporting::Enqueue,
            lines: Some(logged_lines(job, run_id)),
        };
        let concluded = panics::caught(|| {
            let run = work(&spec, run_id.clone());
            self.conclude(&run);
            run
        });
        concluded.unwrap_or_else(|message| {
            let err = &message;
            tracing::error!(
                job,
                run_id,
                err,
                "a panic: the end of a run is not recorded"
            );
            Run::broken(&spec, run_id.clone(), &message)
        })
    }

    /// Wakes the threads that deliver the outbox, and logs the end of the run.
    fn conclude(&self, run: &Run) {
        {
            let mut state = locked(&self.recording);
            shorten_log(&mut state, self.delivery.state_limit);
            tell_damage(&mut state);
        }
        self.deliverer.wake();
        let (job, run_id) = (&run.record.name, &run.record.run_id);
        for err in &run.warnings {
            tracing::warn!(job, run_id, err, "not all of a run went as it should");
        }
        if let Some(Err(error)) = &run.push {
            tracing::warn!(job, run_id, err = %error, "the report of a run is not pushed");
        }
        if let Some(error) = &run.state_failure {
            tracing::error!(job, run_id, err = %error, "a run could not be recorded");
        }
        for delivery in &run.deliveries {
            if let Err(Undelivered { error, .. }) = &delivery.result {
                tracing::error!(job, run_id, err = %error, "the report of a run is lost");
            }
        }
        for (target, delivery) in &run.notified {
            if let Err(Undelivered { error, .. }) = &delivery.result {
                tracing::error!(job, run_id, to = %target, err = %error, "a notification is lost");
            }
        }
        let failure = run.state_failure.as_ref();
        *locked(&self.failure) = failure.map(|error| (Instant::now(), error.to_string()));
        log_end(&run.record);
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

fn log_end(run: &RecordedRun) {
    let seconds = (run.duration * 1e6).round() / 1e6;
    let failure = run.failure.as_deref();
    let (job, run_id, outcome) = (&run.name, &run.run_id, run.outcome.as_str());
    let (attempts, exit_code) = (run.attempts, run.exit_code);
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
    if report::outcome(run).is_success() {
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
    live: &'a LiveRun,
    runner: &'a Runner,
}

impl Observer for Noted<'_> {
    fn begins(&self, at: SystemTime, events: &Arc<Events>) {
        let key = &self.request.key;
        let totals = || self.runner.read(|state| state.counters(key)).ok();
        self.live.begins(at, events, totals);
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

    fn ends(&self, own: &[Family]) {
        self.live.ends(own);
    }
}
