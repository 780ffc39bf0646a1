//! Sums of native histograms.
//!
//! As in Prometheus, the sum has the lower resolution of the two, and the wider zero bucket, widened to the next bound
//! where that is within a bucket.

use std::collections::BTreeMap;

use super::count::Count;
use super::native::{BucketSpan, NativeBuckets, NativeHistogram};
use super::native_buckets::{SCHEMAS, bound};
use super::native_check::MAX_BUCKETS;

/// Counts of a side's buckets by index.
type Side = BTreeMap<i32, Count>;

/// Native buckets that can be added.
struct Sparse {
    schema: i32,
    threshold: f64,
    zero: Count,
    negative: Side,
    positive: Side,
}

impl NativeHistogram {
    /// Returns the native buckets alone, without exemplars and creation time; `None` if there are none.
    pub fn without_examples(self) -> Option<NativeHistogram> {
        self.has_spans().then(|| NativeHistogram {
            exemplars: Vec::new(),
            bucket_exemplars: Vec::new(),
            created: None,
            ..self
        })
    }

    /// Returns the sum of the native buckets of two histograms with these counts. `None` if one of them has none, or has
    /// custom bounds, which the exposition format does not have.
    pub fn plus(
        &self,
        count: Count,
        other: &NativeHistogram,
        other_count: Count,
    ) -> Option<NativeHistogram> {
        let (mut a, mut b) = (Sparse::of(self, count)?, Sparse::of(other, other_count)?);
        let schema = a.schema.min(b.schema);
        a.reduce_to(schema);
        b.reduce_to(schema);
        let mut threshold = a.threshold.max(b.threshold);
        loop {
            let widened = a.widened(threshold).max(b.widened(threshold));
            if widened <= threshold {
                break;
            }
            threshold = widened;
        }
        a.raise_to(threshold);
        b.raise_to(threshold);
        a.zero = a.zero + b.zero;
        for (sum, side) in [(&mut a.negative, b.negative), (&mut a.positive, b.positive)] {
            for (index, count) in side {
                add(sum, index, count);
            }
        }
        while a.negative.len().max(a.positive.len()) > MAX_BUCKETS
            && SCHEMAS.contains(&(a.schema - 1))
        {
            a.reduce_to(a.schema - 1);
        }
        Some(a.encoded(count.is_float() || other_count.is_float()))
    }
}

impl Sparse {
    fn of(native: &NativeHistogram, count: Count) -> Option<Sparse> {
        let schema = native.schema.unwrap_or_default();
        if !native.has_spans() || !SCHEMAS.contains(&schema) {
            return None;
        }
        let is_float = count.is_float() || native.zero_count.is_some_and(Count::is_float);
        let side = |buckets: &NativeBuckets| {
            let occupied = buckets.away_from_zero(is_float);
            let occupied = occupied.filter(|(_, count)| count.to_f64() != 0.0);
            let indexed = occupied.map(|(index, count)| Some((i32::try_from(index).ok()?, count)));
            indexed.collect::<Option<Side>>()
        };
        Some(Sparse {
            schema,
            threshold: native.zero_threshold.unwrap_or_default(),
            zero: native.zero_count.unwrap_or(Count::Integer(0)),
            negative: side(&native.negative)?,
            positive: side(&native.positive)?,
        })
    }

    /// Merges buckets until they have this schema, which is not above the current one.
    fn reduce_to(&mut self, schema: i32) {
        let halvings = self.schema - schema;
        self.schema = schema;
        if halvings == 0 {
            return;
        }
        for side in [&mut self.negative, &mut self.positive] {
            let mut reduced = Side::new();
            for (index, count) in std::mem::take(side) {
                // Two neighbours become one; the upper one has an even index.
                add(&mut reduced, ((index - 1) >> halvings) + 1, count);
            }
            *side = reduced;
        }
    }

    /// Returns the upper bound of the bucket that `threshold` is in, or else `threshold`.
    fn widened(&self, threshold: f64) -> f64 {
        let indices = self.negative.keys().chain(self.positive.keys());
        let bounds = indices.map(|index| {
            let index = i64::from(*index);
            (bound(index - 1, self.schema), bound(index, self.schema))
        });
        let cut = bounds.filter(|(lower, upper)| *lower < threshold && threshold < *upper);
        cut.map(|(_, upper)| upper).fold(threshold, f64::max)
    }

    /// Moves the buckets up to `threshold` into the zero bucket.
    fn raise_to(&mut self, threshold: f64) {
        let schema = self.schema;
        self.threshold = threshold;
        for side in [&mut self.negative, &mut self.positive] {
            side.retain(|index, count| {
                let is_kept = bound(i64::from(*index), schema) > threshold;
                if !is_kept {
                    self.zero = self.zero + *count;
                }
                is_kept
            });
        }
    }

