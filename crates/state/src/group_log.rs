//! Push log: changes by a serving gateway that are not in the groups' rows yet.
//!
//! A row holds all changes of one transaction, which is several times as fast as a row for each. Replaying changes on
//! groups that already have some of them yields the same groups.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::group_rows::{Loaded, corrupt};
use crate::store::RenderedPush;
use metricsjob_metrics::text::Limits;
use metricsjob_metrics::{Family, GroupingKey, Method, Names, protobuf, text};

/// Changes of one transaction, in order.
#[derive(Clone, PartialEq, Message)]
pub struct Entries {
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

/// A change of one group.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// In the form of `key_column`.
    #[prost(string, tag = "1")]
    grouping_key: String,
    #[prost(enumeration = "Action", tag = "2")]
    action: i32,
    /// Seconds since the epoch.
    #[prost(double, tag = "3")]
    time: f64,
    /// The body of the push, without its `Content-Encoding`.
    #[prost(bytes = "bytes", tag = "4")]
    body: Bytes,
    #[prost(bool, tag = "5")]
    is_protobuf: bool,
    /// Time to live that the push sets, in seconds.
    #[prost(double, optional, tag = "6")]
    ttl_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Action {
    Put = 0,
    Post = 1,
    Refuse = 2,
    Delete = 3,
}

/// Body of a push, without its `Content-Encoding`.
#[derive(Debug, Clone)]
pub enum Body {
    Text(Bytes),
    Protobuf(Bytes),
}

impl Body {
    /// Returns the size in bytes.
    pub fn size(&self) -> usize {
        let (Body::Text(body) | Body::Protobuf(body)) = self;
        body.len()
    }
}

impl Entry {
    /// Creates the entry of a successful push.
    pub fn push(
        key: &GroupingKey,
        method: Method,
        body: Body,
        ttl: Option<Duration>,
        time: f64,
    ) -> Self {
        let action = match method {
            Method::Put => Action::Put,
            Method::Post => Action::Post,
        };
        let is_protobuf = matches!(body, Body::Protobuf(_));
        let (Body::Text(body) | Body::Protobuf(body)) = body;
        Entry {
            body,
            is_protobuf,
            ttl_seconds: ttl.map(|ttl| ttl.as_secs_f64()),
            ..Entry::of(key, action, time)
        }
    }

    /// Creates the entry of a refused push.
    pub fn refusal(key: &GroupingKey, time: f64) -> Self {
        Entry::of(key, Action::Refuse, time)
    }

    pub fn deletion(key: &GroupingKey) -> Self {
        Entry::of(key, Action::Delete, 0.0)
    }

    fn of(key: &GroupingKey, action: Action, time: f64) -> Self {
        Entry {
            grouping_key: serde_json::to_string(key).unwrap_or_default(),
            action: action.into(),
            time,
            body: Bytes::new(),
            is_protobuf: false,
            ttl_seconds: None,
        }
    }

    /// Returns the size of the body in bytes.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    fn ttl(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.ttl_seconds?).ok()
    }

    fn families(&self) -> Result<Vec<Family>, String> {
        let limits = Limits::default();
        if self.is_protobuf {
            protobuf::decode_again(&self.body).map_err(|error| error.to_string())
        } else {
            text::parse_names(&self.body, &limits, Names::Utf8).map_err(|error| error.to_string())
        }
    }
}

impl Entries {
    /// Replays the changes on `loaded`. A push that cannot be replayed is added to its problems.
    pub(super) fn replay(self, loaded: &mut Loaded) -> rusqlite::Result<()> {
        let hasher = loaded.store.hasher();
        for entry in self.entries {
            let key: GroupingKey = serde_json::from_str(&entry.grouping_key)
                .map_err(|error| corrupt(format!("a grouping key in the log: {error}")))?;
            let action = Action::try_from(entry.action);
            let method = match action.map_err(|error| corrupt(format!("the log: {error}")))? {
                Action::Put => Method::Put,
                Action::Post => Method::Post,
                Action::Refuse => {
                    let slot = loaded.store.refuse_again(&key, entry.time);
                    loaded.outdated.insert(slot);
                    continue;
                }
                Action::Delete => {
                    let undo = loaded.store.delete(&key);
                    loaded.outdated.extend(undo.map(|undo| undo.slot()));
                    continue;
                }
            };
            let report = entry.families().and_then(|families| {
                RenderedPush::stored(&key, families, &hasher)
                    .map(|report| report.with_ttl(entry.ttl()))
                    .map_err(|rejection| rejection.to_string())
            });
            match report {
                Ok(report) => {
                    let store = &mut loaded.store;
                    let slot = store.push_again(&key, method, report, entry.time);
                    loaded.outdated.insert(slot);
                }
                Err(problem) => loaded
                    .problems
                    .push(format!("a push to {{{key}}}: {problem}")),
            }
        }
        Ok(())
    }
}
