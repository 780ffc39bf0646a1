//! Contents of outbox entries.

use std::borrow::Cow;
use std::time::SystemTime;

use super::ttl_comment;
use metricsjob_metrics::{GroupingKey, Push};

/// Content of an outbox entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    /// A report, for gateways.
    Push(Cow<'a, Push>),
    /// An event of a job, for the people who are notified of it.
    Notification(Cow<'a, Notification>),
}

/// An event of a job, such as the first failure of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Grouping key of the job's report.
    pub key: GroupingKey,
    /// The event as a JSON object.
    pub json: String,
    /// When it happened.
    pub produced_at: SystemTime,
}

/// The `method` of notifications in the table.
pub(super) const NOTIFY: &str = "notify";

/// Text of the row of a push.
pub(super) fn body(push: &Push) -> Cow<'_, str> {
    match push.ttl() {
        None => push.text().into(),
        ttl => (ttl_comment::line(ttl) + push.text()).into(),
    }
}

impl Content<'_> {
    /// Grouping key of the report, or of the job that the event is about.
    pub fn key(&self) -> &GroupingKey {
        match self {
            Content::Push(push) => push.key(),
            Content::Notification(notification) => &notification.key,
        }
    }

    /// When it was produced.
    pub fn produced_at(&self) -> SystemTime {
        match self {
            Content::Push(push) => push.produced_at(),
            Content::Notification(notification) => notification.produced_at,
        }
    }

    /// `PUT` or `POST` in lower case, or `notify`.
    pub fn method(&self) -> &'static str {
        match self {
            Content::Push(push) => push.method().name(),
            Content::Notification(_) => NOTIFY,
        }
    }

    /// Returns true if this leaves nothing of the effect of `older`, to the same destination. See [`Push::replaces`].
    pub fn replaces(&self, older: &Content<'_>) -> bool {
        match (self, older) {
            (Content::Push(newer), Content::Push(older)) => newer.replaces(older),
            _ => false,
        }
    }

    /// Text of the row.
    pub(super) fn body(&self) -> Cow<'_, str> {
        match self {
            Content::Push(push) => body(push),
            Content::Notification(notification) => notification.json.as_str().into(),
        }
    }

    pub(super) fn runners_own(&self) -> String {
        match self {
            Content::Push(push) => push.runners_own().join(" "),
            Content::Notification(_) => String::new(),
        }
    }
}