    fn encoded(self, is_float: bool) -> NativeHistogram {
        let zero = self.zero;
        let mut native = NativeHistogram {
            schema: Some(self.schema),
            zero_threshold: Some(self.threshold),
            zero_count: Some(if is_float {
                Count::Float(zero.to_f64())
            } else {
                zero
            }),
            negative: NativeBuckets::of_indexed(self.negative, is_float),
            positive: NativeBuckets::of_indexed(self.positive, is_float),
            ..NativeHistogram::default()
        };
        if !native.has_spans() {
            // Without any span it would be a classic histogram.
            native.positive.spans.push(BucketSpan {
                offset: 0,
                length: 0,
            });
        }
        native
    }
}

fn add(side: &mut Side, index: i32, count: Count) {
    let sum = side.entry(index).or_insert(Count::Integer(0));
    *sum = *sum + count;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NativeBucket;

    fn bucket(lower: f64, upper: f64, count: u64) -> NativeBucket {
        let count = Count::Integer(count);
        NativeBucket {
            lower,
            upper,
            count,
        }
    }

    fn all(buckets: &[NativeBucket]) -> Count {
        Count::Integer(buckets.iter().map(|it| it.count.to_f64() as u64).sum())
    }

    #[track_caller]
    fn sum(a: &[NativeBucket], b: &[NativeBucket], expected: &[NativeBucket]) {
        for (a, b) in [(a, b), (b, a)] {
            let natives = [a, b].map(|buckets| NativeHistogram::of_buckets(buckets).unwrap());
            let sum = natives[0].plus(all(a), &natives[1], all(b)).unwrap();
            let Count::Integer(count) = all(expected) else {
                unreachable!()
            };
            let found: Vec<NativeBucket> = sum.buckets(Count::Integer(count)).collect();
            assert_eq!(found, expected);
            assert!(sum.has_spans());
        }
    }

    #[test]
    fn of_one_resolution() {
        sum(
            &[
                bucket(-2.0, -1.0, 1),
                bucket(-0.25, 0.25, 1),
                bucket(1.0, 2.0, 2),
            ],
            &[
                bucket(-0.25, 0.25, 3),
                bucket(1.0, 2.0, 5),
                bucket(4.0, 8.0, 1),
            ],
            &[
                bucket(-2.0, -1.0, 1),
                bucket(-0.25, 0.25, 4),
                bucket(1.0, 2.0, 7),
                bucket(4.0, 8.0, 1),
            ],
        );
    }

    #[test]
    fn the_lower_resolution_counts() {
        // Schemas 0 and -1, whose buckets end at powers of 2 and 4.
        sum(
            &[
                bucket(0.5, 1.0, 1),
                bucket(1.0, 2.0, 2),
                bucket(2.0, 4.0, 4),
                bucket(4.0, 8.0, 8),
            ],
            &[bucket(1.0, 4.0, 16), bucket(64.0, 256.0, 32)],
            &[
                bucket(0.25, 1.0, 1),
                bucket(1.0, 4.0, 22),
                bucket(4.0, 16.0, 8),
                bucket(64.0, 256.0, 32),
            ],
        );
    }

    #[test]
    fn the_wider_zero_bucket_counts() {
        // 0.3 is within the bucket up to 0.5, which therefore belongs to the zero bucket.
        sum(
            &[bucket(-0.3, 0.3, 1), bucket(1.0, 2.0, 2)],
            &[
                bucket(-0.25, -0.125, 4),
                bucket(0.25, 0.5, 8),
                bucket(1.0, 2.0, 16),
            ],
            &[bucket(-0.5, 0.5, 13), bucket(1.0, 2.0, 18)],
        );
    }

    #[test]
    fn fractions() {
        let of = |count| NativeBucket {
            lower: 1.0,
            upper: 2.0,
            count,
        };
        let whole = NativeHistogram::of_buckets(&[of(Count::Integer(2))]).unwrap();
        let part = NativeHistogram::of_buckets(&[of(Count::Float(0.5))]).unwrap();
        let sum = whole
            .plus(Count::Integer(2), &part, Count::Float(0.5))
            .unwrap();
        let buckets: Vec<NativeBucket> = sum.buckets(Count::Float(2.5)).collect();
        assert_eq!(buckets, [of(Count::Float(2.5))]);
    }

    #[test]
    fn what_cannot_be_added() {
        let native = NativeHistogram::of_buckets(&[bucket(1.0, 2.0, 1)]).unwrap();
        let custom = NativeHistogram {
            schema: Some(-53),
            ..native.clone()
        };
        let one = Count::Integer(1);
        assert_eq!(native.plus(one, &custom, one), None);
        assert_eq!(native.plus(one, &NativeHistogram::default(), one), None);
        assert_eq!(NativeHistogram::default().without_examples(), None);
    }
}
