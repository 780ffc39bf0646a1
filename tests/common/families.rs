//! Random families, for property tests.

use metricsjob_metrics::{
    Bucket, BucketExemplar, BucketSpan, Count, Exemplar, Family, Kind, Labels, Metric,
    NativeBuckets, NativeHistogram, Quantile, Timestamp, Value,
};
use proptest::prelude::*;

/// Whether there is what only protobuf has.
#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    Text,
    Protobuf,
}

/// Three families.
pub fn families(format: Format) -> impl Strategy<Value = Vec<Family>> {
    let families = (family(0, format), family(1, format), family(2, format));
    families.prop_map(|families| <[Family; 3]>::from(families).into())
}

pub fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-z_][a-zA-Z0-9_]{0,5}", any::<String>(), 0..4).prop_map(
        |mut labels| {
            // What the text format keeps for itself.
            for reserved in ["le", "quantile", "__name__"] {
                labels.remove(reserved);
            }
            labels.into_iter().collect()
        },
    )
}

fn number() -> impl Strategy<Value = f64> {
    // A NaN equals nothing, itself included; `tests/push.rs` has it.
    any::<f64>().prop_filter("a number", |number| !number.is_nan())
}

/// The counts of histograms; in text those that it has room for.
fn count(format: Format) -> impl Strategy<Value = Count> {
    let whole = (0..1000_u64).prop_map(|whole| Count::Float(whole as f64));
    let counts = prop_oneof![
        3 => integer().prop_map(Count::Integer),
        1 => any::<u64>().prop_map(Count::Integer),
        1 => number().prop_map(Count::Float),
        1 => whole,
    ];
    counts.prop_filter("a count that text can hold", move |count| {
        format == Format::Protobuf || count.fits_text()
    })
}

/// Whole numbers that floats hold exactly.
fn integer() -> impl Strategy<Value = u64> {
    0..=9_007_199_254_740_992_u64
}

/// The counts of summaries.
fn summary_count(format: Format) -> BoxedStrategy<u64> {
    match format {
        Format::Text => integer().boxed(),
        Format::Protobuf => prop_oneof![integer(), any::<u64>()].boxed(),
    }
}

fn value(kind: Kind, format: Format) -> BoxedStrategy<Value> {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Untyped => number().prop_map(Value::Number).boxed(),
        Kind::Summary => (
            summary_count(format),
            number(),
            prop::collection::vec((number(), number()), 0..3),
        )
            .prop_map(|(count, sum, quantiles)| Value::Summary {
                count,
                sum,
                quantiles: quantiles
                    .into_iter()
                    .map(|(quantile, value)| Quantile { quantile, value })
                    .collect(),
            })
            .boxed(),
        Kind::Histogram => {
            let buckets = prop::collection::vec((-1e300..1e300, count(format)), 0..3);
            let native = prop::option::of(native());
            (count(format), number(), buckets, native)
                .prop_map(move |(count, sum, buckets, native)| {
                    let buckets = buckets.into_iter().chain([(f64::INFINITY, count)]);
                    let buckets: Vec<Bucket> = buckets
                        .map(|(upper_bound, count)| Bucket { upper_bound, count })
                        .collect();
                    let native = native.filter(|_| format == Format::Protobuf);
                    let native = native.map(|mut native| {
                        native
                            .bucket_exemplars
                            .retain(|exemplar| exemplar.index < buckets.len());
                        Box::new(native)
                    });
                    Value::Histogram {
                        count,
                        sum,
                        buckets,
                        // Without anything it is none.
                        native: native.filter(|native| **native != NativeHistogram::default()),
                    }
                })
                .boxed()
        }
    }
}

fn native() -> impl Strategy<Value = NativeHistogram> {
    let numbers = (
        any::<Option<i32>>(),
        prop::option::of(number()),
        prop::option::of(count(Format::Protobuf)),
    );
    let exemplars = prop::collection::vec(exemplar(), 0..3);
    let of_buckets = prop::collection::vec(prop::option::of(exemplar()), 0..3);
    let created = prop::option::of(timestamp());
    (
        numbers,
        buckets(),
        buckets(),
        exemplars,
        of_buckets,
        created,
    )
        .prop_map(
            |(numbers, negative, positive, exemplars, of_buckets, created)| {
                let (schema, zero_threshold, zero_count) = numbers;
                NativeHistogram {
                    schema,
                    zero_threshold,
                    zero_count,
                    negative,
                    positive,
                    exemplars,
                    bucket_exemplars: (0..)
                        .zip(of_buckets)
                        .filter_map(|(index, exemplar)| {
                            let exemplar = exemplar?;
                            Some(BucketExemplar { index, exemplar })
                        })
                        .collect(),
                    created,
                }
            },
        )
}

fn buckets() -> impl Strategy<Value = NativeBuckets> {
    let spans = prop::collection::vec(any::<(i32, u32)>(), 0..3);
    let deltas = prop::collection::vec(any::<i64>(), 0..5);
    let counts = prop::collection::vec(number(), 0..5);
    (spans, deltas, counts).prop_map(|(spans, deltas, counts)| NativeBuckets {
        spans: spans
            .into_iter()
            .map(|(offset, length)| BucketSpan { offset, length })
            .collect(),
        deltas,
        counts,
    })
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    let timestamp = prop::option::of(timestamp());
    (labels(), number(), timestamp).prop_map(|(labels, value, timestamp)| Exemplar {
        labels,
        value,
        timestamp,
    })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<(i64, i32)>().prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}

fn family(index: usize, format: Format) -> impl Strategy<Value = Family> {
    prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(move |kind| {
        let metrics = prop::collection::btree_map(labels(), value(kind, format), 1..4);
        (any::<String>(), metrics).prop_map(move |(help, metrics)| Family {
            name: format!("family_{index}:x"),
            // Blanks at the beginning are the separator's.
            help: help.trim_start_matches([' ', '\t']).to_owned(),
            kind,
            metrics: metrics
                .into_iter()
                .map(|(labels, value)| Metric {
                    labels,
                    value,
                    timestamp_ms: None,
                })
                .collect(),
        })
    })
}
