//! Families while their text is read.

use std::collections::HashMap;

use crate::metrics::family::{Bucket, Family, Kind, Metric, Quantile, Value};
use crate::metrics::label::Labels;

/// A family while it is read.
pub struct Draft {
    pub name: String,
    pub help: Option<String>,
    pub kind: Option<Kind>,
    metrics: Vec<Metric>,
    /// Where the lines of one summary or histogram series are gathered.
    by_labels: HashMap<Labels, usize>,
}

/// Which part of its family a sample line gives.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    /// The name itself: a number, a quantile, or (as `_bucket`) a bucket.
    Own,
    Count,
    Sum,
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
        }
    }

    /// Puts one sample line where it belongs. As in the Pushgateway, a line with a summary's or
    /// histogram's own name but without `quantile` or `le` makes the series and adds nothing.
    pub fn add(
        &mut self,
        kind: Kind,
        part: Part,
        sample: SampleLabels,
        number: f64,
        timestamp_ms: Option<i64>,
    ) {
        if !matches!(kind, Kind::Summary | Kind::Histogram) {
            self.metrics.push(Metric {
                labels: sample.labels,
                value: Value::Number(number),
                timestamp_ms,
            });
            return;
        }
        let index = *self
            .by_labels
            .entry(sample.labels)
            .or_insert_with_key(|labels| {
                self.metrics.push(Metric {
                    labels: labels.clone(),
                    value: Value::zero(kind),
                    timestamp_ms: None,
                });
                self.metrics.len() - 1
            });
        let metric = &mut self.metrics[index];
        metric.timestamp_ms = timestamp_ms.or(metric.timestamp_ms);
        let selector = sample.selector.filter(|selector| !selector.is_nan());
        match &mut metric.value {
            Value::Number(_) => {}
            Value::Summary {
                count,
                sum,
                quantiles,
            } => match part {
                Part::Count => *count = number as u64,
                Part::Sum => *sum = number,
                Part::Own => quantiles.extend(selector.map(|quantile| Quantile {
                    quantile,
                    value: number,
                })),
            },
            Value::Histogram {
                count,
                sum,
                buckets,
            } => match part {
                Part::Count => *count = number as u64,
                Part::Sum => *sum = number,
                Part::Own => buckets.extend(selector.map(|upper_bound| Bucket {
                    upper_bound,
                    count: number as u64,
                })),
            },
        }
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
