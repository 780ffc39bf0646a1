//! Running a job, and its report.
//!
//! It may use [`crate::job`], [`crate::push`], [`metricsjob_system::files`], [`metricsjob_state`] and
//! [`metricsjob_metrics`].
//!
//! - [`perform`](perform()): one run from the wait for its turn to its report, as the command line does it. A
//!   caller with several runs at a time calls [`take_turn`] for each, in a thread of its own, and then
//!   [`conclude`].
//! - [`run`](run()): the run itself, of one or more attempts; `command` and `builtin` are one
//!   attempt each.
//! - [`Outcome`], [`Usage`]: how it ended, what it used.
//! - [`events`]: metrics from inside the running job.
//! - [`report`]: a run as metric families.
//! - `lines`: line ends in a command's output.
//! - `live`: reports during a run.
//! - [`lock`]: locks that keep runs of a job apart.
//! - [`Signals`]: handling of the signals that a run gets.

mod attempt;
mod builtin;
mod command;
pub mod events;
mod lines;
mod live;
pub mod lock;
mod order;
mod outcome;
mod pause;
mod perform;
pub mod report;
mod signals;
mod usage;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use attempt::Attempt;
pub use command::reap_orphans;
pub use events::Events;
pub use order::{Reporting, RunSpec};
pub use outcome::Outcome;
pub use perform::{
    Concluded, PerformError, Performed, RunTurn, conclude, perform, recorded, take_turn,
};
pub use signals::{ReceivedSignal, Signals, Teller};
pub use usage::Usage;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::job::builtin::Progress;
use crate::job::params::ParamError;
use crate::job::{Job, Work};
use metricsjob_metrics::Family;
use metricsjob_system::panics::point;

/// The exit code of a run that a panic of ours has ended: `EX_SOFTWARE` of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Unique id: 16 hexadecimal digits.
    pub id: String,
    pub outcome: Outcome,
    /// Why it did not succeed, as far as that is known beyond the outcome.
    pub failure: Option<String>,
    pub started_at: SystemTime,
    pub completed_at: SystemTime,
    /// By a clock that does not jump.
    pub duration: Duration,
    pub attempts: u32,
    pub usage: Usage,
    /// The job's own.
    pub metrics: Vec<Family>,
    /// Metrics that were left out, and why.
    pub warnings: Vec<String>,
    /// The last lines that its last attempt wrote to stderr, if they were to be kept.
    pub tail: Vec<String>,
    /// The signal that asked this process to end while it ran.
    pub interrupted: Option<ReceivedSignal>,
}

impl Run {
    /// A run that was not begun, because another one is running.
    pub fn skipped(id: String, why: String) -> Self {
        Run::without_attempt(id, Outcome::Skipped, why)
    }

    /// A run that was ended by a panic of ours with this message.
    pub fn broken(id: String, message: &str) -> Self {
        let why = format!("internal error: {message}");
        Run::without_attempt(id, Outcome::Failure(EXIT_SOFTWARE), why)
    }

    fn without_attempt(id: String, outcome: Outcome, why: String) -> Self {
        let now = SystemTime::now();
        Run {
            id,
            outcome,
            failure: Some(why),
            started_at: now,
            completed_at: now,
            duration: Duration::ZERO,
            attempts: 0,
            usage: Usage::default(),
            metrics: Vec::new(),
            warnings: Vec::new(),
            tail: Vec::new(),
            interrupted: None,
        }
    }
}

/// Observer of the events of a run. Each method does nothing by default.
pub trait Observer {
    /// The first attempt begins.
    fn begins(&self, _at: SystemTime) {}

    /// Attempt number `attempt` (from 1) did not succeed, and another one follows after `wait`.
    fn retries(&self, _attempt: u32, _end: &Attempt, _wait: Duration) {}
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

/// Runs `job` as the run `id`. A failure is an outcome, not an error. A signal that asks this process
/// to end is passed on to the job. After the run `signals` are held back, so that the report is not
/// lost.
///
/// # Errors
///
/// A parameter of the built-in has a bad value; nothing has run.
pub fn run(
    job: &Job,
    id: String,
    events: &Arc<Events>,
    progress: &dyn Progress,
    signals: &Signals,
    observer: &dyn Observer,
) -> Result<Run, ParamError> {
    let policy = &job.policy;
    let mut attempt: Box<dyn FnMut() -> Result<Attempt, ParamError> + '_> = match &job.work {
        Work::Command(command) => {
            let variables = variables(job, &id, events);
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
    observer.begins(started_at);
    point("run");
    let (mut attempts, mut usage) = (0, Usage::default());
    let last = loop {
        let mut last = attempt()?;
        attempts += 1;
        usage += last.usage;
        let is_last = attempts > policy.retries;
        if last.outcome.is_success() || last.interrupted.is_some() || is_last {
            break last;
        }
        let wait = policy.backoff.delay(attempts, rand::random());
        observer.retries(attempts, &last, wait);
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
    Ok(Run {
        id,
        outcome: last.outcome,
        failure: last.failure.map(|why| events.secrets().redact_text(why)),
        started_at,
        completed_at,
        duration,
        attempts,
        usage,
        metrics,
        warnings,
        tail: last.tail,
        interrupted: last.interrupted,
    })
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
