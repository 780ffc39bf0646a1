//! Where pushes go.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::embedded;
use super::textfile::TextfileError;
use crate::job::{EMBEDDED, GatewayName};
use metricsjob_client::Connection;
use metricsjob_client::Stop;
use metricsjob_client::api;
use metricsjob_client::encoding::Encoding;
use metricsjob_client::{GatewayUrl, GatewayUrlError};
use metricsjob_client::{HttpError, HttpGateway};
use metricsjob_metrics::path::group_path;
use metricsjob_metrics::{Group, GroupingKey, Push};
use metricsjob_state::groups::PushError;
use metricsjob_state::{LazyState, State, StateError};

/// Anything that takes pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// The one in the state database of this directory.
    Embedded(PathBuf),
    Http(GatewayUrl, Box<Connection>),
}

/// Failure of a request to a gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Embedded(#[from] PushError),
    #[error(transparent)]
    State(#[from] StateError),
    /// The gateway that serves the state in this directory.
    #[error("the gateway that serves {}: {source}", dir.display())]
    Serving { dir: PathBuf, source: HttpError },
    #[error("another process is delivering an older report of this group")]
    Busy,
    /// The error that another process got.
    #[error("{0}")]
    Elsewhere(String),
    /// The gateway took the other families of the push.
    #[error(
        "{} refused, the rest of the report is delivered: {source}",
        named(families)
    )]
    Refused {
        families: Vec<String>,
        source: Box<GatewayError>,
    },
    #[error(transparent)]
    Textfile(#[from] TextfileError),
    /// A notifier without a usable URL.
    #[error("{0}")]
    Notifier(String),
    /// A panic of ours with this message.
    #[error("internal error: {0}")]
    Internal(String),
    #[error("the answer of {url} is not what a Pushgateway sends: {problem}")]
    Answer { url: String, problem: String },
}

/// `the metric items is`, `the metrics a, b and 3 others are`.
fn named(families: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = families.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match families.len() {
        1 => format!("the metric {} is", shown[0]),
        count if count <= SHOWN => format!("the metrics {} are", shown.join(", ")),
        count => {
            let others = count - SHOWN;
            format!("the metrics {} and {others} others are", shown.join(", "))
        }
    }
}

impl GatewayError {
    /// The failed request, if it was one over HTTP.
    pub fn http(&self) -> Option<&HttpError> {
        match self {
            GatewayError::Http(error) | GatewayError::Serving { source: error, .. } => Some(error),
            _ => None,
        }
    }

    /// Returns true if the gateway got the push and refused it, so that it would refuse it again. See
    /// [`HttpError::is_rejection`].
    pub fn is_rejection(&self) -> bool {
        match self.http() {
            Some(error) => error.is_rejection(),
            None => matches!(
                self,
                GatewayError::Embedded(PushError::Rejected(_))
                    | GatewayError::Textfile(TextfileError::Refused { .. })
                    | GatewayError::Refused { .. }
            ),
        }
    }

    /// Returns true if the gateway may have refused the push because of some of its families, and may take the others:
    /// 400 (they conflict), 413 (all of it is too large) and 422.
    pub fn may_be_of_families(&self) -> bool {
        match self.http() {
            Some(HttpError::Status { status, .. }) => matches!(status.as_u16(), 400 | 413 | 422),
            Some(_) => false,
            None => matches!(
                self,
                GatewayError::Embedded(PushError::Rejected(_))
                    | GatewayError::Textfile(TextfileError::Refused { .. })
            ),
        }
    }

    /// The error for a push that was taken but for `rest`, the first family of which was refused by `source`.
    pub(super) fn refused(rest: &Push, source: GatewayError) -> Self {
        let families = rest.families().iter();
        GatewayError::Refused {
            families: families.map(|family| family.name.clone()).collect(),
            source: source.into(),
        }
    }

    /// The families that were refused, where the rest of the push was taken.
    pub fn refused_families(&self) -> &[String] {
        match self {
            GatewayError::Refused { families, .. } => families,
            _ => &[],
        }
    }

    #[cfg(test)]
    pub(super) fn refusal_for_tests() -> Self {
        GatewayError::Http(HttpError::Status {
            url: "http://gateway".into(),
            status: reqwest::StatusCode::BAD_REQUEST,
            message: String::new(),
            cure: None,
            had_credentials: false,
            retry_after: None,
        })
    }

    /// Returns true if the gateway did not take it because of its sender. See [`HttpError::is_of_sender`].
    pub fn is_of_sender(&self) -> bool {
        self.http().is_some_and(HttpError::is_of_sender)
    }

    /// Returns true if it may be about this push alone: the gateway has responded, and accepts us as a sender.
    pub fn may_be_of_push(&self) -> bool {
        matches!(self.http(), Some(HttpError::Status { .. })) && !self.is_of_sender()
    }

    /// Returns true if it is the state database that failed.
    pub fn is_of_state(&self) -> bool {
        matches!(
            self,
            GatewayError::State(_) | GatewayError::Embedded(PushError::State(_))
        )
    }
}

impl Gateway {
    /// The gateway that `text` names: `embedded`, or a URL.
    pub fn parse(
        text: &str,
        state_dir: PathBuf,
        connection: Connection,
    ) -> Result<Self, GatewayUrlError> {
        Ok(Gateway::new(text.parse()?, state_dir, connection))
    }

    pub fn new(name: GatewayName, state_dir: PathBuf, connection: Connection) -> Self {
        match name {
            GatewayName::Embedded => Gateway::Embedded(state_dir),
            GatewayName::Url(url) => Gateway::Http(url, Box::new(connection)),
        }
    }

