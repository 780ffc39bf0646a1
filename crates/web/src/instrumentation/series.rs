//! Counters of an endpoint.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{Method, StatusCode};

use super::OTHER;
use super::histogram::Histogram;
use super::slots::Slots;
use metricsjob_metrics::Value;

/// The methods of RFC 9110 and RFC 5789, and one label for all others.
pub const METHODS: [&str; 10] = [
    "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", OTHER,
];

/// Returns the index of the method in [`METHODS`].
pub fn method(method: &Method) -> usize {
    let known = METHODS.iter().position(|known| *known == method.as_str());
    // A method could itself be called `other`.
    known.unwrap_or(METHODS.len() - 1)
}

/// Bucket bounds in nanoseconds: from 100 µs, which is more than a response from memory takes, to 10 s.
const DURATIONS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const NANOSECONDS: f64 = 1e9;

/// Bucket bounds in bytes: from a small push to more than a large scrape.
const SIZES: [u64; 8] = [
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    16 << 20,
];

/// Maximum number of distinct status codes, which is more than any endpoint has.
const STATUSES: usize = 24;

/// A route template, and the counters of each method.
pub struct Endpoint {
    template: Box<str>,
    methods: [OnceLock<Box<Series>>; METHODS.len()],
}

impl Endpoint {
    pub fn new(template: &str) -> Self {
        Endpoint {
            template: template.into(),
            methods: [const { OnceLock::new() }; METHODS.len()],
        }
    }

    pub fn is(&self, template: &str) -> bool {
        *self.template == *template
    }

    pub fn template(&self) -> &str {
        &self.template
    }

    /// Returns the counters of a method, given its index in [`METHODS`].
    pub fn of_method(&self, method: usize) -> &Series {
        self.methods[method].get_or_init(|| Box::new(Series::new()))
    }

    /// Returns the counters, each with the template and the index of its method in [`METHODS`].
    pub fn series(&self) -> impl Iterator<Item = (&str, usize, &Series)> {
        let methods = self.methods.iter().enumerate();
        methods.filter_map(|(method, series)| Some((&*self.template, method, &**series.get()?)))
    }
}

/// Counters of one method of an endpoint.
pub struct Series {
    /// Each status (0 for all others) and its number of responses.
    statuses: Slots<(u16, AtomicU64), STATUSES>,
    durations: Histogram<{ DURATIONS.len() }>,
    request_sizes: Histogram<{ SIZES.len() }>,
    response_sizes: Histogram<{ SIZES.len() }>,
}

impl Series {
    fn new() -> Self {
        Series {
            statuses: Slots::new(),
            durations: Histogram::new(&DURATIONS),
            request_sizes: Histogram::new(&SIZES),
            response_sizes: Histogram::new(&SIZES),
        }
    }

    /// Counts a response, with its duration in nanoseconds and the bytes received and sent.
    pub fn count(&self, status: StatusCode, nanoseconds: u64, request: u64, response: u64) {
        let status = status.as_u16();
        let make = |status| (status, AtomicU64::new(0));
        let place = self
            .statuses
            .place(|(known, _)| *known == status, || make(status));
        let (_, count) = self.statuses.get(place, || make(0));
        count.fetch_add(1, Relaxed);
        self.durations.observe(nanoseconds);
        self.request_sizes.observe(request);
        self.response_sizes.observe(response);
    }

    /// Returns each status and its number of responses.
    pub fn statuses(&self) -> impl Iterator<Item = (String, u64)> {
        self.statuses.iter().map(|(status, count)| {
            let status = match status {
                0 => OTHER.to_owned(),
                status => status.to_string(),
            };
            (status, count.load(Relaxed))
        })
    }

    /// Returns the histogram of durations, in seconds.
    pub fn durations(&self) -> Value {
        self.durations.value(NANOSECONDS)
    }

    /// Returns the histogram of request sizes, in bytes.
    pub fn request_sizes(&self) -> Value {
        self.request_sizes.value(1.0)
    }

    /// Returns the histogram of response sizes, in bytes.
    pub fn response_sizes(&self) -> Value {
        self.response_sizes.value(1.0)
    }
}
