//! Rules of native histograms, each at its boundary. Those that the tests' Prometheus has are compared with it too,
//! in `tests/hostile_pushes.rs`.

use super::*;
use crate::native::BucketSpan;

fn side(spans: &[(i32, u32)], deltas: &[i64], counts: &[f64]) -> NativeBuckets {
    let spans = spans.iter();
    NativeBuckets {
        spans: spans
            .map(|&(offset, length)| BucketSpan { offset, length })
            .collect(),
        deltas: deltas.to_vec(),
        counts: counts.to_vec(),
    }
}

fn positive(spans: &[(i32, u32)], deltas: &[i64]) -> NativeHistogram {
    NativeHistogram {
        positive: side(spans, deltas, &[]),
        ..NativeHistogram::default()
    }
}

fn floats(spans: &[(i32, u32)], counts: &[f64]) -> NativeHistogram {
    NativeHistogram {
        positive: side(spans, &[], counts),
        ..NativeHistogram::default()
    }
}

#[track_caller]
fn taken(native: &NativeHistogram, count: impl Into<Count>, sum: f64) {
    assert_eq!(native.check(count.into(), sum), Ok(()), "{native:?}");
}

#[track_caller]
fn refused(native: &NativeHistogram, count: impl Into<Count>, sum: f64, message: &str) {
    let error = native.check(count.into(), sum).expect_err("broken");
    assert!(error.to_string().contains(message), "{error}: {native:?}");
}

#[test]
fn spans_are_of_the_buckets_that_there_are() {
    taken(&positive(&[(0, 2), (3, 1)], &[1, 1, -1]), 4, 1.0);
    taken(&positive(&[(0, 0)], &[]), 0, 0.0);
    refused(&positive(&[(0, 2)], &[1]), 1, 1.0, "of 2 buckets");
    refused(&positive(&[(0, 1)], &[1, 0]), 2, 1.0, "counts of 2");
    refused(&positive(&[], &[1]), 1, 1.0, "of 0 buckets");
    refused(&positive(&[(0, u32::MAX)], &[1]), 1, 1.0, "further");
    let mut both = positive(&[(0, 1)], &[1]);
    both.negative = side(&[(0, 2)], &[1], &[]);
    refused(&both, 2, 1.0, "negative spans are of 2");
}

#[test]
fn later_offsets_are_not_below_zero() {
    taken(&positive(&[(-5, 1), (0, 1)], &[1, 0]), 2, 1.0);
    refused(
        &positive(&[(0, 1), (-1, 1)], &[1, 0]),
        2,
        1.0,
        "span 2 is -1, below 0",
    );
}

/// Prometheus joins empty spans, and adds their offsets in 32 bits.
#[test]
fn offsets_do_not_overflow() {
    let far = MAX_INDEX as i32;
    taken(&positive(&[(-far, 1)], &[1]), 1, 1.0);
    taken(&positive(&[(far - 1, 1)], &[1]), 1, 1.0);
    for spans in [
        &[(far, 1)][..],
        &[(i32::MIN, 1)],
        &[(-far, 0), (i32::MAX, 0), (i32::MAX, 1)],
    ] {
        refused(&positive(spans, &[1]), 1, 1.0, "further from zero");
    }
}

#[test]
fn cumulative_counts_are_not_below_zero() {
    taken(&positive(&[(0, 2)], &[1, -1]), 1, 1.0);
    refused(
        &positive(&[(0, 2)], &[1, -2]),
        0,
        1.0,
        "positive bucket 2 counts -1",
    );
    refused(
        &positive(&[(0, 1)], &[i64::MIN]),
        0,
        1.0,
        "counts -9223372036854775808",
    );
}

#[test]
fn adding_up_does_not_overflow() {
    let most = i64::MAX;
    taken(&positive(&[(0, 2)], &[most, 0]), u64::MAX - 1, 1.0);
    refused(&positive(&[(0, 2)], &[most, 1]), 0, 1.0, "64 bits");
    // 2^64 + 1 would be 1.
    let mut sum = positive(&[(0, 3)], &[most, 0, 3 - most]);
    refused(&sum, 1, 1.0, "64 bits");
    sum = positive(&[(0, 2)], &[most, 0]);
    sum.zero_count = Some(Count::Integer(3));
    refused(&sum, 1, 1.0, "64 bits");
}

#[test]
fn the_count_is_the_sum_of_the_buckets() {
    let mut native = positive(&[(0, 1)], &[2]);
    native.negative = side(&[(0, 1)], &[3], &[]);
    native.zero_count = Some(Count::Integer(4));
    taken(&native, 9, 1.0);
    taken(&native, 9, f64::INFINITY);
    refused(&native, 10, 1.0, "count 9, and it counts 10");
    refused(&native, 8, 1.0, "count 9, and it counts 8");
    // NaN has been observed, which is in no bucket.
    taken(&native, 10, f64::NAN);
    refused(&native, 8, f64::NAN, "counts 8 in all");
}

