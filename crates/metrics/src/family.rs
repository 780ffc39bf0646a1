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
    /// Creates a family of series without timestamps.
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

    /// Creates a gauge with one series without labels.
    pub fn gauge(name: impl Into<String>, help: impl Into<String>, value: f64) -> Self {
        Family::single(name.into(), help.into(), Kind::Gauge, value)
    }

    /// Creates a counter with one series without labels.
    pub fn counter(name: impl Into<String>, help: impl Into<String>, value: f64) -> Self {
        Family::single(name.into(), help.into(), Kind::Counter, value)
    }

    fn single(name: String, help: String, kind: Kind, value: f64) -> Self {
        let series = (Labels::new(), Value::Number(value));
        Family::new(name, help, kind, [series])
    }
}

/// A family's TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value that only grows, until its process restarts.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Quantiles, a count and a sum.
    Summary,
    /// Buckets, a count and a sum.
    Histogram,
    /// A value of unknown kind.
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

    /// Returns the word for it in a TYPE line, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        }
    }

    /// Returns the kind by its name in a TYPE line; case does not matter, as in the Pushgateway.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Returns the suffixes of the series that this kind has besides the family's own name.
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
    /// Milliseconds since the epoch. `None` in pushes, which a gateway refuses otherwise.
    pub timestamp_ms: Option<i64>,
}

/// Value of one series; the family's [`Kind`] determines the variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter, gauge or untyped value.
    Number(f64),
    /// The value of a summary.
    Summary {
        /// The number of observations.
        count: u64,
        /// The sum of the observations.
        sum: f64,
        /// The quantiles, in the order of the input.
        quantiles: Vec<Quantile>,
    },
    /// The value of a histogram.
    Histogram {
        /// The number of observations.
        count: Count,
        /// The sum of the observations.
        sum: f64,
        /// The classic buckets with cumulative counts, in the order of the input.
        buckets: Vec<Bucket>,
        /// Parts of the histogram that the text format cannot express.
        native: Option<Box<NativeHistogram>>,
    },
}

impl Value {
    /// Returns the value of a series that has not observed anything.
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

/// A quantile of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The rank, in the range 0 to 1.
    pub quantile: f64,
    /// The observed value at that rank.
    pub value: f64,
}

/// A classic bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The largest observation that the bucket counts; `f64::INFINITY` in the last one.
    pub upper_bound: f64,
    /// The number of observations up to the bound, those of lower buckets included.
    pub count: Count,
}

impl Bucket {
    /// Creates buckets with these ascending bounds from the counts of each bucket alone.
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

/// Returns the name of a series as in the text format, labels sorted: `name{a="b",c="d"}`. Equal names mean the same
/// series.
pub fn series_name(name: &str, labels: &Labels) -> String {
    let mut out = String::new();
    encode::series(&mut out, &encode::Opening::of(name), "", labels, None);
    out
}
