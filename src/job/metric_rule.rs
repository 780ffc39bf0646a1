//! Rule of a job file for one of the job's own metrics.

use regex_automata::PatternID;
use regex_automata::meta::Regex;
use serde::{Deserialize, Serialize};

use metricsjob_metrics::{Kind, Labels};

/// Rule for one of a job's metrics: its definition before the run, and how it is read from the output.
#[derive(Debug, Clone)]
pub struct MetricRule {
    pub name: String,
    pub kind: Kind,
    pub help: String,
    pub labels: Labels,
    /// Buckets or quantiles of a metric that takes observations.
    pub scale: Scale,
    /// True for a counter that accumulates from run to run.
    pub is_cumulative: bool,
    pub source: Option<OutputPattern>,
}

/// How observations become a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// For counters and gauges, which observe nothing.
    None,
    /// The upper bounds of a histogram's buckets, ascending, without the infinite one.
    Buckets(Vec<f64>),
    /// The quantiles of a summary, in 0 to 1.
    Quantiles(Vec<f64>),
}

/// The buckets of a histogram that names none: those of the Prometheus client libraries.
pub const DEFAULT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The quantiles of a summary that names none.
pub const DEFAULT_QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

impl Scale {
    /// # Errors
    ///
    /// A bound that is no number or not larger than the one before; no bound at all.
    pub fn buckets(bounds: Vec<f64>) -> Result<Scale, String> {
        // The last bucket is always there.
        let bounds: Vec<f64> = match bounds.split_last() {
            Some((&f64::INFINITY, rest)) => rest.to_vec(),
            _ => bounds,
        };
        if bounds.is_empty() {
            return Err("names no bucket".into());
        }
        if bounds.iter().any(|bound| !bound.is_finite()) {
            return Err("has a bound that is not a number".into());
        }
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err("must rise from bound to bound (for example 0.1,0.5,1)".into());
        }
        Ok(Scale::Buckets(bounds))
    }

    /// # Errors
    ///
    /// A quantile outside 0 to 1, or twice; none at all.
    pub fn quantiles(mut quantiles: Vec<f64>) -> Result<Scale, String> {
        if quantiles.is_empty() {
            return Err("names no quantile".into());
        }
        if quantiles.iter().any(|q| !(0.0..=1.0).contains(q)) {
            return Err("has a quantile that is not from 0 to 1".into());
        }
        quantiles.sort_by(f64::total_cmp);
        if !quantiles.is_sorted_by(|a, b| a < b) {
            return Err("names a quantile twice".into());
        }
        Ok(Scale::Quantiles(quantiles))
    }
}

/// Where a metric's values stand in the lines of the command's output.
#[derive(Debug, Clone)]
pub struct OutputPattern {
    /// The value is the group named `value`, else the first group without a name, else the whole
    /// match. Other named groups are labels.
    pub pattern: Regex,
    pub stream: OutputStream,
}

/// Streams of a command's output that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    Stdout,
    Stderr,
    Both,
}

impl OutputPattern {
    /// Names of the groups that have one.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        group_names(&self.pattern)
    }
}

/// Names of the groups of `pattern` that have one.
pub fn group_names(pattern: &Regex) -> impl Iterator<Item = &str> {
    let names = pattern.group_info().pattern_names(PatternID::ZERO);
    names.flatten()
}

impl OutputStream {
    /// The name in a job file, and what it means.
    pub const NAMES: [(&str, OutputStream); 3] = [
        ("both", OutputStream::Both),
        ("stdout", OutputStream::Stdout),
        ("stderr", OutputStream::Stderr),
    ];

    pub fn includes(self, stream: OutputStream) -> bool {
        self == OutputStream::Both || self == stream
    }
}
