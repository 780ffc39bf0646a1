//! How a run ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// With this exit code, which is not 0.
    Failure(u8),
    /// Ended by the signal of this number.
    Signal(u8),
}

impl Outcome {
    /// The exit code that passes it on: the job's own, 128 + n for a signal as POSIX shells do.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Success => 0,
            Outcome::Failure(code) => code,
            Outcome::Signal(number) => 128_u8.saturating_add(number),
        }
    }

    pub fn is_success(self) -> bool {
        self == Outcome::Success
    }

    /// One word: `success`, `failure`, `signal`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure(_) => "failure",
            Outcome::Signal(_) => "signal",
        }
    }
}

impl From<ExitStatus> for Outcome {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Outcome::Success,
            // The kernel passes on the lowest eight bits.
            (Some(code), _) => Outcome::Failure(code as u8),
            (None, Some(number)) => Outcome::Signal(number as u8),
            (None, None) => Outcome::Failure(1),
        }
    }
}

/// `success`, `failure (exit code 3)`, `signal 9`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Success => f.write_str(self.name()),
            Outcome::Failure(code) => write!(f, "failure (exit code {code})"),
            Outcome::Signal(number) => write!(f, "signal {number}"),
        }
    }
}
