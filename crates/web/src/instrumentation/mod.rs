//! Metrics of the requests of a server.
//!
//! [`HttpMetrics`] counts the requests, [`HttpMetrics::layer`] passes them to it, and
//! [`HttpMetrics::families`] returns the metrics to expose. None of it takes a lock: a request costs a few
//! additions to existing counters.
//!
//! All label values are bounded, whatever clients send: the endpoint is the template of a route, from axum's
//! router or from [`name_endpoint`]; unknown methods and endpoints are [`OTHER`].
//!
//! - `layer`: passes requests through; `exchange`: one request and its response; `body`: counts their bytes.
//! - `series`: the counters of an endpoint; `histogram` and `slots`: the types that hold them.

mod body;
mod exchange;
mod histogram;
mod layer;
mod series;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;

pub use exchange::name_endpoint;
pub(super) use exchange::{Client, Exchange};
pub use layer::{HttpLayer, HttpService};

use metricsjob_metrics::{Family, Kind, Labels, Value};
use series::{Endpoint, METHODS, Series};
use slots::Slots;

/// Label value for unknown methods and endpoints.
pub const OTHER: &str = "other";

/// Maximum number of distinct endpoints, which is several times what any of our servers has.
const ENDPOINTS: usize = 64;

/// Counts the requests of a server.
pub struct HttpMetrics {
    service: &'static str,
    in_flight: AtomicU64,
    client_errors: AtomicU64,
    server_errors: AtomicU64,
    endpoints: Slots<Endpoint, ENDPOINTS>,
}

impl HttpMetrics {
    /// `service` is the name of the server, as shown by `errors_total`.
    pub fn new(service: &'static str) -> Arc<HttpMetrics> {
        Arc::new(HttpMetrics {
            service,
            in_flight: AtomicU64::new(0),
            client_errors: AtomicU64::new(0),
            server_errors: AtomicU64::new(0),
            endpoints: Slots::new(),
        })
    }

    /// Returns the layer to wrap a router in, by [`axum::Router::layer`] so that its routes are known.
    /// [`Server`](crate::Server) does that.
    pub fn layer(self: &Arc<Self>) -> HttpLayer {
        HttpLayer::new(Arc::clone(self))
    }

    /// Returns the index of the endpoint with this template.
    fn endpoint(&self, template: &str) -> usize {
        self.endpoints
            .place(|endpoint| endpoint.is(template), || Endpoint::new(template))
    }

    /// Counts a response with an error status.
    fn count_error(&self, status: StatusCode) {
        if status.is_client_error() {
            self.client_errors.fetch_add(1, Relaxed);
        } else if status.is_server_error() {
            self.server_errors.fetch_add(1, Relaxed);
        }
    }

    /// Returns all current metrics. Each number is exact by itself, but two of them may be of different
    /// moments.
    pub fn families(&self) -> Vec<Family> {
        let all = || {
            let all = self.endpoints.iter().flat_map(Endpoint::series);
            all.map(|(endpoint, method, series)| {
                let labels = [("method", METHODS[method]), ("endpoint", endpoint)];
                (labels, series)
            })
        };
        let histogram = |name: &str, help: &str, value: fn(&Series) -> Value| {
            let series = all().map(|(labels, series)| (Labels::from(labels), value(series)));
            Family::new(name, help, Kind::Histogram, series)
        };
        let requests = all().flat_map(|([method, endpoint], series)| {
            series.statuses().map(move |(status, count)| {
                let status = ("status_code", status.as_str());
                let labels = Labels::from([method, endpoint, status]);
                (labels, Value::Number(count as f64))
            })
        });
        let errors = [
            ("client_error", &self.client_errors),
            ("server_error", &self.server_errors),
        ];
        let errors = errors.map(|(kind, count)| {
            let labels = Labels::from([("type", kind), ("service", self.service)]);
            (labels, Value::Number(count.load(Relaxed) as f64))
        });
        let mut families = vec![
            Family::new(
                "http_requests_total",
                "HTTP requests that were answered; status 499 is that of clients that went away before.",
                Kind::Counter,
                requests,
            ),
            histogram(
                "http_request_duration_seconds",
                "Time from the head of an HTTP request to the last byte of its answer.",
                Series::durations,
            ),
            histogram(
                "http_request_size_bytes",
                "Size of the bodies of HTTP requests, as far as they were read.",
                Series::request_sizes,
            ),
            histogram(
                "http_response_size_bytes",
                "Size of the bodies of HTTP answers, as far as they were sent.",
                Series::response_sizes,
            ),
            Family::gauge(
                "http_requests_in_flight",
                "HTTP requests that are being answered.",
                self.in_flight.load(Relaxed) as f64,
            ),
            Family::new(
                "errors_total",
                "HTTP requests that were answered by an error.",
                Kind::Counter,
                errors,
            ),
        ];
        families.retain(|family| !family.metrics.is_empty());
        families
    }
}

#[cfg(test)]
mod tests;
