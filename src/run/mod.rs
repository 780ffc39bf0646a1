//! Running a job, and what there is to report about it.
//!
//! It may use [`crate::job`] and [`crate::metrics`].
//!
//! - [`run`]: one execution of a job.
//! - [`Outcome`]: how it ended.
//! - [`report`]: a finished run as metric families.

mod command;
mod interrupt;
mod outcome;
pub mod report;
mod usage;

use std::time::{Duration, Instant, SystemTime};

pub use interrupt::Interrupt;
pub use outcome::Outcome;
pub use usage::Usage;

use crate::job::builtin::{Context, Progress};
use crate::job::params::ParamError;
use crate::job::{Job, Work};
use crate::metrics::{Family, registry};

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    pub outcome: Outcome,
    /// Why it did not succeed, as far as that is known.
    pub failure: Option<String>,
    pub started_at: SystemTime,
    pub completed_at: SystemTime,
    /// By a clock that does not jump.
    pub duration: Duration,
    pub attempts: u32,
    pub usage: Usage,
    /// The job's own.
    pub metrics: Vec<Family>,
}

/// Runs `job` once and waits for its end. A failure is an outcome, not an error. A signal that asks
/// this process to end is passed on to a built-in as the wish to stop, and then is the outcome; while
/// a command runs, it ends this process. After the run `interrupt` watches in either case, so that
/// the report is not lost.
///
/// # Errors
///
/// A parameter of the built-in has a bad value; nothing has run.
pub fn run(job: &Job, progress: &dyn Progress, interrupt: &Interrupt) -> Result<Run, ParamError> {
    let mut task = match &job.work {
        Work::Command(_) => None,
        Work::Builtin(builtin, params) => Some(builtin.prepare(params)?),
    };
    if task.is_some() {
        interrupt.watch();
    }
    let is_interrupted = || interrupt.signal().is_some();
    let context = Context::new(&job.prefix, progress, &is_interrupted);

    let usage = usage::Meter::start(&job.work);
    let (started_at, start) = (SystemTime::now(), Instant::now());
    let (outcome, failure) = match (&job.work, &mut task) {
        (Work::Command(words), _) => command::run(words),
        (Work::Builtin(..), None) => (Outcome::Success, None),
        (Work::Builtin(..), Some(task)) => match task.run(&context) {
            Ok(()) => (Outcome::Success, None),
            Err(error) => {
                let outcome = interrupt
                    .signal()
                    .map_or(Outcome::Failure(1), Outcome::Signal);
                (outcome, Some(error.to_string()))
            }
        },
    };
    interrupt.watch();
    Ok(Run {
        outcome,
        failure,
        started_at,
        completed_at: SystemTime::now(),
        duration: start.elapsed(),
        attempts: 1,
        usage: usage.stop(),
        metrics: registry::gather(context.registry()),
    })
}
