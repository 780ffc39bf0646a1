//! Labels of a grouping key besides `job`, as settings give them: in levels, with placeholders.
//!
//! ```
//! use metricsjob_client::grouping::GroupingSettings;
//!
//! let mut settings = GroupingSettings::default();
//! settings.set("site", "berlin");
//! settings.set_instance("true".parse()?);
//! let mut higher = GroupingSettings::default();
//! higher.set("site", "${env:SITE}");
//! higher.remove("instance");
//! settings.extend(&higher);
//! assert_eq!(settings.to_string(), "site=${env:SITE}");
//! # Ok::<(), String>(())
//! ```
//!
//! A value can hold the placeholders `${hostname}`, `${user}`, `${task}` (the number of a task in a job array of Slurm,
//! GitLab CI or Kubernetes) and `${env:NAME}`; a plain `${` is written `$${`.

mod placeholder;

use std::collections::BTreeMap;
use std::fmt;

use metricsjob_metrics::{GroupingKeyError, check_grouping_label};

pub use placeholder::{PlaceholderError, check_placeholders, escape_placeholders};

/// The label that tells the instances of a job apart, by convention of Prometheus.
pub const INSTANCE: &str = "instance";

/// Labels of one level of settings, such as a job file or the command line. Each has a value, which may hold
/// [placeholders](self), or is removed, whatever a lower level says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupingSettings(BTreeMap<String, Option<String>>);

/// Reason why a label of a grouping key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupingError {
    /// A placeholder in its value cannot be replaced.
    #[error("{label}: {source}")]
    Placeholder {
        /// Name of the label.
        label: String,
        /// Why it cannot be replaced.
        source: PlaceholderError,
    },
    /// Its name cannot be that of a grouping label.
    #[error(transparent)]
    Key(#[from] GroupingKeyError),
}

impl GroupingSettings {
    /// Gives `label` a value, which may hold placeholders.
    pub fn set(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.0.insert(label.into(), Some(value.into()));
    }

    /// Gives `label` a value in which nothing is a placeholder.
    pub fn set_literally(&mut self, label: impl Into<String>, value: &str) {
        self.set(label, escape_placeholders(value));
    }

    /// Removes `label`.
    pub fn remove(&mut self, label: impl Into<String>) {
        self.0.insert(label.into(), None);
    }

    /// Sets the label `instance`, unless this level has set it by its name.
    pub fn set_instance(&mut self, instance: Instance) {
        self.0.entry(INSTANCE.to_owned()).or_insert(instance.0);
    }

    /// Puts the labels of `higher` over these.
    pub fn extend(&mut self, higher: &GroupingSettings) {
        self.0.extend(higher.0.clone());
    }

    /// Names of the labels that are set or removed, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Removes each label that cannot be used, and returns why.
    pub fn take_problems(&mut self) -> Vec<GroupingError> {
        let mut problems = Vec::new();
        self.0.retain(|label, value| {
            let problem = match value {
                Some(value) => check_grouping_label(label)
                    .map_err(GroupingError::from)
                    .and_then(|()| expand(label, value).map(drop))
                    .err(),
                None => None,
            };
            let is_good = problem.is_none();
            problems.extend(problem);
            is_good
        });
        problems
    }

    /// Returns the labels, with the value of each placeholder on this host now.
    ///
    /// # Errors
    ///
    /// Fails if a placeholder is unknown, or has no value.
    pub fn labels(&self) -> Result<Vec<(String, String)>, GroupingError> {
        let labels = self.iter();
        labels
            .map(|(label, value)| Ok((label.to_owned(), expand(label, value)?)))
            .collect()
    }

    /// Returns the labels that are set, with their placeholders.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.0.iter();
        labels.filter_map(|(label, value)| Some((label.as_str(), value.as_deref()?)))
    }
}

fn expand(label: &str, value: &str) -> Result<String, GroupingError> {
    placeholder::expand(value).map_err(|source| GroupingError::Placeholder {
        label: label.to_owned(),
        source,
    })
}

/// Writes the labels that are set, with their placeholders: `db=customers,instance=${hostname}`.
impl fmt::Display for GroupingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (label, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{label}={value}")?;
        }
        Ok(())
    }
}

/// Value of the label `instance`: `true` for the name of this host, `false` for none, or a name, which may hold
/// placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(Option<String>);

impl From<bool> for Instance {
    fn from(is_host: bool) -> Self {
        Instance(is_host.then(|| "${hostname}".to_owned()))
    }
}

impl std::str::FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            "" => {
                Err("it is empty: give true for this host's name, false for none, or a name".into())
            }
            name => Ok(Instance(Some(name.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(settings: &GroupingSettings) -> Vec<(String, String)> {
        settings.labels().unwrap()
    }

    #[test]
    fn levels() {
        let mut lower = GroupingSettings::default();
        lower.set("site", "berlin");
        lower.set("db", "all");
        lower.set_instance(true.into());
        let mut higher = GroupingSettings::default();
        higher.set("db", "customers");
        higher.set_instance("web-1".parse().unwrap());
        lower.extend(&higher);
        let expected = [
            ("db", "customers"),
            ("instance", "web-1"),
            ("site", "berlin"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(labels(&lower), expected);

        let mut highest = GroupingSettings::default();
        highest.set_instance(false.into());
        highest.remove("site");
        lower.extend(&highest);
        assert_eq!(labels(&lower), expected[..1]);
    }

    #[test]
    fn a_label_by_its_name_wins() {
        let mut settings = GroupingSettings::default();
        settings.set(INSTANCE, "by-name");
        settings.set_instance(true.into());
        assert_eq!(
            labels(&settings),
            [("instance".to_owned(), "by-name".to_owned())]
        );
    }

    #[test]
    fn nothing_of_a_literal_is_replaced() {
        let mut settings = GroupingSettings::default();
        settings.set_literally("a", "${env:HOME}$${");
        assert_eq!(
            labels(&settings),
            [("a".to_owned(), "${env:HOME}$${".to_owned())]
        );
    }

    #[test]
    fn problems_are_taken_out() {
        let mut settings = GroupingSettings::default();
        settings.set("good", "1");
        settings.set("bad-name", "1");
        settings.set("job", "1");
        settings.set("bad", "${nothing}");
        settings.remove("gone");
        assert!(settings.labels().is_err());
        let problems = settings.take_problems();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("bad: there is no placeholder ${nothing} (known: "));
        assert_eq!(labels(&settings), [("good".to_owned(), "1".to_owned())]);
    }
}
