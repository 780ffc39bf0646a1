//! Rules by which a gateway shows series of several groups as their sum.
//!
//! - `rule`: a rule as it is written.

mod rule;

pub use rule::{AggregationRule, Gauges, RuleError};

use crate::{GroupingKey, Labels};

/// Rules of which each series follows the first one that selects it.
#[derive(Debug, Clone, Default)]
pub struct Aggregation(Vec<AggregationRule>);

impl Aggregation {
    /// Creates the aggregation by these rules.
    ///
    /// # Errors
    ///
    /// A rule selects by a label that it or another one removes. Then a sum could be the same series as one that is not
    /// summed.
    pub fn new(rules: Vec<AggregationRule>) -> Result<Self, RuleError> {
        let removed = || rules.iter().flat_map(AggregationRule::without);
        for rule in &rules {
            if let Some(label) = rule
                .selector()
                .labels()
                .find(|label| removed().any(|it| it == *label))
            {
                return Err(RuleError::SelectedAndRemoved {
                    rule: rule.to_string(),
                    label: label.to_owned(),
                });
            }
        }
        Ok(Aggregation(rules))
    }

    /// Parses rules, such as `job="web" without (instance)`.
    ///
    /// # Errors
    ///
    /// Returns the first mistake.
    pub fn parse(rules: &[impl AsRef<str>]) -> Result<Self, RuleError> {
        let rules = rules.iter().map(|rule| rule.as_ref().parse());
        Aggregation::new(rules.collect::<Result<_, _>>()?)
    }

    /// Returns true if there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if series of the group of `key` may be summed.
    pub fn may_apply(&self, key: &GroupingKey) -> bool {
        let of_key = |label: &str| match label {
            "job" => Some(key.job()),
            _ => key.labels().get(label),
        };
        let mut selectors = self.0.iter().map(AggregationRule::selector);
        selectors.any(|selector| selector.judge(&of_key) != Some(false))
    }

    /// Returns the rule of a series with these labels, which are all of its labels.
    pub fn rule_of(&self, labels: &Labels) -> Option<&AggregationRule> {
        let value_of = |label: &str| Some(labels.get(label).unwrap_or_default());
        let mut rules = self.0.iter();
        rules.find(|rule| rule.selector().judge(&value_of) == Some(true))
    }
}
