//! Mistakes in selectors.

use std::fmt;

use super::pattern::{MAX_PATTERN_BYTES, MAX_PATTERNS};
use crate::excerpt;

/// Most bytes of a selector.
pub const MAX_BYTES: usize = 16 * 1024;

/// A selector that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// The selector, shortened to 60 bytes.
    pub selector: String,
    /// Where the mistake is, in characters from 1.
    pub position: usize,
    /// Reason and cure.
    pub problem: SelectorProblem,
}

/// Reason why a selector cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorProblem {
    /// Anything else than the grammar allows there.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// The parts that could stand there, with an example.
        expected: &'static str,
        /// The character that does.
        found: String,
    },
    /// A quote without its counterpart.
    #[error("the quote {0} is not closed")]
    Unclosed(char),
    /// A backslash with characters that are no escape.
    #[error("{0} is no escape: write \\\\ for a backslash, or put the value into `backticks`")]
    Escape(String),
    /// Escapes of bytes that are not UTF-8.
    #[error("the bytes in quotes are not UTF-8")]
    NotUtf8,
    /// An empty name in quotes.
    #[error("there is no name between the quotes")]
    EmptyName,
    /// A second name of a metric.
    #[error("the metric is named twice: leave out one of the names")]
    SecondName,
    /// A regular expression that is none, or is too large.
    #[error("regular expression {pattern}: {reason}")]
    Pattern {
        /// The expression in quotes, shortened.
        pattern: String,
        /// Reason, in the words of the parser of expressions.
        reason: String,
    },
    /// Regular expressions that take too much memory together.
    #[error(
        "its regular expressions take more than {MAX_PATTERN_BYTES} bytes when compiled: write shorter ones"
    )]
    LargePatterns,
    /// More regular expressions than are allowed.
    #[error("there are more than {MAX_PATTERNS} regular expressions: join them with |")]
    ManyPatterns,
    /// A text of more than 16 KiB.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    /// No matcher that needs a value.
    #[error(
        "it selects everything, as each of its matchers matches an empty value too: add one that does not, such as \
         {{job=~\".+\"}}"
    )]
    MatchesEverything,
    /// A metric name in a selector of groups.
    #[error(
        "groups have labels, but no metric name: write only matchers of labels, such as {{job=\"ci\"}}"
    )]
    NameOfGroup,
}

impl SelectorError {
    /// `at` is the byte where the mistake is.
    pub(super) fn new(selector: &str, at: usize, problem: SelectorProblem) -> Self {
        let before = selector.get(..at).unwrap_or_default();
        SelectorError {
            selector: excerpt::word(selector).into_owned(),
            position: before.chars().count() + 1,
            problem,
        }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SelectorError {
            selector,
            position,
            problem,
        } = self;
        write!(f, "selector {selector:?}, character {position}: {problem}")
    }
}

impl std::error::Error for SelectorError {}
