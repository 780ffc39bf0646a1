//! Recipients of what the outbox holds.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::gateway::{Gateway, GatewayClient, GatewayError};
use super::notifier::{Notifier, NotifierClient};
use metricsjob_client::Stop;
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;

/// Destination of outbox entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Takes reports.
    Gateway(Gateway),
    /// Takes notifications.
    Notifier(Notifier),
}

impl Destination {
    /// The destination as the outbox names it, which can be a secret.
    pub fn name(&self) -> String {
        match self {
            Destination::Gateway(gateway) => gateway.to_string(),
            Destination::Notifier(notifier) => notifier.target.name(),
        }
    }

    /// Creates the client. That takes a while, so it is done before there is anything to send.
    pub fn recipient(&self) -> Box<dyn Recipient> {
        match self {
            Destination::Gateway(gateway) => Box::new(GatewayClient::new(gateway)),
            Destination::Notifier(notifier) => Box::new(NotifierClient::new(notifier)),
        }
    }
}

impl From<&Gateway> for Destination {
    fn from(gateway: &Gateway) -> Self {
        Destination::Gateway(gateway.clone())
    }
}

/// Writes the destination as messages name it, without secrets.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Gateway(gateway) => gateway.fmt(f),
            Destination::Notifier(notifier) => notifier.target.fmt(f),
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
        match (older, newer) {
            (Content::Push(older), Content::Push(newer)) => {
                Some(Content::Push(Cow::Owned(older.followed_by(newer))))
            }
            _ => None,
        }
    }

    fn is_counted(&self) -> bool {
        !self.is_embedded()
    }

    fn notices(&self) -> Vec<String> {
        self.notices()
    }
}

/// Error for content that never goes there.
pub(super) fn wrong(why: &str) -> GatewayError {
    GatewayError::Internal(why.into())
}
