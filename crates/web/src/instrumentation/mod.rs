//! Metrics of the requests of a server.
//!
//! [`HttpMetrics`] holds the metrics of all requests, and [`HttpMetrics::families`] returns them to expose.
//!
//! All label values are bounded, whatever clients send: the endpoint is the template of a route, from axum's
//! router or from [`name_endpoint`]; unknown methods and endpoints are [`OTHER`].
//!
//! - `exchange`: one request and its response; `endpoint`: the metrics of a route; `children`: their cache.

mod children;
mod endpoint;
mod exchange;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

pub use children::Children;
pub use exchange::name_endpoint;
pub(super) use exchange::{Exchange, ExchangeProgress, name_matched};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use endpoint::Endpoint;
use metricsjob_metrics::Family;
use metricsjob_metrics::registry::{gather, register};

/// Label value for unknown methods and endpoints.
pub const OTHER: &str = "other";

/// Maximum number of distinct endpoints, which is several times what any of our servers has.
const ENDPOINTS: usize = 64;

/// Bucket bounds in seconds: from 100 µs, which is more than a response from memory takes, to 10 s.
const DURATIONS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Bucket bounds in bytes: from a small push to more than a large scrape.
const SIZES: [f64; 8] = [
    256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 16777216.0,
];

/// Metrics of the requests of a server.
pub struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    request_sizes: HistogramVec,
    response_sizes: HistogramVec,
    in_flight: IntGauge,
    client_errors: IntCounter,
    server_errors: IntCounter,
    endpoints: RwLock<HashMap<Box<str>, Arc<Endpoint>>>,
}

impl HttpMetrics {
    /// `service` is the name of the server, as shown by `errors_total`.
    pub fn new(service: &'static str) -> Arc<HttpMetrics> {
        let registry = Registry::new();
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(bounds.into());
            register(
                &registry,
                HistogramVec::new(options, &["method", "endpoint"]),
            )
        };
        let errors = IntCounterVec::new(
            Opts::new(
                "errors_total",
                "HTTP requests that were answered by an error.",
            ),
            &["type", "service"],
        );
        let errors = register(&registry, errors);
        let requests = IntCounterVec::new(
            Opts::new(
                "http_requests_total",
                "HTTP requests that were answered; status 499 is that of clients that went away before.",
            ),
            &["method", "endpoint", "status_code"],
        );
        let in_flight = IntGauge::new(
            "http_requests_in_flight",
            "HTTP requests that are being answered.",
        );
        Arc::new(HttpMetrics {
            requests: register(&registry, requests),
            durations: histogram(
                "http_request_duration_seconds",
                "Time from the head of an HTTP request to the last byte of its answer.",
                &DURATIONS,
            ),
            request_sizes: histogram(
                "http_request_size_bytes",
                "Size of the bodies of HTTP requests, as far as they were read.",
                &SIZES,
            ),
            response_sizes: histogram(
                "http_response_size_bytes",
                "Size of the bodies of HTTP answers, as far as they were sent.",
                &SIZES,
            ),
            in_flight: register(&registry, in_flight),
            client_errors: errors.with_label_values(&["client_error", service]),
            server_errors: errors.with_label_values(&["server_error", service]),
            endpoints: RwLock::default(),
            registry,
        })
    }

    /// Returns the metrics of the endpoint with this template.
    fn endpoint(&self, template: &str) -> Arc<Endpoint> {
        let endpoints = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoints.get(template) {
            return Arc::clone(endpoint);
        }
        drop(endpoints);
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let template = if endpoints.len() < ENDPOINTS {
            template
        } else {
            OTHER
        };
        let endpoint = endpoints.entry(template.into());
        Arc::clone(endpoint.or_insert_with(|| Arc::new(Endpoint::new(template))))
    }

    /// Counts a response, if its status is an error.
    fn count_error(&self, status: u16) {
        match status {
            400..500 => self.client_errors.inc(),
            500..600 => self.server_errors.inc(),
            _ => {}
        }
    }

    /// Returns all current metrics. Each number is exact by itself, but two of them may be of different
    /// moments.
    pub fn families(&self) -> Vec<Family> {
        gather(&self.registry)
    }
}

#[cfg(test)]
mod tests;
