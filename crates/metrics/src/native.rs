//! Native histograms, as in `io.prometheus.client` (`metrics.proto` of client_model).

use super::count::Count;
use super::labels::Labels;

/// The parts of a histogram that the text format has no room for: its native buckets, exemplars, when it
/// was created.
///
/// What is `None` was not set, which readers take for zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// The resolution: each bucket's bound is 2^(2^-schema) times the one before.
    pub schema: Option<i32>,
    /// How far from zero the zero bucket reaches.
    pub zero_threshold: Option<f64>,
    /// The number of observations in the zero bucket.
    pub zero_count: Option<Count>,
    /// The buckets below zero.
    pub negative: NativeBuckets,
    /// The buckets above zero.
    pub positive: NativeBuckets,
    /// The exemplars of native buckets.
    pub exemplars: Vec<Exemplar>,
    /// The exemplars of classic buckets, by `index`.
    pub bucket_exemplars: Vec<BucketExemplar>,
    /// When the histogram was created.
    pub created: Option<Timestamp>,
}

/// The native buckets on one side of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    /// The runs of buckets, from zero outwards.
    pub spans: Vec<BucketSpan>,
    /// The count of each bucket, less that of the one before.
    pub deltas: Vec<i64>,
    /// The count of each bucket of a float histogram.
    pub counts: Vec<f64>,
}

/// A run of native buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSpan {
    /// How many buckets are left out before it; of the first span, the index of its first bucket.
    pub offset: i32,
    /// The number of buckets in it.
    pub length: u32,
}

/// The exemplar of a classic bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketExemplar {
    /// The place of the bucket among the histogram's, from 0.
    pub index: usize,
    /// The exemplar itself.
    pub exemplar: Exemplar,
}

/// One observation, as an example.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// The time of the observation.
    pub timestamp: Option<Timestamp>,
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds beyond them.
    pub nanos: i32,
}
