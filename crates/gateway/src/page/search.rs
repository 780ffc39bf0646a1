//! Search for groups, by words or by a selector.

use std::fmt::Write;

use metricsjob_metrics::Group;
use metricsjob_metrics::selector::{GroupFilter, SelectorError, group_selectors};
use metricsjob_state::store::StoredGroup;
use metricsjob_web::page::has_words;

/// The groups that a search finds.
#[derive(Debug)]
pub enum Search {
    /// Groups with each word of the text.
    Words(String),
    /// Groups that a selector selects.
    Selected(GroupFilter),
}

impl Search {
    /// Parses a text, which is a selector if it begins with a brace.
    ///
    /// # Errors
    ///
    /// Returns the mistake in a selector.
    pub fn parse(text: &str) -> Result<Search, SelectorError> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Search::Words(text.to_owned()));
        }
        Ok(Search::Selected(GroupFilter {
            selectors: group_selectors(&[text])?,
            not_pushed_since: None,
        }))
    }

    /// Returns true if the search finds the group.
    pub fn finds(&self, group: &StoredGroup) -> bool {
        match self {
            Search::Words(words) if words.is_empty() => true,
            Search::Words(words) => matches(&group.outline(), words),
            Search::Selected(filter) => group.is_included(filter),
        }
    }
}

/// Returns true if the group contains every word of `search`, ignoring case: in its job, a label name or
/// value, `name=value`, `name="value"`, or a family name. `job` counts as a label here.
fn matches(group: &Group, search: &str) -> bool {
    let mut text = String::new();
    let mut label = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}={value}\n{name}=\"{value}\"");
    };
    label("job", group.key.job());
    for (name, value) in group.key.labels() {
        label(name, value);
    }
    for family in &group.families {
        text.push_str(&family.name);
        text.push('\n');
    }
    has_words(&text, search)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::{Family, GroupingKey};

    #[test]
    fn every_word_must_be_there() {
        let labels = [
            ("db".into(), "Customers EU".into()),
            ("instance".into(), String::new()),
        ];
        let group = Group {
            key: GroupingKey::new("Nightly_Ä", labels).unwrap(),
            push_time: 0.0,
            push_failure_time: 0.0,
            ttl: None,
            families: vec![Family::gauge("backup_size_bytes", "", 1.0)],
        };
        for found in [
            "",
            " \t",
            "nightly",
            "NIGHTLY_ä",
            "job=nightly",
            "db",
            "customers eu",
            "DB=customers size",
            "db=\"customers",
            "instance=\"\"",
            "backup_size",
        ] {
            assert!(matches(&group, found), "{found:?}");
        }
        for missing in [
            "other",
            "nightly other",
            "db=eu",
            "bytesjob",
            "instance=\"x\"",
        ] {
            assert!(!matches(&group, missing), "{missing:?}");
        }
    }
}
