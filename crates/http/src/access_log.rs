//! Records of requests for an access log.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{Extensions, Request};
use tracing::{Level, debug, enabled, info};

/// Receiver of a record of each request.
///
/// Each `Fn(&AccessRecord)` is one. [`TracingAccessLog`] makes events of [`tracing`].
///
/// ```
/// use metricsjob_http::{AccessRecord, HttpMetrics};
///
/// let log = |record: &AccessRecord| {
///     println!("{} {} {}", record.method, record.path, record.status);
/// };
/// HttpMetrics::builder().access_log(log).register(&prometheus::Registry::new())?;
/// # Ok::<(), prometheus::Error>(())
/// ```
pub trait AccessLog: Send + Sync {
    /// Returns false while no records are wanted. Requests that begin meanwhile cost nothing.
    fn is_enabled(&self) -> bool {
        true
    }

    /// Logs a request that is over. It runs on the thread that serves the request; a panic in it is caught.
    fn log(&self, record: &AccessRecord);
}

impl<F: Fn(&AccessRecord) + Send + Sync> AccessLog for F {
    fn log(&self, record: &AccessRecord) {
        self(record)
    }
}

/// A request and its response.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccessRecord {
    /// The method as sent.
    pub method: String,
    /// The route's template, as in the metrics.
    pub endpoint: String,
    /// The path as sent, without the query, which may hold secrets.
    pub path: String,
    /// The status as in the metrics.
    pub status: u16,
    /// The time from the head of the request to the end of the response.
    pub duration: Duration,
    /// The size of the request's body, as far as it was read.
    pub request_bytes: u64,
    /// The size of the response's body, as far as it was sent.
    pub response_bytes: u64,
    /// The address of the client, if it is [known](ClientAddress).
    pub client: Option<SocketAddr>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
}

impl AccessRecord {
    /// Begins the record of a request.
    pub(crate) fn begin<B>(request: &Request<B>) -> Box<AccessRecord> {
        let user_agent = request.headers().get(USER_AGENT);
        Box::new(AccessRecord {
            method: request.method().as_str().to_owned(),
            endpoint: String::new(),
            path: request.uri().path().to_owned(),
            status: 0,
            duration: Duration::ZERO,
            request_bytes: 0,
            response_bytes: 0,
            client: client(request.extensions()),
            user_agent: user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into()),
        })
    }

    pub(crate) fn write(&self, log: &dyn AccessLog) {
        // It is written while a request is dropped, perhaps by another panic, and a second one would abort.
        let _ = catch_unwind(AssertUnwindSafe(|| log.log(self)));
    }
}

/// Extension of a request with the address of its client, for the access log.
///
/// A server adds it to its requests, or a middleware that trusts a header of a proxy. With the feature `axum`,
/// `axum::extract::ConnectInfo<SocketAddr>` counts, too, if this one is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

fn client(extensions: &Extensions) -> Option<SocketAddr> {
    let client = extensions.get().map(|ClientAddress(address)| *address);
    #[cfg(feature = "axum")]
    let client = client.or_else(|| {
        let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()?;
        Some(info.0)
    });
    client
}

/// Access log made of the event `request` of [`tracing`] for each request.
#[derive(Debug, Clone, Copy)]
pub struct TracingAccessLog {
    is_debug: bool,
}

impl TracingAccessLog {
    /// Creates a log with events of the level `INFO`.
    pub fn info() -> Self {
        TracingAccessLog { is_debug: false }
    }

    /// Creates a log with events of the level `DEBUG`.
    pub fn debug() -> Self {
        TracingAccessLog { is_debug: true }
    }
}

macro_rules! event {
    ($level:ident, $record:expr) => {
        $level!(
            method = $record.method,
            endpoint = $record.endpoint,
            path = $record.path,
            status = $record.status,
            seconds = $record.duration.as_secs_f64(),
            request_bytes = $record.request_bytes,
            response_bytes = $record.response_bytes,
            client = $record.client.map(|client| client.to_string()),
            user_agent = $record.user_agent,
            "request"
        )
    };
}

impl AccessLog for TracingAccessLog {
    fn is_enabled(&self) -> bool {
        if self.is_debug {
            enabled!(Level::DEBUG)
        } else {
            enabled!(Level::INFO)
        }
    }

    fn log(&self, record: &AccessRecord) {
        if self.is_debug {
            event!(debug, record)
        } else {
            event!(info, record)
        }
    }
}
