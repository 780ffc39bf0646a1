//! How a run ended.

use std::fmt;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit code, which is one of the job's success codes.
    Success(u8),
    /// With this exit code, which is none of the job's success codes.
    Failure(u8),
    /// Ended by the signal of this number.
    Signal(u8),
    /// Ended because it took too long.
    Timeout,
    /// Not begun, because another run of the job is running.
    Skipped,
}

impl Outcome {
    /// The names of all outcomes.
    pub const NAMES: [&str; 5] = ["success", "failure", "signal", "timeout", "skipped"];

    /// The exit code that passes it on: the job's own, 128 + n for a signal as POSIX shells do, and
    /// 124 for a timeout as timeout(1) does.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Success(code) | Outcome::Failure(code) => code,
            Outcome::Signal(number) => 128_u8.saturating_add(number),
            Outcome::Timeout => 124,
            Outcome::Skipped => 0,
        }
    }

    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Success(_))
    }

    /// One word, see [`NAMES`](Self::NAMES).
    pub fn name(self) -> &'static str {
        let [success, failure, signal, timeout, skipped] = Outcome::NAMES;
        match self {
            Outcome::Success(_) => success,
            Outcome::Failure(_) => failure,
            Outcome::Signal(_) => signal,
            Outcome::Timeout => timeout,
            Outcome::Skipped => skipped,
        }
    }

    /// The outcome of this name and exit code, as the history keeps them; `None` if there is none of that
    /// name.
    pub fn recorded(name: &str, exit_code: u8) -> Option<Self> {
        let [success, failure, signal, timeout, skipped] = Outcome::NAMES;
        Some(match name {
            _ if name == success => Outcome::Success(exit_code),
            _ if name == failure => Outcome::Failure(exit_code),
            _ if name == signal => Outcome::Signal(exit_code.saturating_sub(128)),
            _ if name == timeout => Outcome::Timeout,
            _ if name == skipped => Outcome::Skipped,
            _ => return None,
        })
    }

    /// The text of an outcome of this name and exit code.
    pub fn words(name: &str, exit_code: u8) -> String {
        let outcome = Outcome::recorded(name, exit_code);
        outcome.map_or_else(|| name.to_owned(), |outcome| outcome.to_string())
    }
}

/// `success`, `failure (exit code 3)`, `signal 9`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Success(0) | Outcome::Timeout | Outcome::Skipped => f.write_str(self.name()),
            Outcome::Success(code) | Outcome::Failure(code) => {
                write!(f, "{} (exit code {code})", self.name())
            }
            Outcome::Signal(number) => write!(f, "{} {number}", self.name()),
        }
    }
}