#[test]
fn floats_are_counts() {
    let of = Count::Float;
    taken(&floats(&[(0, 2)], &[0.5, 0.0]), of(0.5), 1.0);
    taken(&floats(&[(0, 1)], &[0.5]), of(2.5), 1.0);
    taken(&floats(&[(0, 1)], &[f64::INFINITY]), of(f64::INFINITY), 1.0);
    refused(&floats(&[(0, 1)], &[0.5]), of(0.25), 1.0, "count 0.5");
    refused(&floats(&[(0, 1)], &[-0.5]), of(1.0), 1.0, "counts -0.5");
    refused(&floats(&[(0, 1)], &[f64::NAN]), of(1.0), 1.0, "counts NaN");
    for count in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        refused(&floats(&[(0, 0)], &[]), of(count), 1.0, "its count is");
        let mut native = floats(&[(0, 0)], &[]);
        native.zero_count = Some(of(count));
        refused(&native, of(1.0), 1.0, "zero bucket is");
    }
}

/// Prometheus takes a histogram for a float one if a float count is above 0, else for an integer one.
#[test]
fn the_type_is_the_one_that_prometheus_sees() {
    let of = Count::Float;
    refused(&floats(&[(0, 1)], &[0.0]), of(0.0), 0.0, "counts of 0");
    taken(&positive(&[(0, 1)], &[0]), of(0.0), 0.0);
    refused(&positive(&[(0, 1)], &[1]), of(1.0), 0.0, "counts of 0");
    let mut zero = floats(&[(0, 1)], &[0.0]);
    zero.zero_count = Some(of(0.5));
    taken(&zero, of(1.0), 0.0);
    zero.positive.counts[0] = 0.5;
    // The float count is absent then, so it is 0.
    refused(&zero, 1, 0.0, "counts 0 in all");
}

#[test]
fn schemas() {
    let mut native = positive(&[(0, 1)], &[1]);
    for schema in [-4, 0, 8] {
        native.schema = Some(schema);
        taken(&native, 1, 1.0);
    }
    for schema in [i32::MIN, -54, -52, -5, 9, 52, i32::MAX] {
        native.schema = Some(schema);
        refused(&native, 1, 1.0, &format!("schema {schema} is not one of"));
    }
}

/// The format has no field for the bounds, so there is one bucket.
#[test]
fn custom_bounds() {
    let mut native = positive(&[(0, 1)], &[1]);
    native.schema = Some(CUSTOM_BOUNDS);
    taken(&native, 1, 1.0);
    let buckets: Vec<_> = native.buckets(Count::Integer(1)).collect();
    assert_eq!(buckets.len(), 1);
    assert_eq!(buckets[0].lower, f64::NEG_INFINITY);
    assert_eq!(buckets[0].upper, f64::INFINITY);
    refused(&native, 2, 1.0, "counts 2 in all");
    for (spans, deltas, message) in [
        (&[(0, 2)][..], &[1, 0][..], "without bounds"),
        (&[(1, 1)], &[1], "without bounds"),
        (&[(-1, 1)], &[1], "span 1 is -1, below 0"),
    ] {
        native.positive = side(spans, deltas, &[]);
        refused(&native, 1, 1.0, message);
    }
    native.positive = side(&[], &[], &[]);
    native.negative = side(&[(0, 1)], &[1], &[]);
    refused(&native, 1, 1.0, "negative buckets");
    native.negative = side(&[], &[], &[]);
    native.zero_count = Some(Count::Integer(1));
    refused(&native, 1, 1.0, "a zero bucket");
    native.zero_count = None;
    native.zero_threshold = Some(0.5);
    refused(&native, 0, 1.0, "a zero threshold");
}

#[test]
fn sizes() {
    let most = MAX_BUCKETS as u32;
    let mut native = positive(&[(0, most)], &vec![0; MAX_BUCKETS]);
    taken(&native, 0, 0.0);
    native.positive = side(&[(0, most + 1)], &vec![0; MAX_BUCKETS + 1], &[]);
    refused(&native, 0, 0.0, "10001 buckets are more");
    native.positive = side(&vec![(0, 0); MAX_BUCKETS], &[], &[]);
    taken(&native, 0, 0.0);
    native.positive = side(&vec![(0, 0); MAX_BUCKETS + 1], &[], &[]);
    refused(&native, 0, 0.0, "10001 spans are more");
    // Counts without spans take the same memory.
    native.positive = side(&[], &[], &vec![0.0; MAX_BUCKETS + 1]);
    refused(&native, 0, 0.0, "10001 buckets are more");
}

/// A histogram without spans, deltas and zero bucket is a classic one.
#[test]
fn a_classic_histogram_breaks_no_rule() {
    let classic = NativeHistogram {
        schema: Some(99),
        zero_threshold: Some(0.0),
        ..NativeHistogram::default()
    };
    taken(&classic, 5, 1.0);
    taken(&classic, Count::Float(-1.0), 1.0);
    let zero = NativeHistogram {
        zero_threshold: Some(1e-9),
        ..NativeHistogram::default()
    };
    refused(&zero, 5, 1.0, "counts 5 in all");
}