    /// The URL of a group, without credentials. The embedded gateway's has no host.
    pub fn group_url(&self, key: &GroupingKey) -> String {
        match self {
            Gateway::Embedded(_) => format!("{EMBEDDED}:{}", group_path(key)),
            Gateway::Http(url, _) => url.join(&group_path(key)),
        }
    }

    /// Where it is, for a person to read: the URL, or the embedded gateway's database.
    pub fn place(&self) -> String {
        match self {
            Gateway::Embedded(dir) => {
                let path = dir.join(metricsjob_state::FILE_NAME);
                format!("the embedded gateway ({})", path.display())
            }
            Gateway::Http(url, _) => url.to_string(),
        }
    }

    /// Where the group of `key` is, for a person to read.
    pub fn group_place(&self, key: &GroupingKey) -> String {
        match self {
            Gateway::Embedded(_) => format!("{}, group {{{key}}}", self.place()),
            Gateway::Http(..) => self.group_url(key),
        }
    }

    /// The request that would send `push`, for a person to read: the request line, what the headers
    /// say of the body, and the body behind an empty line. Without credentials.
    pub fn request_text(&self, push: &Push) -> String {
        let encoding = match self {
            Gateway::Embedded(_) => Encoding::default(),
            Gateway::Http(_, connection) => connection.encoding,
        };
        format!(
            "{} {}\n{}",
            push.method().http(),
            self.group_url(push.key()),
            encoding.shown(push)
        )
    }
}

/// Sends requests to one gateway. Creating it takes a while, so it is done before there is anything to push.
pub enum GatewayClient {
    /// The gateway in the state database of this directory.
    Embedded(PathBuf),
    Http {
        /// The URL without credentials.
        name: String,
        /// Or why there can be none.
        client: Box<Result<HttpGateway, HttpError>>,
    },
}

impl GatewayClient {
    pub fn new(gateway: &Gateway) -> Self {
        match gateway {
            Gateway::Embedded(dir) => GatewayClient::Embedded(dir.clone()),
            Gateway::Http(url, connection) => GatewayClient::Http {
                name: url.to_string(),
                client: Box::new(HttpGateway::new(url.clone(), connection)),
            },
        }
    }

    /// The gateway as the outbox names it: the URL without credentials, or `embedded`.
    pub fn name(&self) -> &str {
        match self {
            GatewayClient::Embedded(_) => EMBEDDED,
            GatewayClient::Http { name, .. } => name,
        }
    }

    /// Returns true for the embedded gateway.
    pub fn is_embedded(&self) -> bool {
        matches!(self, GatewayClient::Embedded(_))
    }

    /// Notices in the gateway's responses, see [`HttpGateway::notices`].
    pub fn notices(&self) -> Vec<String> {
        match self {
            GatewayClient::Http { client, .. } => match &**client {
                Ok(client) => client.notices(),
                Err(_) => Vec::new(),
            },
            GatewayClient::Embedded(_) => Vec::new(),
        }
    }

    /// Certificate, in DER, that a gateway behind an `https` URL has presented.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match self {
            GatewayClient::Http { client, .. } => client.as_ref().as_ref().ok()?.certificate(),
            GatewayClient::Embedded(_) => None,
        }
    }

    /// Version of a gateway behind a URL, by the API of the Pushgateway. `None` for the embedded gateway, and for
    /// servers that accept pushes without that API.
    ///
    /// # Errors
    ///
    /// The gateway cannot be reached.
    pub fn version(&self) -> Result<Option<String>, GatewayError> {
        const MOST: usize = 1 << 20;
        let GatewayClient::Http { client, .. } = self else {
            return Ok(None);
        };
        let status = match ready(client)?.get(api::STATUS_PATH, MOST) {
            Ok(status) => status,
            Err(HttpError::Status { .. } | HttpError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(api::version(&status))
    }

    /// Pushes once, and waits for the response until `limit` at most, and not once the `stop` is wanted. `state`
    /// is where the embedded gateway is.
    pub fn push(
        &self,
        push: &Push,
        state: &mut LazyState,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), GatewayError> {
        match self {
            GatewayClient::Embedded(dir) => embedded::push(dir, push, state, limit, stop),
            GatewayClient::Http { client, .. } => Ok(ready(client)?.push(push, limit, stop)?),
        }
    }

    /// Deletes the group of exactly this key. Returns whether there was one, where that is known: a
    /// Pushgateway does not report it.
    pub fn delete(&self, key: &GroupingKey) -> Result<Option<bool>, GatewayError> {
        match self {
            GatewayClient::Embedded(dir) => embedded::delete(dir, key),
            GatewayClient::Http { client, .. } => {
                ready(client)?.delete(key)?;
                Ok(None)
            }
        }
    }

    /// All groups, sorted by key. A gateway behind a URL is queried by the API of the Pushgateway, and a response of
    /// `most` bytes at most is read.
    pub fn groups(&self, most: usize) -> Result<Vec<Group>, GatewayError> {
        match self {
            GatewayClient::Embedded(dir) => match State::open_existing(dir)? {
                Some(mut state) => Ok(state.groups()?),
                None => Ok(Vec::new()),
            },
            GatewayClient::Http { client, .. } => {
                let client = ready(client)?;
                let response = client.get(api::PATH, most)?;
                api::groups(&response).map_err(|problem| GatewayError::Answer {
                    url: client.url().join(api::PATH),
                    problem,
                })
            }
        }
    }
}

pub(super) fn ready(client: &Result<HttpGateway, HttpError>) -> Result<&HttpGateway, HttpError> {
    client.as_ref().map_err(HttpError::clone)
}

/// The gateway as messages name it, without credentials.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gateway::Embedded(_) => f.write_str(EMBEDDED),
            Gateway::Http(url, _) => url.fmt(f),
        }
    }
}
