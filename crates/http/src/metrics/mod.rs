//! Metrics of the requests of a service.

mod builder;
pub(crate) mod endpoint;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::{Extensions, Uri};
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

use crate::AccessLog;
pub use builder::{HttpLabel, HttpMetric, HttpMetricsBuilder};
use endpoint::Endpoint;

/// Label value for unknown methods and endpoints.
pub const OTHER: &str = "other";

/// Default bucket bounds of durations, in seconds.
pub const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Default bucket bounds of sizes, in bytes.
pub const SIZE_BUCKETS: [f64; 5] = [1e2, 1e3, 1e4, 1e5, 1e6];

type Route = dyn for<'a> Fn(&'a Uri, &'a Extensions) -> Option<&'a str> + Send + Sync;

/// Metrics of the requests of a service, and the tower layer that counts them. Its clones share the metrics.
///
/// | name | labels |
/// | --- | --- |
/// | `http_requests_total` | `method`, `endpoint`, `status_code` |
/// | `http_request_duration_seconds`, `http_request_size_bytes`, `http_response_size_bytes` | `method`, `endpoint` |
/// | `http_requests_in_flight` | |
/// | `errors_total` | `type`: `client_error` or `server_error`; `service` |
///
/// Sizes are those of bodies, as far as they were read or sent. Durations are from the head of the request to the
/// last byte of the response. The status 499 is that of clients that went away before the response.
///
/// In axum, add it by `Router::layer`, with the feature `axum`: then the endpoint is the template of the matched
/// route. Routes that are added to the router afterwards, such as `/metrics`, do not count. Any other tower service
/// is wrapped by a `ServiceBuilder`, and [`HttpMetricsBuilder::route`] or [`name_endpoint`](crate::name_endpoint)
/// names the endpoints:
///
/// ```
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use bytes::Bytes;
/// # type Body = Full<Bytes>;
/// use metricsjob_http::{HttpMetrics, MeasuredBody};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// async fn hello(_: Request<MeasuredBody<Body>>) -> Result<Response<Body>, Infallible> {
///     Ok(Response::new("hello".into()))
/// }
///
/// let registry = prometheus::Registry::new();
/// let http = HttpMetrics::builder()
///     .route(|uri, _| (uri.path() == "/hello").then_some("/hello"))
///     .register(&registry)?;
/// let mut service = ServiceBuilder::new().layer(http).service_fn(hello);
/// # let request = Request::get("/hello").body(Body::default()).unwrap();
/// # drop(service.call(request));
/// # let families = metricsjob_metrics::registry::gather(&registry);
/// # let text = metricsjob_metrics::text::encode(&families);
/// # assert!(text.contains(r#"http_requests_total{endpoint="/hello",method="GET",status_code="499"} 1"#), "{text}");
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpMetrics(pub(crate) Arc<Instruments>);

pub(crate) struct Instruments {
    requests: IntCounterVec,
    durations: HistogramVec,
    request_sizes: HistogramVec,
    response_sizes: HistogramVec,
    pub in_flight: IntGauge,
    errors: IntCounterVec,
    client_errors: IntCounter,
    server_errors: IntCounter,
    has_status_on_histograms: bool,
    max_endpoints: usize,
    endpoints: RwLock<HashMap<Box<str>, Arc<Endpoint>>>,
    pub route: Option<Box<Route>>,
    pub access_log: Option<Box<dyn AccessLog>>,
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetrics")
            .field("in_flight", &self.0.in_flight.get())
            .finish_non_exhaustive()
    }
}

impl HttpMetrics {
    /// Returns a builder with the default names, labels and buckets.
    pub fn builder() -> HttpMetricsBuilder {
        HttpMetricsBuilder::default()
    }

    /// Returns the counter of errors by type and service, in which a program may count errors of its own.
    ///
    /// ```
    /// # let registry = prometheus::Registry::new();
    /// let http = metricsjob_http::HttpMetrics::builder().register(&registry)?;
    /// http.errors().with_label_values(&["validation_error", "user_service"]).inc();
    /// # Ok::<(), prometheus::Error>(())
    /// ```
    pub fn errors(&self) -> &IntCounterVec {
        &self.0.errors
    }

    /// Returns the metrics of the endpoint with this template.
    pub(crate) fn endpoint(&self, template: &str) -> Arc<Endpoint> {
        let endpoints = &self.0.endpoints;
        let known = endpoints.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(template) {
            return Arc::clone(endpoint);
        }
        drop(known);
        let mut known = endpoints.write().unwrap_or_else(PoisonError::into_inner);
        let template = if known.len() < self.0.max_endpoints {
            template
        } else {
            OTHER
        };
        let endpoint = known.entry(template.into());
        Arc::clone(endpoint.or_insert_with(|| Arc::new(Endpoint::new(template))))
    }

    /// Counts a response, if its status is an error.
    pub(crate) fn count_error(&self, status: u16) {
        match status {
            400..500 => self.0.client_errors.inc(),
            500..600 => self.0.server_errors.inc(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_bounded() {
        let registry = prometheus::Registry::new();
        let metrics = HttpMetrics::builder().register(&registry).unwrap();
        let first = metrics.endpoint("/0");
        for n in 0..10_000 {
            metrics.endpoint(&format!("/{n}"));
        }
        assert!(Arc::ptr_eq(&first, &metrics.endpoint("/0")));
        assert_eq!(metrics.endpoint("/9999").template(), OTHER);
        assert_eq!(metrics.0.endpoints.read().unwrap().len(), 65);
    }
}
