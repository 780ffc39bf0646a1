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
    let is_interrupted = || interrupt.signal().is_some();
    let context = Context::new(&job.prefix, progress, &is_interrupted);
    let mut work: Box<dyn FnMut() -> End + '_> = match &job.work {
        Work::Command(words) => Box::new(|| command::run(words)),
        Work::Builtin(builtin, params) => {
            let mut task = builtin.prepare(params)?;
            interrupt.watch();
            let context = &context;
            Box::new(move || match task.run(context) {
                Ok(()) => (Outcome::Success, None),
                Err(error) => {
                    let signal = interrupt.signal().map(Outcome::Signal);
                    let outcome = signal.unwrap_or(Outcome::Failure(1));
                    (outcome, Some(error.to_string()))
                }
            })
        }
    };

    let usage = usage::Meter::start(&job.work);
    let (started_at, start) = (SystemTime::now(), Instant::now());
    let (outcome, failure) = work();
    let (completed_at, duration) = (SystemTime::now(), start.elapsed());
    interrupt.watch();
    Ok(Run {
        outcome,
        failure,
        started_at,
        completed_at,
        duration,
        attempts: 1,
        usage: usage.stop(),
        metrics: registry::gather(context.registry()),
    })
}

/// How the work ended, and why it did not succeed, as far as that is known.
type End = (Outcome, Option<String>);
