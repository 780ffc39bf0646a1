//! Metrics of the requests of a server.
//!
//! [`ServerMetrics`] holds the metrics of all requests, and [`ServerMetrics::families`] returns them to expose.
//! They are counted by [`metricsjob_http`]; here are the buckets of our servers, and how a router of axum names its
//! endpoints.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
pub use metricsjob_http::name_endpoint;
use metricsjob_http::{HttpMetrics, TracingAccessLog};
use prometheus::Registry;

use metricsjob_metrics::Family;
use metricsjob_metrics::registry::gather;

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
pub struct ServerMetrics {
    registry: Registry,
    /// Counts the requests.
    pub(super) http: HttpMetrics,
}

impl ServerMetrics {
    /// `service` is the name of the server, as shown by `errors_total`.
    pub fn new(service: &'static str) -> Arc<ServerMetrics> {
        let registry = Registry::new();
        let http = HttpMetrics::builder()
            .service(service)
            .duration_buckets(&DURATIONS)
            .size_buckets(&SIZES)
            .access_log(TracingAccessLog::debug())
            .register(&registry)
            .expect("names and buckets are constants");
        Arc::new(ServerMetrics { registry, http })
    }

    /// Returns all current metrics. Each number is exact by itself, but two of them may be of different
    /// moments.
    pub fn families(&self) -> Vec<Family> {
        gather(&self.registry)
    }
}

/// Names the endpoint of a request that a route of axum's router has matched.
pub(super) fn name_matched(request: Request) -> Request {
    let extensions = request.extensions();
    if let Some(path) = extensions.get::<MatchedPath>() {
        name_endpoint(extensions, path.as_str());
    }
    request
}

#[cfg(test)]
mod tests;
