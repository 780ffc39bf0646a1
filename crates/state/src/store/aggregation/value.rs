//! Sums of values, and detection of resets.

use metricsjob_metrics::aggregation::Gauges;
use metricsjob_metrics::{Bucket, Count, Kind, NativeHistogram, Value};

/// Adds `more` to the sum of values of this kind. `is_newer` is true if `more` was pushed later than all values before.
pub(super) fn add(sum: &mut Value, more: Value, kind: Kind, gauges: Gauges, is_newer: bool) {
    match (sum, more) {
        (Value::Number(sum), Value::Number(more)) => match (kind, gauges) {
            (Kind::Counter, _) | (_, Gauges::Sum) => *sum += more,
            (_, Gauges::Max) => *sum = sum.max(more),
            (_, Gauges::Min) => *sum = sum.min(more),
            (_, Gauges::Last) if is_newer => *sum = more,
            (_, Gauges::Last) => {}
        },
        (
            Value::Summary { count, sum, .. },
            Value::Summary {
                count: more,
                sum: more_sum,
                ..
            },
        ) => {
            *count = count.saturating_add(more);
            *sum += more_sum;
        }
        (
            Value::Histogram {
                count,
                sum,
                buckets,
                native,
            },
            Value::Histogram {
                count: more,
                sum: more_sum,
                buckets: more_buckets,
                native: more_native,
            },
        ) => {
            *buckets = buckets_of_both((buckets, *count), (&more_buckets, more));
            *native = native_of_both((native.take(), *count), (more_native, more));
            *count = *count + more;
            *sum += more_sum;
        }
        // Families of one name have one kind.
        _ => {}
    }
}

/// Returns the value as the first of a sum: without quantiles, which cannot be added, and exemplars.
pub(super) fn first(value: Value) -> Value {
    match value {
        Value::Summary { count, sum, .. } => Value::Summary {
            count,
            sum,
            quantiles: Vec::new(),
        },
        Value::Histogram {
            count,
            sum,
            buckets,
            native,
        } => Value::Histogram {
            count,
            sum,
            buckets,
            native: native
                .and_then(|native| native.without_examples())
                .map(Box::new),
        },
        number => number,
    }
}

/// Adds cumulative buckets whose bounds may differ. Observations between two bounds count from the upper one on, so that
/// the sum grows from bound to bound, and never falls as its parts grow.
fn buckets_of_both(a: (&[Bucket], Count), b: (&[Bucket], Count)) -> Vec<Bucket> {
    let bounds = a.0.iter().chain(b.0).map(|bucket| bucket.upper_bound);
    let mut bounds: Vec<f64> = bounds.collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    let bucket = |bound| Bucket {
        upper_bound: bound,
        count: count_up_to(a, bound) + count_up_to(b, bound),
    };
    bounds.into_iter().map(bucket).collect()
}

/// Returns the number of observations that are known to be at most `bound`, of buckets and the count of all.
fn count_up_to((buckets, all): (&[Bucket], Count), bound: f64) -> Count {
    if bound == f64::INFINITY {
        return all;
    }
    let below = buckets.iter().filter(|bucket| bucket.upper_bound <= bound);
    let last = below.max_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    last.map_or(Count::Integer(0), |bucket| bucket.count)
}

fn native_of_both(
    a: (Option<Box<NativeHistogram>>, Count),
    b: (Option<Box<NativeHistogram>>, Count),
) -> Option<Box<NativeHistogram>> {
    match (a, b) {
        ((Some(a), count), (Some(b), more)) => a.plus(count, &b, more).map(Box::new),
        // Where some observations are in no native bucket, native buckets do not have all.
        ((None, Count::Integer(0)), (native, _)) | ((native, _), (None, Count::Integer(0))) => {
            native
                .and_then(|native| native.without_examples())
                .map(Box::new)
        }
        _ => None,
    }
}

/// Returns true if `new`, of the same series as `old`, does not go on counting from there. The how-to of
/// sums lists what cannot be detected.
pub(super) fn is_reset(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => new < old,
        (
            Value::Summary { count, sum, .. },
            Value::Summary {
                count: new_count,
                sum: new_sum,
                ..
            },
        ) => new_count < count || has_sum_fallen(*sum, *new_sum),
        (
            Value::Histogram {
                count,
                sum,
                buckets,
                ..
            },
            Value::Histogram {
                count: new_count,
                sum: new_sum,
                buckets: new_buckets,
                ..
            },
        ) => {
            let has_negative =
                |buckets: &[Bucket]| count_up_to((buckets, Count::Integer(0)), 0.0).to_f64() > 0.0;
            new_count.to_f64() < count.to_f64()
                || !has_negative(new_buckets) && has_sum_fallen(*sum, *new_sum)
                || buckets.iter().any(|bucket| {
                    let new = count_up_to((new_buckets, *new_count), bucket.upper_bound);
                    new.to_f64() < bucket.count.to_f64()
                })
        }
        _ => true,
    }
}

/// A sum falls by observations below zero too, after which it can be negative.
fn has_sum_fallen(old: f64, new: f64) -> bool {
    old >= 0.0 && (0.0..old).contains(&new)
}

