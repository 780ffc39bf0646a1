//! Reasons to refuse a push.

use metricsjob_metrics::check::CheckError;
use metricsjob_metrics::{GroupingKey, Kind};

/// Reason to refuse a push.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum Rejection {
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(
        "the metric {name} is {} here, but {} {}: a name has one type over all groups",
        noun(*pushed), noun(*existing), whose(group.as_ref())
    )]
    Kind {
        name: String,
        pushed: Kind,
        existing: Kind,
        /// A group in which it has that kind.
        group: Option<GroupingKey>,
    },
    #[error("the series {series} is already in the group {{{group}}}")]
    Series { series: String, group: GroupingKey },
    #[error("the metric {name} collides with the {kind} {base}, whose series have this name too")]
    Suffix {
        name: String,
        kind: Kind,
        base: String,
    },
    /// Not even the failure time of the group is set.
    #[error(
        "the group {{{existing}}} is there already, and an empty label is the same as none: \
         push to that one, or delete it first"
    )]
    Key { existing: GroupingKey },
    #[error("a protobuf message that is no valid family: {0}")]
    Message(String),
    #[error(
        "the group would have more than {limit} bytes, as each of its lines has the labels of the path: \
         push less at once, or with shorter labels"
    )]
    TooLarge { limit: usize },
    #[error(
        "the gateway would have more than the {limit} series that it may have, with two for the push times of each \
         group: delete groups, let them grow old (--group.ttl), or raise --storage.max-series"
    )]
    Full { limit: usize },
}

/// `a counter`, but `untyped`.
fn noun(kind: Kind) -> String {
    match kind {
        Kind::Untyped => kind.to_string(),
        kind => format!("a {kind}"),
    }
}

fn whose(group: Option<&GroupingKey>) -> String {
    match group {
        Some(group) => format!("in the group {{{group}}}"),
        None => "elsewhere".into(),
    }
}
