//! One attempt of a run.

use super::outcome::Outcome;
use super::signals::ReceivedSignal;
use super::usage::Usage;

/// One attempt of a run, which has ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub outcome: Outcome,
    /// Why it did not succeed, as far as that is known beyond the outcome.
    pub failure: Option<String>,
    pub usage: Usage,
    /// The last lines that it wrote to stderr, if they were to be kept.
    pub tail: Vec<String>,
    /// The first signal that asked this process to end meanwhile.
    pub interrupted: Option<ReceivedSignal>,
}
