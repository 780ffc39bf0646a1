//! The client of a gateway that is reached over HTTP.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};

use super::connection::Connection;
use super::path::group_path;
use super::url::GatewayUrl;
use crate::client::{self, Runtime, innermost};
use crate::metrics::{GroupingKey, Method, Push, text};

/// How long to wait for a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the answer is complete, the connection included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(10),
        }
    }
}

/// A request to a gateway that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
    #[error("could not connect to {url}: {reason} (is a gateway listening there?)")]
    Connect { url: String, reason: String },
    #[error("{url} gave no answer within {}: raise --push-timeout if it is only slow", humantime::format_duration(*.limit))]
    Timeout { url: String, limit: Duration },
    #[error("no connection to {url} within {}: raise --connect-timeout if it is only slow", humantime::format_duration(*.limit))]
    ConnectTimeout { url: String, limit: Duration },
    #[error("the connection to {url} broke: {reason}")]
    Broken { url: String, reason: String },
    #[error("{url} answered {status}{}", said(.message))]
    Status {
        url: String,
        status: StatusCode,
        /// What the gateway wrote, made fit for a terminal. May be empty.
        message: String,
        /// How long it asked to be left alone, by `Retry-After` in seconds (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
    },
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        _ => format!(": {message}"),
    }
}

/// How much of an answer is read, and how much of it an error shows.
const ANSWER_READ: usize = 16 * 1024;
const ANSWER_SHOWN: usize = 1000;

/// A gateway at a URL. Not made for many requests at once: each call blocks until it is answered.
pub struct HttpGateway {
    url: GatewayUrl,
    timeouts: Timeouts,
    client: reqwest::Client,
    runtime: Runtime,
}

impl HttpGateway {
    /// A client for the gateway at `url`. For `https` it verifies certificates by the system's
    /// roots. Redirects are not followed: one turns a PUT into a GET.
    pub fn new(url: GatewayUrl, connection: &Connection) -> Result<Self, HttpError> {
        let timeouts = connection.timeouts;
        let setup = |error: &(dyn Error + 'static)| HttpError::Setup(innermost(error));
        let builder = client::builder(url.is_https())
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total);
        Ok(HttpGateway {
            client: builder.build().map_err(|error| setup(&error))?,
            runtime: Runtime::new().map_err(|error| setup(&error))?,
            url,
            timeouts,
        })
    }

    /// The URL of a group, without credentials.
    pub fn group_url(&self, key: &GroupingKey) -> String {
        self.url.join(&group_path(key))
    }

    /// Sends `push` and waits for the answer, until `limit` at most.
    ///
    /// # Errors
    ///
    /// Any answer but 200 and 202 (the latter is a Pushgateway's that checks nothing).
    pub fn push(&self, push: &Push, limit: Duration) -> Result<(), HttpError> {
        let verb = match push.method() {
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
        };
        let url = self.group_url(push.key());
        let request = self
            .request(verb, &url)
            .header(CONTENT_TYPE, text::CONTENT_TYPE)
            .body(push.text().to_owned())
            .timeout(limit.min(self.timeouts.total));
        self.send(&url, request, &[StatusCode::OK, StatusCode::ACCEPTED])
            .map(drop)
    }

    /// Deletes the group of `key`; a gateway does not tell whether there was one.
    pub fn delete(&self, key: &GroupingKey) -> Result<(), HttpError> {
        let url = self.group_url(key);
        let request = self.request(reqwest::Method::DELETE, &url);
        self.send(&url, request, &[StatusCode::OK, StatusCode::ACCEPTED])
            .map(drop)
    }

    /// Fetches `path`, which starts with a slash.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, HttpError> {
        let url = self.url.join(path);
        let request = self.request(reqwest::Method::GET, &url);
        let response = self.send(&url, request, &[StatusCode::OK])?;
        self.runtime
            .block_on(response.bytes())
            .map(|bytes| bytes.to_vec())
            .map_err(|error| self.failure(&url, &error))
    }

    fn request(&self, verb: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(verb, url);
        match self.url.credentials() {
            Some(credentials) => request.basic_auth(&credentials.user, Some(&credentials.password)),
            None => request,
        }
    }

    fn send(
        &self,
        url: &str,
        request: reqwest::RequestBuilder,
        wanted: &[StatusCode],
    ) -> Result<reqwest::Response, HttpError> {
        self.runtime.block_on(async {
            let mut response = request
                .send()
                .await
                .map_err(|error| self.failure(url, &error))?;
            let status = response.status();
            if wanted.contains(&status) {
                return Ok(response);
            }
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            let mut message = match response.headers().get(LOCATION) {
                Some(target) if status.is_redirection() => format!(
                    "it redirects to {}, give that gateway's URL instead",
                    shown(target.as_bytes())
                ),
                _ => String::new(),
            };
            if message.is_empty() {
                let mut body = Vec::new();
                // What the gateway says is a help, so a cut answer is shown as far as it came.
                while body.len() < ANSWER_READ
                    && let Ok(Some(chunk)) = response.chunk().await
                {
                    body.extend_from_slice(&chunk);
                }
                message = shown(&body);
            }
            Err(HttpError::Status {
                url: url.to_owned(),
                status,
                message,
                retry_after: retry_after.map(Duration::from_secs),
            })
        })
    }

    fn failure(&self, url: &str, error: &reqwest::Error) -> HttpError {
        let url = url.to_owned();
        match (error.is_timeout(), error.is_connect()) {
            (true, true) => HttpError::ConnectTimeout {
                url,
                limit: self.timeouts.connect.min(self.timeouts.total),
            },
            (true, false) => HttpError::Timeout {
                url,
                limit: self.timeouts.total,
            },
            (false, true) => HttpError::Connect {
                url,
                reason: innermost(error),
            },
            (false, false) => HttpError::Broken {
                url,
                reason: innermost(error),
            },
        }
    }
}

/// What a gateway wrote, on one line, without control characters, not too long.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(ANSWER_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
