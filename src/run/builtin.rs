//! One attempt of a built-in.

use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::events::Events;
use super::outcome::Outcome;
use super::signals::{ReceivedSignal, Signals};
use super::usage::Meter;
use crate::job::builtin::{Context, Progress, Task};

/// Runs `task`. A signal that asks this process to end, and the end of `timeout`, are passed on as
/// the wish to stop.
pub fn attempt(
    task: &mut dyn Task,
    prefix: &str,
    timeout: Option<Duration>,
    events: &Events,
    progress: &dyn Progress,
    signals: &Signals,
) -> Attempt {
    signals.hold();
    let usage = Meter::start();
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let is_interrupted = || signals.held().is_some() || is_late();
    let context = Context::new(
        prefix,
        events.new_registry(),
        events,
        progress,
        &is_interrupted,
    );
    let result = task.run(&context);
    let held = signals.held();
    let (outcome, failure) = match result {
        Ok(()) => (Outcome::Success(0), None),
        Err(error) => match (held, timeout) {
            (Some(signal), _) => (Outcome::Signal(signal), Some(error.to_string())),
            (None, Some(timeout)) if is_late() => {
                let timeout = humantime::format_duration(timeout);
                let failure = format!("it took longer than {timeout}: {error}");
                (Outcome::Timeout, Some(failure))
            }
            _ => (Outcome::Failure(1), Some(error.to_string())),
        },
    };
    Attempt {
        outcome,
        failure,
        usage: usage.stop(),
        tail: Vec::new(),
        interrupted: held.map(|number| ReceivedSignal {
            number,
            is_from_kernel: false,
        }),
    }
}
