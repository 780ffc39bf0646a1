//! Running a job, and its report.
//!
//! It may use [`crate::job`], [`crate::push`], [`metricsjob_system::files`], [`metricsjob_state`] and
//! [`metricsjob_metrics`].
//!
//! - [`perform`](perform()): one run from the wait for its turn to its report; [`Run`] is filled in on the way.
//! - `conclusion`: its record in the history, its report, and the delivery of that.
//! - `command`, `builtin`: one attempt each.
//! - [`Outcome`], `usage`: how it ended, what it used.
//! - [`events`]: metrics from inside the running job.
//! - [`report`]: a run as metric families.
//! - `anomaly`: values that are unusual beside those of earlier runs.
//! - `expected`: what is expected of the job, as families too.
//! - `lines`: line ends in a command's output.
//! - `live`: reports during a run.
//! - [`notification`]: events that somebody is notified of; `start_ping`: pings that a run has begun.
//! - [`lock`]: locks that keep runs of a job apart.
//! - [`Signals`]: handling of the signals that a run gets.

mod anomaly;
mod attempt;
mod builtin;
mod command;
mod conclusion;
pub mod events;
mod expected;
mod lines;
mod live;
pub mod lock;
pub mod notification;
mod outcome;
mod pause;
mod perform;
pub mod report;
mod signals;
mod spec;
mod start_ping;
mod usage;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use anomaly::Comparison;
pub use attempt::Attempt;
pub use command::{RUN_VARIABLE, reap_orphans};
pub use events::Events;
pub use outcome::Outcome;
pub use perform::{PerformError, perform, skip};
pub use signals::{ReceivedSignal, Signals, Teller};
pub use spec::{Reporting, RunSpec};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::job::builtin::Progress;
use crate::job::params::ParamError;
use crate::job::{Job, NotifyTarget, Work};
use crate::push::Delivery;
use metricsjob_metrics::check::CheckError;
use metricsjob_metrics::{Family, GroupingKey, Push, unix_seconds};
use metricsjob_state::StateError;
use metricsjob_state::history::RecordedRun;
use metricsjob_system::panics::point;
use usage::Usage;

/// The exit code of a run that a panic of ours has ended: `EX_SOFTWARE` of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;

/// A run, filled in as it goes: by its attempts, its record, its report and the delivery of that.
#[derive(Debug)]
pub struct Run {
    /// The run as the history keeps it.
    pub record: RecordedRun,
    /// The signal that asked this process to end while it ran.
    pub interrupted: Option<ReceivedSignal>,
    /// Problems that did not keep the job from running.
    pub warnings: Vec<String>,
    /// Comparisons of its values with those of the successes before it, if it is one.
    pub comparisons: Vec<Comparison>,
    /// The report, or why it is none that a gateway could take; `None` if there is none, or none was wanted.
    pub push: Option<Result<Push, CheckError>>,
    /// Why the run is not in the history, and its report not in the outbox.
    pub state_failure: Option<StateError>,
    /// Outcome of the push at each gateway; empty if nothing was sent from here.
    pub deliveries: Vec<Delivery>,
    /// Destination and outcome of each notification; empty if nothing was sent from here.
    pub notified: Vec<(NotifyTarget, Delivery)>,
}

impl Run {
    /// A run of `spec` that has not begun. `id` is unique: 16 hexadecimal digits, see [`new_id`].
    fn new(spec: &RunSpec<'_>, id: String) -> Self {
        Run {
            record: new_record(spec.job, spec.key, id),
            interrupted: None,
            warnings: Vec::new(),
            comparisons: Vec::new(),
            push: None,
            state_failure: None,
            deliveries: Vec::new(),
            notified: Vec::new(),
        }
    }

    /// A run that was ended by a panic of ours with this message.
    pub fn broken(spec: &RunSpec<'_>, id: String, message: &str) -> Self {
        let mut run = Run::new(spec, id);
        run.breaks(message);
        run
    }

    fn breaks(&mut self, message: &str) {
        self.ends(Outcome::Failure(EXIT_SOFTWARE));
        self.has_no_attempt(format!("internal error: {message}"));
    }

    fn skips(&mut self, why: String) {
        self.ends(Outcome::Skipped);
        self.has_no_attempt(why);
    }

    fn has_no_attempt(&mut self, why: String) {
        self.record.failure = Some(why);
        self.record.started_at = unix_seconds(SystemTime::now());
        self.record.ended_at = self.record.started_at;
    }

    fn ends(&mut self, outcome: Outcome) {
        self.record.outcome = outcome.name().to_owned();
        self.record.exit_code = outcome.exit_code();
    }

    pub fn outcome(&self) -> Outcome {
        report::outcome(&self.record)
    }

    /// Returns true if no gateway that was sent the report lacks it, and it is one that can be sent.
    pub fn is_reported(&self) -> bool {
        let mut deliveries = self.deliveries.iter();
        !matches!(self.push, Some(Err(_))) && deliveries.all(|delivery| delivery.result.is_ok())
    }
}