/// Returns the part of a lost value that a remainder keeps; `None` if a sum without it is the same. What is not a number
/// would stay in the sum for ever.
pub(super) fn kept(value: Value) -> Option<Value> {
    let is_something = |number: f64| number != 0.0 && number.is_finite();
    let mut value = first(value);
    let is_kept = match &mut value {
        Value::Number(number) => is_something(*number),
        Value::Summary { count, sum, .. } => {
            *sum = if sum.is_finite() { *sum } else { 0.0 };
            *count > 0
        }
        Value::Histogram { count, sum, .. } => {
            *sum = if sum.is_finite() { *sum } else { 0.0 };
            is_something(count.to_f64())
        }
    };
    is_kept.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, u64)], sum: f64, count: u64) -> Value {
        let buckets = buckets.iter().map(|(upper_bound, count)| Bucket {
            upper_bound: *upper_bound,
            count: Count::Integer(*count),
        });
        Value::Histogram {
            count: Count::Integer(count),
            sum,
            buckets: buckets.collect(),
            native: None,
        }
    }

    fn summary(count: u64, sum: f64) -> Value {
        Value::Summary {
            count,
            sum,
            quantiles: Vec::new(),
        }
    }

    fn sum(values: &[f64], kind: Kind, gauges: Gauges) -> f64 {
        let mut values = values.iter().map(|value| Value::Number(*value));
        let mut sum = values.next().unwrap();
        // The second one is the newest.
        for (at, value) in values.enumerate() {
            add(&mut sum, value, kind, gauges, at == 0);
        }
        match sum {
            Value::Number(sum) => sum,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers() {
        let values = [2.0, 5.0, 1.0];
        for (gauges, expected) in [
            (Gauges::Sum, 8.0),
            (Gauges::Max, 5.0),
            (Gauges::Min, 1.0),
            (Gauges::Last, 5.0),
        ] {
            assert_eq!(sum(&values, Kind::Gauge, gauges), expected);
            assert_eq!(sum(&values, Kind::Untyped, gauges), expected);
            assert_eq!(sum(&values, Kind::Counter, gauges), 8.0);
        }
        assert_eq!(sum(&[f64::NAN, 1.0], Kind::Gauge, Gauges::Max), 1.0);
    }

    #[test]
    fn buckets_with_other_bounds() {
        let mut sum = histogram(&[(1.0, 5), (f64::INFINITY, 10)], 20.0, 10);
        let other = histogram(&[(0.5, 2), (1.0, 2), (2.0, 3)], 4.0, 4);
        add(&mut sum, other.clone(), Kind::Histogram, Gauges::Last, true);
        let expected = [(0.5, 2), (1.0, 7), (2.0, 8), (f64::INFINITY, 14)];
        assert_eq!(sum, histogram(&expected, 24.0, 14));
        let mut sum = histogram(&[], 0.0, 0);
        add(&mut sum, other.clone(), Kind::Histogram, Gauges::Last, true);
        assert_eq!(sum, other);
    }

    #[test]
    fn resets() {
        let inf = f64::INFINITY;
        let old = histogram(&[(1.0, 5), (inf, 10)], 20.0, 10);
        for (old, new, expected) in [
            (Value::Number(2.0), Value::Number(2.0), false),
            (Value::Number(2.0), Value::Number(1.0), true),
            (summary(3, 1.5), summary(3, 1.5), false),
            (summary(3, 1.5), summary(2, 9.0), true),
            (summary(3, 1.5), summary(4, 1.0), true),
            // Observations below zero.
            (summary(3, -1.5), summary(4, -2.0), false),
            (summary(3, 1.5), summary(4, -2.0), false),
            (
                old.clone(),
                histogram(&[(1.0, 5), (inf, 11)], 21.0, 11),
                false,
            ),
            (
                old.clone(),
                histogram(&[(1.0, 4), (inf, 11)], 21.0, 11),
                true,
            ),
            (old.clone(), histogram(&[(1.0, 5), (inf, 9)], 21.0, 9), true),
            (
                old.clone(),
                histogram(&[(1.0, 9), (inf, 11)], 7.0, 11),
                true,
            ),
            (
                old.clone(),
                histogram(&[(-1.0, 1), (1.0, 6), (inf, 11)], 7.0, 11),
                false,
            ),
            // A finer bucket, and one less.
            (
                old.clone(),
                histogram(&[(0.5, 1), (1.0, 5), (inf, 11)], 21.0, 11),
                false,
            ),
            (old, histogram(&[(2.0, 9), (inf, 11)], 21.0, 11), true),
        ] {
            assert_eq!(is_reset(&old, &new), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn what_is_kept() {
        assert_eq!(kept(Value::Number(1.5)), Some(Value::Number(1.5)));
        for nothing in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(kept(Value::Number(nothing)), None);
        }
        assert_eq!(kept(summary(0, 0.0)), None);
        assert_eq!(kept(summary(1, f64::INFINITY)), Some(summary(1, 0.0)));
    }
}
