//! Families, series and their values, as in `io.prometheus.client`.

use std::fmt;

use super::count::Count;
use super::labels::Labels;
use super::native::NativeHistogram;
use super::text::encode;

/// All series of one metric name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The metric name.
    pub name: String,
    /// The HELP text, unescaped; empty when there is none.
    pub help: String,
    /// The family's TYPE.
    pub kind: Kind,
    /// The series.
    pub metrics: Vec<Metric>,
}

impl Family {
    /// One with these series.
    pub fn new(
        name: impl Into<String>,
        help: impl Into<String>,
        kind: Kind,
        series: impl IntoIterator<Item = (Labels, Value)>,
    ) -> Self {
        let metrics = series.into_iter().map(|(labels, value)| Metric {
            labels,
            value,
            timestamp_ms: None,
        });
        Family {
            name: name.into(),
            help: help.into(),
            kind,
            metrics: metrics.collect(),
        }
    }

    /// A gauge with one series without labels.
    pub fn gauge(name: impl Into<String>, help: impl Into<String>, value: f64) -> Self {
        let series = (Labels::new(), Value::Number(value));
        Family::new(name, help, Kind::Gauge, [series])
    }

    /// A counter with one series without labels.
    pub fn counter(name: impl Into<String>, help: impl Into<String>, value: f64) -> Self {
        let series = (Labels::new(), Value::Number(value));
        Family::new(name, help, Kind::Counter, [series])
    }
}

/// A family's TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Quantiles, a count and a sum.
    Summary,
    /// Buckets, a count and a sum.
    Histogram,
    /// A value of no stated kind.
    Untyped,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [
        Kind::Counter,
        Kind::Gauge,
        Kind::Summary,
        Kind::Histogram,
        Kind::Untyped,
    ];

    /// The word after `# TYPE name`, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        }
    }

    /// The kind with this name, in any case, as the Pushgateway reads it.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The suffixes under which series of this kind stand beside the family's own name.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Summary => &["_count", "_sum"],
            Kind::Histogram => &["_count", "_sum", "_bucket"],
            Kind::Counter | Kind::Gauge | Kind::Untyped => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The series' labels.
    pub labels: Labels,
    /// The series' value.
    pub value: Value,
    /// Milliseconds since the epoch. Pushes must not carry one.
    pub timestamp_ms: Option<i64>,
}

/// The value of one series; its shape goes with the family's [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Counter, gauge, untyped.
    Number(f64),
    /// The value of a summary.
    Summary {
        /// The number of observations.
        count: u64,
        /// The sum of the observations.
        sum: f64,
        /// The quantiles, in the order they were given.
        quantiles: Vec<Quantile>,
    },
    /// The value of a histogram.
    Histogram {
        /// The number of observations.
        count: Count,
        /// The sum of the observations.
        sum: f64,
        /// Cumulative, in the order they were given.
        buckets: Vec<Bucket>,
        /// What the text format has no room for, if there is anything.
        native: Option<Box<NativeHistogram>>,
    },
}

impl Value {
    /// The value with nothing observed yet.
    pub fn zero(kind: Kind) -> Value {
        match kind {
            Kind::Counter | Kind::Gauge | Kind::Untyped => Value::Number(0.0),
            Kind::Summary => Value::Summary {
                count: 0,
                sum: 0.0,
                quantiles: Vec::new(),
            },
            Kind::Histogram => Value::Histogram {
                count: Count::Integer(0),
                sum: 0.0,
                buckets: Vec::new(),
                native: None,
            },
        }
    }
}

/// A quantile of a summary: `quantile` is in 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The rank, from 0 to 1.
    pub quantile: f64,
    /// The observation at that rank.
    pub value: f64,
}

/// A bucket of a histogram: `count` observations were at most `upper_bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The largest observation that the bucket counts.
    pub upper_bound: f64,
    /// The number of observations up to the bound.
    pub count: Count,
}

impl Bucket {
    /// The buckets of these ascending bounds, where `counts` are of each bucket alone.
    pub fn cumulative(
        bounds: impl IntoIterator<Item = f64>,
        counts: impl IntoIterator<Item = u64>,
    ) -> Vec<Bucket> {
        let buckets = bounds.into_iter().zip(counts);
        buckets
            .scan(0, |count, (upper_bound, own)| {
                *count += own;
                Some(Bucket {
                    upper_bound,
                    count: Count::Integer(*count),
                })
            })
            .collect()
    }
}

/// The text format's name of a series: `name{a="b",c="d"}`, labels sorted. Two series are the same
/// exactly when these are equal.
pub fn series_name(name: &str, labels: &Labels) -> String {
    let mut out = String::new();
    encode::series(&mut out, &encode::Opening::of(name), "", labels, None);
    out
}