/// Observer of the events of a run. Each method does nothing by default.
pub trait Observer {
    /// The first attempt begins; `events` collects the job's own metrics.
    fn begins(&self, _at: SystemTime, _events: &Arc<Events>) {}

    /// Attempt number `attempt` (from 1) did not succeed, and another one follows after `wait`.
    fn retries(&self, _attempt: u32, _end: &Attempt, _wait: Duration) {}

    /// The last attempt has ended, and these are the job's own metrics.
    fn ends(&self, _own: &[Family]) {}
}

/// The record of a run that has not begun.
fn new_record(job: &Job, key: &GroupingKey, id: String) -> RecordedRun {
    let now = unix_seconds(SystemTime::now());
    RecordedRun {
        run_id: id,
        name: job.name.clone(),
        key: key.clone(),
        started_at: now,
        ended_at: now,
        duration: 0.0,
        outcome: Outcome::Skipped.name().to_owned(),
        exit_code: 0,
        failure: None,
        attempts: 0,
        cpu_user: 0.0,
        cpu_system: 0.0,
        max_rss: 0,
        metrics: Vec::new(),
        tail: Vec::new(),
    }
}

/// A new id for a run.
pub fn new_id() -> String {
    let mut bytes = [0; 8];
    // Straight from the system, which for one number takes less time than a generator's setting up.
    match SysRng.try_fill_bytes(&mut bytes) {
        Ok(()) => format!("{:016x}", u64::from_be_bytes(bytes)),
        Err(_) => format!("{:016x}", rand::random::<u64>()),
    }
}

/// Makes the attempts of `run`. A failure is an outcome, not an error. A signal that asks this process to end is
/// passed on to the job. After the run `signals` are held back, so that the report is not lost.
///
/// # Errors
///
/// A parameter of the built-in has a bad value; nothing has run.
fn attempts(
    run: &mut Run,
    job: &Job,
    events: &Arc<Events>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<(), ParamError> {
    let policy = &job.policy;
    let mut attempt: Box<dyn FnMut() -> Result<Attempt, ParamError> + '_> = match &job.work {
        Work::Command(command) => {
            let variables = variables(job, &run.record.run_id, events);
            let mut number = 0;
            Box::new(move || {
                number += 1;
                let mut variables = variables.clone();
                variables.push((command::ATTEMPT_VARIABLE, number.to_string().into()));
                Ok(command::attempt(
                    command, policy, &variables, events, signals,
                ))
            })
        }
        Work::Builtin(builtin, params) => {
            let mut first = Some(builtin.prepare(params)?);
            Box::new(move || {
                let mut task = match first.take() {
                    Some(task) => task,
                    None => builtin.prepare(params)?,
                };
                let (prefix, timeout) = (&job.prefix, policy.timeout);
                Ok(builtin::attempt(
                    &mut *task, prefix, timeout, events, progress, signals,
                ))
            })
        }
    };

    if let Work::Command(_) = job.work {
        // Before the observer learns that the run has begun; if it fails, the attempt will fail and report that.
        let _ = signals.pass();
    }
    let (started_at, start) = (SystemTime::now(), Instant::now());
    observer.begins(started_at, events);
    point("run");
    let mut usage = Usage::default();
    let mut number = 0;
    let last = loop {
        let mut last = attempt()?;
        number += 1;
        usage += last.usage;
        let is_last = number > policy.retries;
        if last.outcome.is_success() || last.interrupted.is_some() || is_last {
            break last;
        }
        let wait = policy.backoff.delay(number, rand::random());
        observer.retries(number, &last, wait);
        if let Some(signal) = pause::pause(wait, signals) {
            last.outcome = Outcome::Signal(signal.number);
            last.interrupted = Some(signal);
            break last;
        }
    };
    let (completed_at, duration) = (SystemTime::now(), start.elapsed());
    drop(attempt);
    signals.hold();
    let (metrics, warnings) = events.finish(|| signals.held().is_none());
    observer.ends(&metrics);
    run.ends(last.outcome);
    run.interrupted = last.interrupted;
    run.warnings = warnings;
    let record = &mut run.record;
    record.failure = last.failure.map(|why| events.secrets().redact_text(why));
    record.started_at = unix_seconds(started_at);
    record.ended_at = unix_seconds(completed_at);
    record.duration = duration.as_secs_f64();
    record.attempts = number;
    record.cpu_user = usage.cpu_user.as_secs_f64();
    record.cpu_system = usage.cpu_system.as_secs_f64();
    record.max_rss = usage.max_rss;
    record.metrics = metrics;
    record.tail = last.tail;
    Ok(())
}

/// Variables that a command finds in its environment.
fn variables(job: &Job, id: &str, events: &Events) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("METRICSJOB_JOB", job.job.clone().into()),
        (command::RUN_VARIABLE, id.into()),
    ];
    let path = events.with_path(|path| path.as_os_str().to_owned());
    variables.extend(path.map(|path| (events::METRICS_VARIABLE, path)));
    variables
}
