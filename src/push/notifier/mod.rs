//! Sending notifications: events of jobs, as JSON, in the form that their destination takes.
//!
//! - `slack`: messages for chats.
//! - `ping`: pings of healthchecks.io.

mod ping;
mod slack;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::gateway::GatewayError;
use super::recipient::{Recipient, wrong};
use crate::job::{NotifyForm, NotifyTarget};
use metricsjob_client::{Connection, GatewayUrl, HttpGateway, Stop};
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;

/// Destination of notifications, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifier {
    pub target: NotifyTarget,
    /// Without credentials: those are for gateways.
    connection: Box<Connection>,
}

impl Notifier {
    /// A notifier that is reached by the timeouts and certificates of `connection`.
    pub fn new(target: NotifyTarget, connection: &Connection) -> Self {
        Notifier {
            target,
            connection: Box::new(Connection {
                timeouts: connection.timeouts,
                tls: connection.tls.clone(),
                ..Connection::default()
            }),
        }
    }
}

/// Sends notifications to one destination.
pub struct NotifierClient {
    name: String,
    form: NotifyForm,
    /// The URL and a client for its host, or why there is none.
    client: Result<(Url, HttpGateway), String>,
}

/// The id of an event, by which a receiver can tell one that comes twice: a response that is lost on its way has it sent
/// again.
const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

impl NotifierClient {
    pub fn new(notifier: &Notifier) -> Self {
        let Notifier { target, connection } = notifier;
        let client = target.url().and_then(|url| {
            let host = GatewayUrl::parse(&url[..url::Position::BeforePath]);
            let host = host.map_err(|error| format!("{target}: {error}"))?;
            let client = HttpGateway::new(host, connection);
            Ok((url, client.map_err(|error| format!("{target}: {error}"))?))
        });
        NotifierClient {
            name: target.name(),
            form: target.form,
            client,
        }
    }

    /// Pings that a run has begun, if pings are what the destination takes. Nothing depends on it, and nothing is kept.
    pub fn begin(&self, run_id: &str, limit: Duration, stop: &Stop) {
        if let (NotifyForm::Ping, Ok((url, client))) = (self.form, &self.client) {
            let path = ping::path(url, "/start", run_id);
            let _ = client.post_secretly(&path, HeaderMap::new(), Vec::new(), limit, stop);
        }
    }
}

impl Recipient for NotifierClient {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(
        &self,
        content: &Content<'_>,
        _state: &mut LazyState,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), GatewayError> {
        let Content::Notification(notification) = content else {
            return Err(wrong("reports go to gateways"));
        };
        let client = self.client.as_ref();
        let (url, client) = client.map_err(|why| GatewayError::Notifier(why.clone()))?;
        let event: Value = serde_json::from_str(&notification.json)
            .map_err(|error| wrong(&format!("a notification is no JSON: {error}")))?;
        let text_of = |name: &str| event[name].as_str().unwrap_or_default();
        let own = || url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let (path, content_type, body) = match self.form {
            NotifyForm::Webhook => (own(), "application/json", notification.json.clone()),
            NotifyForm::Slack => (own(), "application/json", slack::message(&event)),
            NotifyForm::Ping => {
                let path = ping::path(url, &ping::suffix(&event), text_of("run_id"));
                (path, "text/plain; charset=utf-8", ping::body(&event))
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(HeaderValue::try_from(text_of("id")).map(|id| (KEY_HEADER, id)));
        Ok(client.post_secretly(&path, headers, body.into_bytes(), limit, stop)?)
    }

    /// The newest ping counts alone; every other notification is somebody's to read.
    fn merged<'a>(&self, _older: &Content<'a>, newer: &Content<'a>) -> Option<Content<'a>> {
        (self.form == NotifyForm::Ping).then(|| newer.clone())
    }
}
