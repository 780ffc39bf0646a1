//! Rule of a job file for one of the job's own metrics.

use serde::{Deserialize, Serialize};

use super::json_pointer::JsonPointer;
use super::output_pattern::OutputPattern;
use super::suggest;
use metricsjob_metrics::{Kind, Labels, is_metric_name};

/// The types that a job can report from its output or its events.
const KINDS: [Kind; 4] = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary];

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
    /// Where it stands in the document that a built-in reads.
    pub pointer: Option<JsonPointer>,
}

impl MetricRule {
    /// A rule without help, labels and source. Observations have the default buckets or quantiles.
    pub fn new(name: String, kind: Kind) -> Self {
        MetricRule {
            name,
            kind,
            help: String::new(),
            labels: Labels::new(),
            scale: Scale::default_of(kind),
            is_cumulative: false,
            source: None,
            pointer: None,
        }
    }

    /// # Errors
    ///
    /// The pattern captures no number, and the metric is one that needs one.
    pub fn check_number(&self) -> Result<(), String> {
        let MetricRule { name, kind, .. } = self;
        match &self.source {
            Some(source) if *kind != Kind::Counter && !source.captures_number() => Err(format!(
                "{name} is a {kind}, and its pattern captures no number: put the number into a group, as in \
                 'size: (\\d+)' (only a counter counts matches)"
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    ///
    /// One of `others`, the rules before it, has the same metric with another type, or other buckets.
    pub fn check_beside(&self, others: &[MetricRule]) -> Result<(), String> {
        let MetricRule { name, kind, .. } = self;
        match others.iter().find(|other| other.name == *name) {
            Some(other) if other.kind != *kind => Err(format!(
                "{name} is a {} already, and cannot be a {kind} too",
                other.kind
            )),
            Some(other) if other.scale != self.scale => {
                Err(format!("{name} has other buckets or quantiles already"))
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
///
/// It cannot be the name of a metric.
pub fn check_name(name: &str) -> Result<(), String> {
    if is_metric_name(name) {
        return Ok(());
    }
    Err(format!(
        "name {name:?} is not a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)"
    ))
}

/// The type of metric that is called `name`.
///
/// # Errors
///
/// A job cannot report such a type.
pub fn kind(name: &str) -> Result<Kind, String> {
    let kind = KINDS.into_iter().find(|kind| kind.name() == name);
    kind.ok_or_else(|| {
        let hint = suggest::hint(name, KINDS.map(Kind::name));
        format!("unknown type {name:?}{hint}")
    })
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
    /// The scale of a metric of this kind that names none.
    pub fn default_of(kind: Kind) -> Scale {
        match kind {
            Kind::Histogram => Scale::Buckets(DEFAULT_BUCKETS.to_vec()),
            Kind::Summary => Scale::Quantiles(DEFAULT_QUANTILES.to_vec()),
            _ => Scale::None,
        }
    }

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
