//! Native histograms, as in `metrics.proto` of client_model (`io.prometheus.client`).

use super::count::Count;
use super::labels::Labels;

/// Parts of a histogram that the text format cannot express: native buckets, exemplars, creation time.
///
/// Fields that are `None` were not set; readers take them for zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// The resolution, from -4 to 8: each bucket's bound is 2^(2^-schema) times the previous one. -53 means custom
    /// bounds.
    pub schema: Option<i32>,
    /// The largest distance from zero of observations in the zero bucket.
    pub zero_threshold: Option<f64>,
    /// The number of observations in the zero bucket.
    pub zero_count: Option<Count>,
    /// The buckets below zero.
    pub negative: NativeBuckets,
    /// The buckets above zero.
    pub positive: NativeBuckets,
    /// The exemplars of native buckets, which belong to the bucket of their value.
    pub exemplars: Vec<Exemplar>,
    /// The exemplars of classic buckets, sorted by `index`.
    pub bucket_exemplars: Vec<BucketExemplar>,
    /// The creation time, from which the histogram counts.
    pub created: Option<Timestamp>,
}

/// The native buckets on one side of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    /// The occupied ranges of buckets, from zero outwards.
    pub spans: Vec<BucketSpan>,
    /// The count of each bucket of an integer histogram, as the difference from the previous bucket's.
    pub deltas: Vec<i64>,
    /// The count of each bucket of a float histogram.
    pub counts: Vec<f64>,
}

/// A range of consecutive native buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSpan {
    /// The number of empty buckets since the previous span; in the first span, the index of its first bucket.
    pub offset: i32,
    /// The number of buckets in the span.
    pub length: u32,
}

/// The exemplar of a classic bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketExemplar {
    /// The index of the bucket in [`Value::Histogram`](crate::Value::Histogram)'s `buckets`.
    pub index: usize,
    /// The exemplar.
    pub exemplar: Exemplar,
}

/// An example of an observation, with labels that lead to its origin, such as `trace_id`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    /// The labels of the exemplar, apart from the series'.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// The time of the observation.
    pub timestamp: Option<Timestamp>,
}

/// A time since the epoch, as in protobuf's `google.protobuf.Timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Further nanoseconds, from 0 to 999,999,999 where the input is valid.
    pub nanos: i32,
}
