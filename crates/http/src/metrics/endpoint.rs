//! Metrics of an endpoint.

use std::sync::Arc;

use http::Method;
use metricsjob_metrics::registry::Children;
use prometheus::{Histogram, IntCounter};

use super::{HttpMetrics, OTHER};

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
        self.series.get((method, status), || {
            let status = status.to_string();
            let all = [method, &self.template, &status];
            let of_histograms = if metrics.0.has_status_on_histograms {
                &all[..]
            } else {
                &all[..2]
            };
            Arc::new(Series {
                requests: metrics.0.requests.with_label_values(&all),
                durations: metrics.0.durations.with_label_values(of_histograms),
                request_sizes: metrics.0.request_sizes.with_label_values(of_histograms),
                response_sizes: metrics.0.response_sizes.with_label_values(of_histograms),
            })
        })
    }
}

/// Metrics of one method and status of an endpoint. Its sizes and durations may be those of all statuses.
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
