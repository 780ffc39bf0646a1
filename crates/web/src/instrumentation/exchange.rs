//! One request and its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use hyper::body::Body as _;
use tracing::{Level, debug, enabled};

use super::body::{ReceivedBody, SentBody};
use super::series::{Endpoint, METHODS, method};
use super::{HttpMetrics, OTHER};

/// Status counted for a client that disconnects before the response, which is the one that nginx uses.
const GONE: u16 = 499;

/// Marks an exchange whose endpoint has not been named yet.
const UNNAMED: usize = usize::MAX;

/// Progress of an exchange, from the request head to the last byte of the response.
pub struct ExchangeProgress {
    metrics: Arc<HttpMetrics>,
    start: Instant,
    method: usize,
    endpoint: AtomicUsize,
    status: AtomicU16,
    received: AtomicU64,
    sent: AtomicU64,
    /// Details for the debug log only.
    logged: Option<Box<Logged>>,
}

struct Logged {
    path: String,
    client: Option<Client>,
}

/// Address of the client, kept in a request's extensions if the debug log is on. It is missing on a local
/// socket.
#[derive(Clone)]
pub struct Client(pub Arc<str>);

/// Names the route `template` of the request with these extensions, for requests that no [`MatchedPath`]
/// covers. It must be one of a few dozen templates, and never the path itself.
pub fn name_endpoint(extensions: &Extensions, template: &str) {
    if let Some(Unnamed(progress)) = extensions.get() {
        progress.name(template);
    }
}

/// Kept in the extensions of a request whose endpoint is not known yet.
#[derive(Clone)]
struct Unnamed(Arc<ExchangeProgress>);

impl ExchangeProgress {
    fn name(&self, template: &str) {
        let endpoint = self.metrics.endpoint(template);
        self.endpoint.store(endpoint, Relaxed);
    }

    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }
}

/// Handle on an exchange for the code that responds to its request. The exchange is over when this is
/// dropped.
pub struct Exchange(Arc<ExchangeProgress>);

impl Exchange {
    /// Begins the exchange for a request that arrived at `start`. The returned request counts the bytes of
    /// its body and lets its endpoint be named.
    pub fn begin(
        metrics: Arc<HttpMetrics>,
        start: Instant,
        mut request: Request,
    ) -> (Exchange, Request) {
        metrics.in_flight.fetch_add(1, Relaxed);
        let logged = enabled!(Level::DEBUG).then(|| {
            Box::new(Logged {
                path: request.uri().path().to_owned(),
                client: request.extensions().get().cloned(),
            })
        });
        let progress = Arc::new(ExchangeProgress {
            start,
            method: method(request.method()),
            endpoint: AtomicUsize::new(UNNAMED),
            status: AtomicU16::new(GONE),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            logged,
            metrics,
        });
        match request.extensions().get::<MatchedPath>() {
            Some(path) => progress.name(path.as_str()),
            None => drop(request.extensions_mut().insert(Unnamed(progress.clone()))),
        }
        if !request.body().is_end_stream() {
            let progress = progress.clone();
            request = request.map(|body| Body::new(ReceivedBody::new(body, progress)));
        }
        (Exchange(progress), request)
    }

    /// Continues the exchange until the body of the response has been sent or dropped.
    pub fn answer(self, response: Response) -> Response {
        self.0.status.store(response.status().as_u16(), Relaxed);
        response.map(|body| Body::new(SentBody::new(body, self)))
    }

    pub fn progress(&self) -> &ExchangeProgress {
        &self.0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let progress = &*self.0;
        let metrics = &*progress.metrics;
        metrics.in_flight.fetch_sub(1, Relaxed);
        let took = progress.start.elapsed();
        let mut place = progress.endpoint.load(Relaxed);
        if place == UNNAMED {
            place = metrics.endpoint(OTHER);
        }
        let endpoint = metrics.endpoints.get(place, || Endpoint::new(OTHER));
        let load = |bytes: &AtomicU64| bytes.load(Relaxed);
        let (received, sent) = (load(&progress.received), load(&progress.sent));
        let status = progress.status.load(Relaxed);
        if let Some(logged) = &progress.logged {
            let client = logged.client.as_ref();
            debug!(
                method = METHODS[progress.method],
                endpoint = endpoint.template(),
                path = logged.path,
                status,
                seconds = took.as_secs_f64(),
                request_bytes = received,
                response_bytes = sent,
                client = client.map(|Client(client)| &**client),
                "request"
            );
        }
        if let Ok(status) = StatusCode::from_u16(status) {
            metrics.count_error(status);
            let nanoseconds = took.as_nanos().try_into().unwrap_or(u64::MAX);
            let series = endpoint.of_method(progress.method);
            series.count(status, nanoseconds, received, sent);
        }
    }
}
