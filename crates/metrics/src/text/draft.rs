//! Families under construction by a parser.

use std::collections::HashSet;

use super::remarks::Remarks;
use crate::check::{CheckError, check_count};
use crate::count::Count;
use crate::excerpt;
use crate::family::{Bucket, Family, Kind, Metric, Quantile, Value};
use crate::index::PairIndex;
use crate::labels::Labels;

/// A family under construction.
pub struct Draft {
    pub name: String,
    pub help: Option<String>,
    pub kind: Option<Kind>,
    metrics: Vec<Metric>,
    /// Set once lines have to find the series they belong to.
    seen: Option<Box<Seen>>,
}

/// Series and samples read so far.
#[derive(Default)]
struct Seen {
    series: PairIndex,
    /// Samples of summaries and histograms: index of the series, part, and bits of the quantile or bound.
    parts: HashSet<(usize, Part, Option<u64>)>,
}

/// Part of a series that a sample line gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The value itself, a quantile, or (as `_bucket`) a bucket.
    Own,
    Count,
    Sum,
}

/// A sample line without its name.
pub struct Sample {
    pub part: Part,
    pub labels: Labels,
    /// Value of the label `quantile` or `le`.
    pub selector: Option<f64>,
    pub value: f64,
    pub timestamp_ms: Option<i64>,
}

impl Draft {
    /// Creates a family that only has a name.
    pub fn new(name: &str) -> Self {
        Draft {
            name: name.to_owned(),
            help: None,
            kind: None,
            metrics: Vec::new(),
            seen: None,
        }
    }

    /// Adds a sample to its series. As in the Pushgateway, a line with the own name of a summary or histogram but
    /// without `quantile` or `le` creates the series and adds nothing.
    pub fn add(&mut self, kind: Kind, sample: Sample) {
        if matches!(kind, Kind::Summary | Kind::Histogram) {
            self.add_part(kind, sample);
        } else {
            self.push(Metric {
                labels: sample.labels,
                value: Value::Number(sample.value),
                timestamp_ms: sample.timestamp_ms,
            });
        }
    }

    /// Adds a sample as [`add`](Draft::add) does.
    ///
    /// # Errors
    ///
    /// Refuses a sample that a gateway would refuse, or store differently from what is written: one with a timestamp,
    /// a duplicate, one of a summary or histogram with a missing or misplaced `quantile` or `le`, an impossible
    /// count.
    pub fn add_strictly(&mut self, kind: Kind, sample: Sample) -> Result<(), String> {
        let series = || excerpt::series(&self.name, &sample.labels);
        if sample.timestamp_ms.is_some() {
            return Err(CheckError::Timestamp { series: series() }.to_string());
        }
        let is_compound = matches!(kind, Kind::Summary | Kind::Histogram);
        let selector = selector(&sample);
        // A Pushgateway shows -0 as 0.
        let part = (sample.part, selector.map(|bound| (bound + 0.0).to_bits()));
        let known = self.find(&sample.labels);
        let is_twice = match (known, &self.seen) {
            (Some(index), Some(seen)) if is_compound => {
                seen.parts.contains(&(index, part.0, part.1))
            }
            (known, _) => known.is_some(),
        };
        if is_twice {
            return Err(CheckError::DuplicateSeries { series: series() }.to_string());
        }
        let Sample {
            part: own, value, ..
        } = sample;
        let is_count = own == Part::Count || (kind == Kind::Histogram && own == Part::Own);
        let label = match kind {
            Kind::Summary => "quantile",
            _ => "le",
        };
        if is_compound && own == Part::Own && selector.is_none() {
            return Err(format!(
                "{} is a {kind} and needs the label {label} here, a number",
                series()
            ));
        }
        if is_compound && own != Part::Own && sample.selector.is_some() {
            return Err(format!(
                "{} is a {kind}, whose count and sum have no label {label}",
                series()
            ));
        }
        if is_compound && is_count {
            check_count(value).map_err(|problem| format!("{} {problem}", series()))?;
        }
        let index = known.unwrap_or(self.metrics.len());
        self.add(kind, sample);
        let seen = self.seen.get_or_insert_default();
        seen.series.grew(&self.metrics, |metric| &metric.labels);
        if is_compound {
            seen.parts.insert((index, part.0, part.1));
        }
        Ok(())
    }

