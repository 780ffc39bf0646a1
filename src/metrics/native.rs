//! Native histograms, as in `io.prometheus.client` (`metrics.proto` of client_model).

use super::labels::Labels;

/// What the text format cannot say of a histogram: its native buckets, counts that are no whole
/// numbers, exemplars, when it was created.
///
/// What is `None` was not set, which readers take for zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// The resolution: each bucket's bound is 2^(2^-schema) times the one before.
    pub schema: Option<i32>,
    /// How far from zero the zero bucket reaches.
    pub zero_threshold: Option<f64>,
    pub zero_count: Option<u64>,
    /// Instead of `zero_count` if it is above 0.
    pub zero_count_float: Option<f64>,
    /// Instead of the histogram's `count` if it is above 0.
    pub count_float: Option<f64>,
    pub negative: NativeBuckets,
    pub positive: NativeBuckets,
    pub exemplars: Vec<Exemplar>,
    /// Of the classic buckets, those with something that [`Bucket`](super::Bucket) has no room for.
    pub classic: Vec<ClassicBucket>,
    pub created: Option<Timestamp>,
}

/// The native buckets on one side of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    pub spans: Vec<BucketSpan>,
    /// The count of each bucket, less that of the one before.
    pub deltas: Vec<i64>,
    /// The count of each bucket of a histogram that counts in fractions.
    pub counts: Vec<f64>,
}

/// A run of native buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSpan {
    /// How many buckets are left out before it; of the first span, the index of its first bucket.
    pub offset: i32,
    pub length: u32,
}

/// What a classic bucket has further.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassicBucket {
    /// Which of the histogram's buckets it is, from 0.
    pub index: usize,
    /// Instead of the bucket's `count` if it is above 0.
    pub count_float: Option<f64>,
    pub exemplar: Option<Exemplar>,
}

/// One observation, as an example.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    pub labels: Labels,
    pub value: f64,
    pub timestamp: Option<Timestamp>,
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanos: i32,
}
