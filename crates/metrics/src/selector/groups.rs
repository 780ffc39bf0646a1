//! Selection of groups.

use super::{Selector, SelectorError, SelectorProblem, series_selectors};
use crate::grouping_key::GroupingKey;

/// Groups that are meant: those that one of the selectors selects, and that were not pushed to for some time.
#[derive(Debug, Clone)]
pub struct GroupFilter {
    /// Selectors of [`group_selectors`].
    pub selectors: Vec<Selector>,
    /// Only groups without a successful push since this time, in seconds since the epoch.
    pub not_pushed_since: Option<f64>,
}

/// Parses selectors of groups, which are about the labels of their grouping keys.
///
/// # Errors
///
/// Fails as [`series_selectors`] does, and if one is about the name of a metric.
pub fn group_selectors(texts: &[impl AsRef<str>]) -> Result<Vec<Selector>, SelectorError> {
    let selectors = series_selectors(texts)?;
    match selectors.iter().find(|selector| selector.is_by_name()) {
        Some(Selector { text, .. }) => {
            let problem = SelectorProblem::NameOfGroup;
            Err(SelectorError::new(text, 0, problem))
        }
        None => Ok(selectors),
    }
}

impl GroupFilter {
    /// Returns true if the group is meant that was pushed to at these times, in seconds since the epoch; 0 is for never.
    ///
    /// A group without a successful push is as old as its last failed push; the age of one with neither is unknown, so it
    /// is not older than anything. Neither is a remainder, which is part of a sum.
    pub fn includes(&self, key: &GroupingKey, push_time: f64, push_failure_time: f64) -> bool {
        if let Some(since) = self.not_pushed_since {
            let last = match push_time {
                0.0 => push_failure_time,
                time => time,
            };
            if last == 0.0 || last >= since || key.is_remainder() {
                return false;
            }
        }
        self.selects(key)
    }

    /// Returns true if a selector selects the group of `key`, whatever its age.
    pub fn selects(&self, key: &GroupingKey) -> bool {
        let value_of = |label: &str| {
            Some(match label {
                "job" => key.job(),
                _ => key.labels().get(label).unwrap_or_default(),
            })
        };
        let mut selectors = self.selectors.iter();
        selectors.any(|selector| selector.judge(&value_of) == Some(true))
    }
}
