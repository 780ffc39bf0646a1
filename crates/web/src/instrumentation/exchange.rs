//! One request and its response.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, Request as HttpRequest, StatusCode};
use tracing::{Level, debug, enabled};

use super::endpoint::{Endpoint, method};
use super::{HttpMetrics, OTHER};

/// Status counted for a client that disconnects before the response, which is the one that nginx uses.
const GONE: u16 = 499;

/// Part of an exchange that is recorded while its request is handled.
pub struct ExchangeProgress {
    metrics: Arc<HttpMetrics>,
    endpoint: OnceLock<Arc<Endpoint>>,
    received: AtomicU64,
}

impl ExchangeProgress {
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }
}

/// Kept in the extensions of a request, so that its endpoint can be named.
#[derive(Clone)]
struct Unnamed(Arc<ExchangeProgress>);

/// Names the route `template` of the request with these extensions, for requests that no [`MatchedPath`]
/// covers. It must be one of a few dozen templates, and never the path itself.
pub fn name_endpoint(extensions: &Extensions, template: &str) {
    if let Some(Unnamed(progress)) = extensions.get() {
        let endpoint = || progress.metrics.endpoint(template);
        progress.endpoint.get_or_init(endpoint);
    }
}

/// Names the endpoint of a request that a route of axum's router has matched.
pub fn name_matched(request: Request) -> Request {
    let extensions = request.extensions();
    if let Some(path) = extensions.get::<MatchedPath>() {
        name_endpoint(extensions, path.as_str());
    }
    request
}

/// Details for the debug log.
struct Logged {
    path: String,
    /// Missing on a local socket.
    client: Option<Arc<str>>,
}

/// An exchange, from the head of the request to the last byte of the response. It is over when this is
/// dropped.
pub struct Exchange {
    progress: Arc<ExchangeProgress>,
    start: Instant,
    method: &'static str,
    status: u16,
    sent: u64,
    /// `None` unless the debug log is on.
    logged: Option<Box<Logged>>,
}

impl Exchange {
    /// Begins the exchange of a request that arrived at `start`, and lets its endpoint be named.
    pub fn begin<B>(
        metrics: Arc<HttpMetrics>,
        start: Instant,
        client: Option<&Arc<str>>,
        request: &mut HttpRequest<B>,
    ) -> Exchange {
        metrics.in_flight.inc();
        let logged = enabled!(Level::DEBUG).then(|| {
            Box::new(Logged {
                path: request.uri().path().to_owned(),
                client: client.cloned(),
            })
        });
        let progress = Arc::new(ExchangeProgress {
            metrics,
            endpoint: OnceLock::new(),
            received: AtomicU64::new(0),
        });
        let unnamed = Unnamed(Arc::clone(&progress));
        request.extensions_mut().insert(unnamed);
        Exchange {
            progress,
            start,
            method: method(request.method()),
            status: GONE,
            sent: 0,
            logged,
        }
    }

    pub fn progress(&self) -> Arc<ExchangeProgress> {
        Arc::clone(&self.progress)
    }

    pub fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let metrics = &*self.progress.metrics;
        metrics.in_flight.dec();
        let took = self.start.elapsed().as_secs_f64();
        let endpoint = self
            .progress
            .endpoint
            .get_or_init(|| metrics.endpoint(OTHER));
        let received = self.progress.received.load(Relaxed);
        if let Some(logged) = &self.logged {
            debug!(
                method = self.method,
                endpoint = endpoint.template(),
                path = logged.path,
                status = self.status,
                seconds = took,
                request_bytes = received,
                response_bytes = self.sent,
                client = logged.client.as_deref(),
                "request"
            );
        }
        metrics.count_error(self.status);
        let series = endpoint.series(metrics, self.method, self.status);
        series.count(took, received, self.sent);
    }
}
