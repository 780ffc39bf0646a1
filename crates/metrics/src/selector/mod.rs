//! Selectors of series and of groups, as in PromQL: `{job="ci",branch=~"feature/.*"}`.
//!
//! A selector is what Prometheus' federation takes as `match[]`: matchers in braces with `=`, `!=`, `=~` or `!~`, perhaps
//! with a metric name before them. All of its matchers must match. A label that is missing has the empty value. Regular
//! expressions are Go's (RE2) without classes by Unicode property, and match a whole value, line feeds included.
//!
//! They come from URLs, so the length of a text, the number of regular expressions and the memory of these are bounded.

mod error;
mod groups;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::{SelectorError, SelectorProblem};
pub use groups::{GroupFilter, group_selectors};
use parse::SelectorParser;
use pattern::{Budget, Pattern};

/// Label by which a selector selects metric names.
pub const METRIC_NAME: &str = "__name__";

/// A selector: matchers, all of which must match.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    test: Test,
    /// True for `!=` and `!~`.
    is_negated: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    Pattern(Pattern),
}

impl Matcher {
    fn matches(&self, value: &str) -> bool {
        let is_match = match &self.test {
            Test::Equal(expected) => expected == value,
            Test::Pattern(pattern) => pattern.is_match(value),
        };
        is_match != self.is_negated
    }
}

/// Parses selectors of series that belong together: a series is selected if one of them selects it.
///
/// # Errors
///
/// Returns the first mistake: one of PromQL, a selector that an empty value satisfies, or an exceeded limit.
pub fn series_selectors(texts: &[impl AsRef<str>]) -> Result<Vec<Selector>, SelectorError> {
    let mut budget = Budget::default();
    let texts = texts.iter().map(AsRef::as_ref);
    let parsed = texts.map(|text| Selector::parse(text, &mut budget));
    parsed.collect()
}

impl Selector {
    fn parse(text: &str, budget: &mut Budget) -> Result<Selector, SelectorError> {
        let matchers = SelectorParser::new(text, budget).selector();
        let matchers = matchers.map_err(|(at, problem)| SelectorError::new(text, at, problem))?;
        if matchers.iter().all(|matcher| matcher.matches("")) {
            let problem = SelectorProblem::MatchesEverything;
            return Err(SelectorError::new(text, 0, problem));
        }
        Ok(Selector {
            text: text.to_owned(),
            matchers,
        })
    }

    /// Returns true if a matcher is about the metric name.
    pub fn is_by_name(&self) -> bool {
        self.matchers
            .iter()
            .any(|matcher| matcher.label == METRIC_NAME)
    }

    /// Returns the labels that its matchers are about.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.matchers.iter().map(|matcher| matcher.label.as_str())
    }

    /// Decides by the values that are known: `Some(false)` as soon as one does not match, `None` if it depends on values
    /// for which `value_of` returns `None`. A label that is known to be missing has the value `""`.
    pub fn judge<'v>(&self, value_of: &dyn Fn(&str) -> Option<&'v str>) -> Option<bool> {
        let mut verdict = Some(true);
        for matcher in &self.matchers {
            match value_of(&matcher.label) {
                Some(value) if !matcher.matches(value) => return Some(false),
                Some(_) => {}
                None => verdict = None,
            }
        }
        verdict
    }
}

/// The selector as it was written.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
