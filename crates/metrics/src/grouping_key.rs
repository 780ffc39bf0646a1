//! The grouping key of a group on a gateway.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::name::Names;

/// The label that tells the tasks of a job array apart, by our convention. A task runs on any host, another one each time.
pub const TASK: &str = "task";

/// Identity of a group: the `job` label and further labels, whose order does not matter. Serializes as one map of all
/// labels, `job` first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupingKey {
    job: String,
    #[serde(flatten)]
    labels: Labels,
}

/// Label of the groups in which our gateway keeps what others had counted before they were removed, or their counters were
/// reset. Its value names the labels that such a remainder has in common with those groups, so that its series are no
/// others'.
pub const REMAINDER: &str = "metricsjob_remainder";

/// Reason why labels are not a grouping key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupingKeyError {
    /// An empty job.
    #[error("the job of a grouping key must not be empty")]
    EmptyJob,
    /// A name that is not a label name.
    #[error(
        "grouping label {0:?} is not a label name ([a-zA-Z_][a-zA-Z0-9_]*, for example db or instance)"
    )]
    LabelName(String),
    /// A name that starts with `__`.
    #[error("grouping label {0:?} starts with __, which is reserved for Prometheus itself")]
    ReservedLabelName(String),
    /// The label `job` among the further labels.
    #[error("grouping label \"job\" is the grouping key's own: give the job by its name instead")]
    JobLabel,
    /// A label that is given twice.
    #[error("grouping label {0:?} is given twice")]
    DuplicateLabel(String),
}

impl GroupingKey {
    /// Creates a key from `job` and further `labels`.
    ///
    /// # Errors
    ///
    /// Returns an error for an empty job, and for a label name that is not `[a-zA-Z_][a-zA-Z0-9_]*` or starts with
    /// `__`, to which a Pushgateway responds 400; also for `job` among the labels and for a repeated label, of which
    /// a Pushgateway would silently drop one.
    pub fn new(
        job: impl Into<String>,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, GroupingKeyError> {
        GroupingKey::with_names(job, labels, Names::Legacy)
    }

    /// Creates a key as [`new`](Self::new) does, with label names that `names` allows.
    ///
    /// # Errors
    ///
    /// Fails as [`new`](Self::new) does.
    pub fn with_names(
        job: impl Into<String>,
        labels: impl IntoIterator<Item = (String, String)>,
        names: Names,
    ) -> Result<Self, GroupingKeyError> {
        GroupingKey::checked(job.into(), labels.into_iter().collect(), names)
    }

    fn checked(
        job: String,
        mut labels: Vec<(String, String)>,
        names: Names,
    ) -> Result<Self, GroupingKeyError> {
        if job.is_empty() {
            return Err(GroupingKeyError::EmptyJob);
        }
        for (name, _) in &labels {
            check_label(name, names)?;
        }
        match Labels::from_pairs(&labels) {
            Ok(labels) => Ok(GroupingKey { job, labels }),
            Err(index) => Err(GroupingKeyError::DuplicateLabel(
                labels.swap_remove(index).0,
            )),
        }
    }

    /// The value of the `job` label.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The labels besides `job`, sorted by name.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Returns true if it is the key of a [remainder](REMAINDER).
    pub fn is_remainder(&self) -> bool {
        self.has_label(REMAINDER)
    }

    /// Returns the labels that a gateway exposes for a series of the group: its own, overridden by those of the key, and an
    /// empty `instance` if neither has one, so that Prometheus does not set its own.
    pub fn series_labels(&self, own: &Labels) -> Labels {
        // The last value of a name wins.
        let labels = [("instance", "")].into_iter().chain(own);
        let labels = labels.chain(self.labels());
        labels.chain([("job", self.job())]).collect()
    }

    /// Returns true if series pushed under this key get the label `name` from it.
    pub fn has_label(&self, name: &str) -> bool {
        name == "job" || self.labels.contains_key(name)
    }
}

/// Checks that `name` can be a label of a grouping key, besides `job`.
///
/// # Errors
///
/// Returns an error for `job`, for a name that is not `[a-zA-Z_][a-zA-Z0-9_]*`, and for one that starts with `__`.
pub fn check_grouping_label(name: &str) -> Result<(), GroupingKeyError> {
    check_label(name, Names::Legacy)
}

fn check_label(name: &str, names: Names) -> Result<(), GroupingKeyError> {
    if name == "job" {
        return Err(GroupingKeyError::JobLabel);
    }
    if !names.allow_label(name) {
        return Err(GroupingKeyError::LabelName(name.to_owned()));
    }
    if name.starts_with("__") {
        return Err(GroupingKeyError::ReservedLabelName(name.to_owned()));
    }
    Ok(())
}

/// Writes `job="db_backup",db="customers"`: `job` first, then the labels by name.
impl fmt::Display for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        super::text::encode::label(&mut out, "job", &self.job);
        for (name, value) in &self.labels {
            out.push(',');
            super::text::encode::label(&mut out, name, value);
        }
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> Result<GroupingKey, GroupingKeyError> {
        GroupingKey::new("j", labels.iter().map(|(n, v)| ((*n).into(), (*v).into())))
    }

    #[test]
    fn order_is_no_part_of_the_identity() {
        let sorted = key(&[("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(sorted, key(&[("b", "2"), ("a", "1")]).unwrap());
        assert_eq!(sorted.to_string(), r#"job="j",a="1",b="2""#);
    }

    #[test]
    fn refusals() {
        use GroupingKeyError::*;
        assert_eq!(GroupingKey::new("", []), Err(EmptyJob));
        for bad in ["", "a-b", "1a", "é"] {
            assert_eq!(key(&[(bad, "v")]), Err(LabelName(bad.into())));
        }
        assert_eq!(key(&[("__a", "v")]), Err(ReservedLabelName("__a".into())));
        assert_eq!(key(&[("job", "v")]), Err(JobLabel));
        let twice = key(&[("a", "1"), ("a", "1")]);
        assert_eq!(twice, Err(DuplicateLabel("a".into())));
    }

    #[test]
    fn utf8_names() {
        let labels = |name: &str| [(name.into(), "v".into())];
        let key = GroupingKey::with_names("j", labels("a.b"), Names::Utf8).unwrap();
        assert_eq!(key.to_string(), r#"job="j","a.b"="v""#);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<GroupingKey>(&json).unwrap(), key);
        for bad in ["", "__a.b", "job"] {
            assert!(
                GroupingKey::with_names("j", labels(bad), Names::Utf8).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn values_are_free() {
        let odd = key(&[("a", ""), ("b", "x/y\n\"é")]).unwrap();
        assert_eq!(odd.to_string(), "job=\"j\",a=\"\",b=\"x/y\\n\\\"é\"");
    }
}
