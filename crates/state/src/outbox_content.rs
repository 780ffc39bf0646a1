//! Contents of outbox entries.

use std::borrow::Cow;
use std::time::SystemTime;

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

    pub(super) fn body(&self) -> &str {
        match self {
            Content::Push(push) => push.text(),
            Content::Notification(notification) => &notification.json,
        }
    }

    pub(super) fn runners_own(&self) -> String {
        match self {
            Content::Push(push) => push.runners_own().join(" "),
            Content::Notification(_) => String::new(),
        }
    }
}
