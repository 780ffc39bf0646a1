//! Families while their text is read.

use std::collections::{HashMap, HashSet};

use crate::metrics::check::CheckError;
use crate::metrics::family::{Bucket, Family, Kind, Metric, Quantile, Value, series_name};
use crate::metrics::labels::Labels;

/// A family while it is read.
pub struct Draft {
    pub name: String,
    pub help: Option<String>,
    pub kind: Option<Kind>,
    metrics: Vec<Metric>,
    /// Where each series stands in `metrics`.
    by_labels: HashMap<Labels, usize>,
    /// The parts of summaries and histograms that were read: labels, part, and the bits of what
    /// selects a quantile or bucket.
    parts: HashSet<(Labels, Part, Option<u64>)>,
}

/// Which part of its family a sample line gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The name itself: a number, a quantile, or (as `_bucket`) a bucket.
    Own,
    Count,
    Sum,
}

/// A sample line, but for its name.
pub struct Sample {
    pub part: Part,
    pub labels: SampleLabels,
    pub value: f64,
    pub timestamp_ms: Option<i64>,
}

/// The labels of a sample line, without the one that selects a quantile or a bucket.
#[derive(Default)]
pub struct SampleLabels {
    pub labels: Labels,
    pub selector: Option<f64>,
}

impl Draft {
    /// A family that so far only has a name.
    pub fn new(name: &str) -> Self {
        Draft {
            name: name.to_owned(),
            help: None,
            kind: None,
            metrics: Vec::new(),
            by_labels: HashMap::new(),
            parts: HashSet::new(),
        }
    }

    /// Puts one sample line where it belongs. As in the Pushgateway, a line with a summary's or
    /// histogram's own name but without `quantile` or `le` makes the series and adds nothing.
    ///
    /// # Errors
    ///
    /// What of the line is not kept as it was written, or would be refused by a gateway. It is added
    /// all the same.
    pub fn add(&mut self, kind: Kind, sample: Sample) -> Result<(), String> {
        let Sample { part, value, .. } = sample;
        let SampleLabels { labels, selector } = sample.labels;
        let series = || series_name(&self.name, &labels);
        let mut loss = sample
            .timestamp_ms
            .map(|_| CheckError::Timestamp { series: series() }.to_string());
        let twice = || Some(CheckError::DuplicateSeries { series: series() }.to_string());
        let known = self.by_labels.get(&labels).copied();
        if !matches!(kind, Kind::Summary | Kind::Histogram) {
            if known.is_some() {
                loss = loss.or_else(twice);
            }
            self.by_labels.insert(labels.clone(), self.metrics.len());
            self.metrics.push(Metric {
                labels,
                value: Value::Number(value),
                timestamp_ms: sample.timestamp_ms,
            });
            return loss.map_or(Ok(()), Err);
        }
        let selector = selector.filter(|selector| !selector.is_nan());
        let is_new_part = self
            .parts
            .insert((labels.clone(), part, selector.map(f64::to_bits)));
        if !is_new_part {
            loss = loss.or_else(twice);
        }
        let is_count = part == Part::Count || (kind == Kind::Histogram && part == Part::Own);
        if part == Part::Own && selector.is_none() {
            let label = if kind == Kind::Summary {
                "quantile"
            } else {
                "le"
            };
            loss = loss.or(Some(format!(
                "{} is a {kind} and needs the label {label} here",
                series()
            )));
        } else if is_count && (value < 0.0 || value.fract() != 0.0 || value.is_nan()) {
            loss = loss.or(Some(format!(
                "{} counts in whole numbers, not {value}",
                series()
            )));
        }
        let index = known.unwrap_or_else(|| {
            self.metrics.push(Metric {
                labels: labels.clone(),
                value: Value::zero(kind),
                timestamp_ms: None,
            });
            self.metrics.len() - 1
        });
        self.by_labels.insert(labels, index);
        let metric = &mut self.metrics[index];
        metric.timestamp_ms = sample.timestamp_ms.or(metric.timestamp_ms);
        match &mut metric.value {
            Value::Number(_) => {}
            Value::Summary {
                count,
                sum,
                quantiles,
            } => match part {
                Part::Count => *count = value as u64,
                Part::Sum => *sum = value,
                Part::Own => {
                    quantiles.extend(selector.map(|quantile| Quantile { quantile, value }));
                }
            },
            Value::Histogram {
                count,
                sum,
                buckets,
            } => match part {
                Part::Count => *count = value as u64,
                Part::Sum => *sum = value,
                Part::Own => buckets.extend(selector.map(|upper_bound| Bucket {
                    upper_bound,
                    count: value as u64,
                })),
            },
        }
        loss.map_or(Ok(()), Err)
    }

    /// The family, or `None` if there was no sample.
    pub fn finish(self) -> Option<Family> {
        let family = Family {
            name: self.name,
            help: self.help.unwrap_or_default(),
            kind: self.kind.unwrap_or(Kind::Untyped),
            metrics: self.metrics,
        };
        (!family.metrics.is_empty()).then_some(family)
    }
}
