//! One request and its response.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::{Extensions, Request, StatusCode};

use crate::metrics::endpoint::{Endpoint, method};
use crate::{AccessRecord, HttpMetrics, OTHER};

/// Status counted for a client that disconnects before the response, which is the one that nginx uses.
const GONE: u16 = 499;

/// Part of an exchange that is recorded while its request is handled.
pub struct RequestProgress {
    metrics: HttpMetrics,
    endpoint: OnceLock<Arc<Endpoint>>,
    received: AtomicU64,
}

impl RequestProgress {
    /// Records that `bytes` of the request's body were read.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }
}

impl fmt::Debug for RequestProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestProgress")
            .field("endpoint", &self.endpoint.get().map(|e| e.template()))
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Kept in the extensions of a request, so that its endpoint can be named.
#[derive(Clone)]
struct Unnamed(Arc<RequestProgress>);

/// Names the endpoint of the request with these extensions, unless it has a name already. `template` must be one
/// of a few dozen, such as `/files/*`, and never the path itself.
///
/// It is for requests that neither axum's `MatchedPath` nor [`HttpMetricsBuilder::route`] names.
///
/// ```
/// use http::{Request, Response};
/// use metricsjob_http::name_endpoint;
///
/// fn handle<B>(request: &Request<B>) -> Response<String> {
///     if let Some(file) = request.uri().path().strip_prefix("/files/") {
///         name_endpoint(request.extensions(), "/files/*");
///         return Response::new(format!("the file {file}"));
///     }
///     Response::new("hello".into())
/// }
/// # handle(&Request::new(()));
/// ```
///
/// [`HttpMetricsBuilder::route`]: crate::HttpMetricsBuilder::route
pub fn name_endpoint(extensions: &Extensions, template: &str) {
    if let Some(Unnamed(progress)) = extensions.get() {
        let endpoint = || progress.metrics.endpoint(template);
        progress.endpoint.get_or_init(endpoint);
    }
}

/// An exchange, from the head of the request to the last byte of the response. It is over, and counted, when this
/// is dropped.
///
/// The layer makes one for each request. This is for servers that are no tower services.
///
/// ```
/// use http::{Request, StatusCode};
/// use metricsjob_http::{HttpMetrics, name_endpoint};
///
/// let registry = prometheus::Registry::new();
/// let metrics = HttpMetrics::builder().register(&registry)?;
/// let mut request = Request::new("the body");
/// let mut exchange = metrics.begin(&mut request);
/// name_endpoint(request.extensions(), "/");
/// exchange.progress().received(8);
/// exchange.answered(StatusCode::OK);
/// exchange.sent(5);
/// drop(exchange);
/// # let families = metricsjob_metrics::registry::gather(&registry);
/// # let text = metricsjob_metrics::text::encode(&families);
/// # assert!(text.contains(r#"http_requests_total{endpoint="/",method="GET",status_code="200"} 1"#), "{text}");
/// # assert!(text.contains(r#"http_request_size_bytes_sum{endpoint="/",method="GET"} 8"#), "{text}");
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Debug)]
pub struct Exchange {
    progress: Arc<RequestProgress>,
    start: Instant,
    method: &'static str,
    status: u16,
    sent: u64,
    /// `None` unless the access log is on.
    record: Option<Box<AccessRecord>>,
}

impl HttpMetrics {
    /// Begins the exchange of a request that arrives now, and lets its endpoint be [named](name_endpoint). Until
    /// it is [answered](Exchange::answered), its status is 499: that of a client that went away.
    pub fn begin<B>(&self, request: &mut Request<B>) -> Exchange {
        let inner = &*self.0;
        inner.in_flight.inc();
        let log = inner.access_log.as_ref();
        let record = log
            .filter(|log| log.is_enabled())
            .map(|_| AccessRecord::begin(request));
        let extensions = request.extensions();
        let route = inner.route.as_ref();
        let template = route.and_then(|route| route(request.uri(), extensions));
        #[cfg(feature = "axum")]
        let template = template.or_else(|| {
            let matched = extensions.get::<axum::extract::MatchedPath>();
            matched.map(|path| path.as_str())
        });
        let endpoint = match template {
            Some(template) => self.endpoint(template).into(),
            None => OnceLock::new(),
        };
        let progress = Arc::new(RequestProgress {
            metrics: self.clone(),
            endpoint,
            received: AtomicU64::new(0),
        });
        let unnamed = Unnamed(Arc::clone(&progress));
        request.extensions_mut().insert(unnamed);
        Exchange {
            progress,
            start: Instant::now(),
            method: method(request.method()),
            status: GONE,
            sent: 0,
            record,
        }
    }
}

impl Exchange {
    /// Returns the part that is recorded while the request is handled.
    pub fn progress(&self) -> Arc<RequestProgress> {
        Arc::clone(&self.progress)
    }

    /// Records the status of the response.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(crate) fn unanswered(&mut self) {
        self.status = GONE;
    }

    /// Records that `bytes` of the response's body were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let metrics = &self.progress.metrics;
        metrics.0.in_flight.dec();
        let took = self.start.elapsed();
        let endpoint = self
            .progress
            .endpoint
            .get_or_init(|| metrics.endpoint(OTHER));
        let received = self.progress.received.load(Relaxed);
        metrics.count_error(self.status);
        let series = endpoint.series(metrics, self.method, self.status);
        series.count(took.as_secs_f64(), received, self.sent);
        if let (Some(record), Some(log)) = (&mut self.record, &metrics.0.access_log) {
            record.endpoint = endpoint.template().to_owned();
            record.status = self.status;
            record.duration = took;
            record.request_bytes = received;
            record.response_bytes = self.sent;
            record.write(&**log);
        }
    }
}
