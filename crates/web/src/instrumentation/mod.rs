//! What the requests of a server are counted by.
//!
//! [`HttpMetrics`] counts them, [`HttpMetrics::layer`] brings them to it, and [`HttpMetrics::families`] gives
//! what to expose. None of it takes a lock: a request costs some additions to numbers that are there already.
//!
//! All label values are bounded, whatever clients send: the endpoint is the template of a route, which
//! axum's router has or [`name_endpoint`] gives; methods and endpoints that are none of ours are
//! [`OTHER`].
//!
//! - `layer`: the way through it; `exchange`: one request with its answer; `body`: what counts their bytes.
//! - `series`: the numbers of an endpoint; `histogram` and `slots`: what they are held in.

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

/// The label value for whatever has none of its own.
pub const OTHER: &str = "other";

/// How many endpoints are told apart: several times what any server of ours has.
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
    /// `service` is the server's name, as `errors_total` has it.
    pub fn new(service: &'static str) -> Arc<HttpMetrics> {
        Arc::new(HttpMetrics {
            service,
            in_flight: AtomicU64::new(0),
            client_errors: AtomicU64::new(0),
            server_errors: AtomicU64::new(0),
            endpoints: Slots::new(),
        })
    }

    /// What a router is wrapped in, by [`axum::Router::layer`] so that its routes are known.
    /// [`Server`](crate::Server) does that.
    pub fn layer(self: &Arc<Self>) -> HttpLayer {
        HttpLayer::new(Arc::clone(self))
    }

    /// Which of the endpoints it is.
    fn endpoint(&self, template: &str) -> usize {
        self.endpoints
            .place(|endpoint| endpoint.is(template), || Endpoint::new(template))
    }

    /// Counts an answer with the status `status`.
    fn count_error(&self, status: StatusCode) {
        if status.is_client_error() {
            self.client_errors.fetch_add(1, Relaxed);
        } else if status.is_server_error() {
            self.server_errors.fetch_add(1, Relaxed);
        }
    }

    /// All of them, now. Each number by itself is right; two of them may be of different moments.
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
