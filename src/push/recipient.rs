//! Recipients of what the outbox holds.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::gateway::{Gateway, GatewayClient, GatewayError};
use super::notifier::{Notifier, NotifierClient};
use super::remote_write::RemoteWrite;
use super::textfile::Textfile;
use crate::job::{GatewayName, NotifyTarget, ReportDestination};
use metricsjob_client::{Connection, GatewayUrlError, Stop};
use metricsjob_metrics::{GroupingKey, Push};
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;

/// Destination of outbox entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryTarget {
    /// Takes reports.
    Gateway(Gateway),
    /// Takes reports too.
    Target(ReportDestination, Box<Connection>),
    /// Takes notifications.
    Notifier(Notifier),
}

impl DeliveryTarget {
    /// The destination as the outbox names it, which can be a secret.
    pub fn name(&self) -> String {
        match self {
            DeliveryTarget::Notifier(notifier) => notifier.target.name(),
            shown => shown.to_string(),
        }
    }

    /// The destination that the outbox calls `name`. It is reached as `connection` says.
    ///
    /// # Errors
    ///
    /// It is none of which the name is known.
    pub fn parse(
        name: &str,
        state_dir: &Path,
        connection: &Connection,
    ) -> Result<Self, GatewayUrlError> {
        if let Ok(target) = name.parse::<NotifyTarget>() {
            return Ok(DeliveryTarget::Notifier(Notifier::new(target, connection)));
        }
        if let Ok(target) = name.parse::<ReportDestination>() {
            return Ok(DeliveryTarget::target(target, connection));
        }
        let name: GatewayName = name.parse()?;
        let gateway = Gateway::new(name, state_dir.to_owned(), connection.clone());
        Ok(DeliveryTarget::Gateway(gateway))
    }

    /// A destination of reports besides gateways.
    pub fn target(target: ReportDestination, connection: &Connection) -> Self {
        DeliveryTarget::Target(target, Box::new(connection.clone()))
    }

    /// The gateway, if it is one.
    pub fn gateway(&self) -> Option<&Gateway> {
        match self {
            DeliveryTarget::Gateway(gateway) => Some(gateway),
            _ => None,
        }
    }

    /// Where it is, for a person to read.
    pub fn place(&self) -> String {
        match self {
            DeliveryTarget::Gateway(gateway) => gateway.place(),
            other => other.to_string(),
        }
    }

    /// Where the report of `key` is, for a person to read.
    pub fn group_place(&self, key: &GroupingKey) -> String {
        match self {
            DeliveryTarget::Gateway(gateway) => gateway.group_place(key),
            DeliveryTarget::Target(ReportDestination::Textfile(dir), _) => {
                Textfile::path(dir, key).display().to_string()
            }
            other => format!("{other}, {{{key}}}"),
        }
    }

    /// Where the report of `key` is, as a URL or a path.
    pub fn group_url(&self, key: &GroupingKey) -> String {
        match self {
            DeliveryTarget::Gateway(gateway) => gateway.group_url(key),
            DeliveryTarget::Target(ReportDestination::Textfile(dir), _) => {
                Textfile::path(dir, key).display().to_string()
            }
            DeliveryTarget::Target(ReportDestination::RemoteWrite(url), _) => url.to_string(),
            DeliveryTarget::Notifier(notifier) => notifier.target.to_string(),
        }
    }

    /// Request or file for `push`, for a person to read, without credentials.
    pub fn request_text(&self, push: &Push) -> String {
        match self {
            DeliveryTarget::Gateway(gateway) => gateway.request_text(push),
            DeliveryTarget::Target(ReportDestination::Textfile(dir), _) => {
                let path = Textfile::path(dir, push.key());
                format!("{}\n\n{}", path.display(), Textfile::shown(push))
            }
            other => {
                let place = other.group_url(push.key());
                format!("POST {place}\n\n{}", Textfile::shown(push))
            }
        }
    }

    /// Creates the client. That takes a while, so it is done before there is anything to send.
    pub fn recipient(&self) -> Box<dyn Recipient> {
        match self {
            DeliveryTarget::Gateway(gateway) => Box::new(GatewayClient::new(gateway)),
            DeliveryTarget::Target(target, connection) => match target {
                ReportDestination::Textfile(dir) => Box::new(Textfile::new(self.name(), dir)),
                ReportDestination::RemoteWrite(url) => {
                    Box::new(RemoteWrite::new(self.name(), url, connection))
                }
            },
            DeliveryTarget::Notifier(notifier) => Box::new(NotifierClient::new(notifier)),
        }
    }
}

impl From<&Gateway> for DeliveryTarget {
    fn from(gateway: &Gateway) -> Self {
        DeliveryTarget::Gateway(gateway.clone())
    }
}

/// Writes the destination as messages name it, without secrets.
impl fmt::Display for DeliveryTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryTarget::Gateway(gateway) => gateway.fmt(f),
            DeliveryTarget::Target(target, _) => target.fmt(f),
            DeliveryTarget::Notifier(notifier) => notifier.target.fmt(f),
        }
    }
}

/// Client of one destination.
pub trait Recipient: Send + Sync {
    /// The destination as the outbox names it.
    fn name(&self) -> &str;

    /// Sends `content` once, and waits for the response until `limit` at most, and not once the `stop` is wanted. `state`
    /// is where the embedded gateway is.
    fn send(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), GatewayError>;

    /// Returns one content with the effect of `older` and then `newer`; `None` if there is none.
    fn merged<'a>(&self, older: &Content<'a>, newer: &Content<'a>) -> Option<Content<'a>>;

    /// Returns true if it may take a part of a push that it refuses as a whole.
    fn takes_parts(&self) -> bool {
        false
    }

    /// Returns true if what is sent counts in the statistics of pushing: they are about the way to gateways behind a URL.
    fn is_counted(&self) -> bool {
        false
    }

    /// Notices in the responses so far.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Recipient for GatewayClient {
    fn name(&self) -> &str {
        self.name()
    }

    fn send(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), GatewayError> {
        match content {
            Content::Push(push) => self.push(push, state, limit, stop),
            Content::Notification(_) => Err(wrong("a gateway takes no notifications")),
        }
    }

    fn merged<'a>(&self, older: &Content<'a>, newer: &Content<'a>) -> Option<Content<'a>> {
        merged_pushes(older, newer)
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn is_counted(&self) -> bool {
        !self.is_embedded()
    }

    fn notices(&self) -> Vec<String> {
        self.notices()
    }
}

/// One push with the effect of `older` and then `newer`, where a PUT replaces what is there and a POST adds to it.
pub(super) fn merged_pushes<'a>(older: &Content<'a>, newer: &Content<'a>) -> Option<Content<'a>> {
    match (older, newer) {
        (Content::Push(older), Content::Push(newer)) => {
            Some(Content::Push(Cow::Owned(older.followed_by(newer))))
        }
        _ => None,
    }
}

/// Error for content that never goes there.
pub(super) fn wrong(why: &str) -> GatewayError {
    GatewayError::Internal(why.into())
}
