//! Metrics of an endpoint.

use std::sync::Arc;

use axum::http::Method;
use prometheus::{Histogram, IntCounter};

use super::{Children, HttpMetrics, OTHER};

/// The methods of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = [
    "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
];

/// Returns the label of a method, one for all that are unknown.
pub fn method(method: &Method) -> &'static str {
    let known = METHODS.iter().find(|known| **known == method.as_str());
    known.unwrap_or(&OTHER)
}

/// A route template, and its metrics by method and status.
pub struct Endpoint {
    template: Box<str>,
    series: Children<(&'static str, u16), Arc<Series>>,
}

impl Endpoint {
    pub fn new(template: &str) -> Self {
        Endpoint {
            template: template.into(),
            series: Children::default(),
        }
    }

    pub fn template(&self) -> &str {
        &self.template
    }

    /// Returns the metrics of a method and a status.
    pub fn series(&self, metrics: &HttpMetrics, method: &'static str, status: u16) -> Arc<Series> {
        let labels = [method, &self.template];
        self.series.get((method, status), || {
            let status = status.to_string();
            let with_status = [method, &self.template, &status];
            Arc::new(Series {
                requests: metrics.requests.with_label_values(&with_status),
                durations: metrics.durations.with_label_values(&labels),
                request_sizes: metrics.request_sizes.with_label_values(&labels),
                response_sizes: metrics.response_sizes.with_label_values(&labels),
            })
        })
    }
}

/// Metrics of one method and status of an endpoint; the sizes and durations are those of all statuses.
pub struct Series {
    requests: IntCounter,
    durations: Histogram,
    request_sizes: Histogram,
    response_sizes: Histogram,
}

impl Series {
    /// Counts a response, with its duration in seconds and the bytes received and sent.
    pub fn count(&self, seconds: f64, received: u64, sent: u64) {
        self.requests.inc();
        self.durations.observe(seconds);
        self.request_sizes.observe(received as f64);
        self.response_sizes.observe(sent as f64);
    }
}