    fn add_part(&mut self, kind: Kind, sample: Sample) {
        let selector = selector(&sample);
        let Sample { part, value, .. } = sample;
        let index = self.find(&sample.labels).unwrap_or_else(|| {
            self.push(Metric {
                labels: sample.labels,
                value: Value::zero(kind),
                timestamp_ms: None,
            });
            let seen = self.seen.get_or_insert_default();
            seen.series.grew(&self.metrics, |metric| &metric.labels);
            self.metrics.len() - 1
        });
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
                ..
            } => match part {
                Part::Count => *count = Count::of(value),
                Part::Sum => *sum = value,
                Part::Own => buckets.extend(selector.map(|upper_bound| Bucket {
                    upper_bound,
                    count: Count::of(value),
                })),
            },
        }
    }

    /// Returns the index of the series with these labels. In most cases it is the last one.
    fn find(&self, labels: &Labels) -> Option<usize> {
        let last = self.metrics.last()?;
        if last.labels == *labels {
            return Some(self.metrics.len() - 1);
        }
        let seen = self.seen.as_ref()?;
        seen.series
            .find(&self.metrics, |metric| &metric.labels, labels)
    }

    /// Returns the number of series so far.
    pub fn series(&self) -> usize {
        self.metrics.len()
    }

    fn push(&mut self, metric: Metric) {
        // Most families have one series, and a vector starts with room for four.
        if self.metrics.is_empty() {
            self.metrics.reserve_exact(1);
        }
        self.metrics.push(metric);
    }

    /// Returns the finished family, or `None` if it has no samples.
    pub fn finish(mut self) -> Option<Family> {
        self.metrics.shrink_to_fit();
        let family = Family {
            name: self.name,
            help: self.help.unwrap_or_default(),
            kind: self.kind.unwrap_or(Kind::Untyped),
            metrics: self.metrics,
        };
        (!family.metrics.is_empty()).then_some(family)
    }
}

impl Draft {
    /// Returns the finished family as [`finish`](Draft::finish) does, and adds to `remarks` what is lost and what is
    /// made up. A missing `_count` of a histogram is taken from its infinite bucket.
    pub fn finish_strictly(mut self, remarks: &mut Remarks) -> Option<Family> {
        if self.metrics.is_empty() {
            if self.help.is_some() || self.kind.is_some() {
                remarks.without_samples.push(self.name);
            }
            return None;
        }
        for suffix in self.add_missing() {
            remarks.made_up.push(format!("{}{suffix}", self.name));
        }
        self.finish()
    }

    /// Fills missing counts of histograms from their infinite buckets. Returns the suffixes of the samples that stay
    /// missing.
    fn add_missing(&mut self) -> Vec<&'static str> {
        let Some(seen) = &self.seen else {
            return Vec::new();
        };
        let (mut sum, mut count) = (None, None);
        for (index, metric) in self.metrics.iter_mut().enumerate() {
            let has = |part| seen.parts.contains(&(index, part, None));
            match &mut metric.value {
                Value::Number(_) => continue,
                Value::Histogram { count, buckets, .. } if !has(Part::Count) => {
                    let mut buckets = buckets.iter();
                    if let Some(infinite) = buckets.find(|b| b.upper_bound == f64::INFINITY) {
                        *count = infinite.count;
                    }
                }
                Value::Summary { .. } if !has(Part::Count) => count = Some("_count"),
                Value::Histogram { .. } | Value::Summary { .. } => {}
            }
            if !has(Part::Sum) {
                sum = Some("_sum");
            }
        }
        sum.into_iter().chain(count).collect()
    }
}

/// Returns the value of `quantile` or `le`, unless it is NaN, at which nothing can be.
fn selector(sample: &Sample) -> Option<f64> {
    sample.selector.filter(|selector| !selector.is_nan())
}
