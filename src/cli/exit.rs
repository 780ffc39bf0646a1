//! Exit codes of errors.

use std::fmt;
use std::io;

use super::advice::with_advice;
use super::console;
use metricsjob::push::GatewayError;

pub const SUCCESS: u8 = 0;

/// Any error without a code of its own.
pub const FAILURE: u8 = 1;

/// Wrong usage or a bad job file; nothing has run and nothing was sent.
pub const USAGE: u8 = 2;

/// A check that could not find out, as monitoring plugins say it.
pub const UNKNOWN: u8 = 3;

/// The gateway could not be reached, or refused. `EX_UNAVAILABLE` of sysexits.h.
pub const UNAVAILABLE: u8 = 69;

/// An error that the user can mend by calling otherwise.
#[derive(Debug)]
struct UsageError(anyhow::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UsageError {}

/// Marks `error` as one that ends with exit code 2.
pub fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(UsageError(error.into()))
}

/// Writes `error` to stderr and returns the exit code that goes with it.
pub fn report(error: &anyhow::Error) -> u8 {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        // The reader of our output has seen enough.
        return SUCCESS;
    }
    console::error(&message(error));
    if error.is::<UsageError>() {
        USAGE
    } else if error.is::<GatewayError>() {
        UNAVAILABLE
    } else {
        FAILURE
    }
}

/// Returns the text about `error`, with the reason and the cure.
pub fn message(error: &anyhow::Error) -> String {
    // An error's own text says why, so its sources would say it again.
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => with_advice(error),
        (_, Some(source)) => {
            let reason = metricsjob_system::reason(source);
            match error.to_string() {
                own if own == source.to_string() => reason,
                context => format!("{context}: {reason}"),
            }
        }
        _ => error.to_string(),
    }
}
