//! Conversion between native buckets with bounds, and spans.

use super::count::Count;
use super::native::{BucketSpan, NativeBuckets, NativeHistogram};

/// A native bucket with observations. The bound further from zero is inclusive and the other exclusive; in the zero
/// bucket both are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeBucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// The number of observations in this bucket alone.
    pub count: Count,
}

impl NativeBucket {
    /// Returns true if the lower bound is inclusive.
    pub fn includes_lower(&self) -> bool {
        self.lower < 0.0 || self.is_zero_bucket()
    }

    /// Returns true if the upper bound is inclusive.
    pub fn includes_upper(&self) -> bool {
        self.upper > 0.0 || self.is_zero_bucket()
    }

    fn is_zero_bucket(&self) -> bool {
        self.lower == -self.upper
    }

    /// Returns the absolute bounds, the one nearer to zero first.
    fn distances(&self) -> (f64, f64) {
        if self.upper > 0.0 {
            (self.lower, self.upper)
        } else {
            (-self.upper, -self.lower)
        }
    }
}

impl NativeHistogram {
    /// Returns true if there are native buckets. Prometheus takes a histogram without spans for a classic one, whose
    /// exemplars and creation time these are.
    pub fn has_spans(&self) -> bool {
        !self.negative.spans.is_empty() || !self.positive.spans.is_empty()
    }

    /// Returns the buckets with observations, in ascending order. `count` is that of the histogram; it is a float
    /// histogram if `count` or the zero bucket's count is a float.
    pub fn buckets(&self, count: Count) -> impl Iterator<Item = NativeBucket> {
        let is_float = count.is_float() || self.zero_count.is_some_and(Count::is_float);
        let schema = self.schema.unwrap_or_default();
        let negative = self.negative.towards_zero(is_float);
        let negative = negative.map(move |(index, count)| NativeBucket {
            lower: -bound(index, schema),
            upper: -bound(index - 1, schema),
            count,
        });
        let threshold = self.zero_threshold.unwrap_or_default();
        let zero = self.zero_count.map(|count| NativeBucket {
            lower: -threshold,
            upper: threshold,
            count,
        });
        let positive = self.positive.away_from_zero(is_float);
        let positive = positive.map(move |(index, count)| NativeBucket {
            lower: bound(index - 1, schema),
            upper: bound(index, schema),
            count,
        });
        let all = negative.chain(zero).chain(positive);
        all.filter(|bucket| bucket.count.to_f64() != 0.0)
    }

    /// Creates a native histogram from ascending buckets; a float histogram if one of them has a float count.
    ///
    /// # Errors
    ///
    /// Returns an error if the bounds of a bucket fit no schema from -4 to 8, or another one than those of the first,
    /// or if the buckets do not ascend.
    pub fn of_buckets(buckets: &[NativeBucket]) -> Result<Self, String> {
        let is_float = buckets.iter().any(|bucket| bucket.count.is_float());
        let (zero, others): (Vec<NativeBucket>, Vec<NativeBucket>) =
            buckets.iter().partition(|bucket| bucket.is_zero_bucket());
        let schema = match others.iter().find_map(schema_of) {
            Some(schema) => schema,
            None if others.is_empty() => 0,
            None => return Err(unknown(&others[0])),
        };
        let mut native = NativeHistogram {
            schema: Some(schema),
            ..NativeHistogram::default()
        };
        if let Some(zero) = zero.first() {
            native.zero_threshold = Some(zero.upper);
            native.zero_count = Some(zero.count);
        }
        let (positive, negative): (Vec<NativeBucket>, Vec<NativeBucket>) =
            others.iter().partition(|bucket| bucket.upper > 0.0);
        native.positive = NativeBuckets::of(positive.iter(), schema, is_float)?;
        native.negative = NativeBuckets::of(negative.iter().rev(), schema, is_float)?;
        if !native.has_spans() {
            // Without any span it would be a classic histogram.
            native.positive.spans.push(BucketSpan {
                offset: 0,
                length: 0,
            });
        }
        Ok(native)
    }
}

impl NativeBuckets {
    /// Encodes the buckets of one side, which come ordered from zero outwards.
    fn of<'a>(
        buckets: impl Iterator<Item = &'a NativeBucket>,
        schema: i32,
        is_float: bool,
    ) -> Result<Self, String> {
        let mut indexed: Vec<(i32, Count)> = Vec::new();
        for bucket in buckets {
            let index = index_of(bucket, schema).ok_or_else(|| unknown(bucket))?;
            if indexed.last().is_some_and(|(last, _)| index <= *last) {
                return Err(unknown(bucket));
            }
            indexed.push((index, bucket.count));
        }
        Ok(NativeBuckets::of_indexed(indexed, is_float))
    }

    /// Encodes the buckets of one side by their indices, which ascend.
    pub(super) fn of_indexed(
        buckets: impl IntoIterator<Item = (i32, Count)>,
        is_float: bool,
    ) -> Self {
        let mut side = NativeBuckets::default();
        let (mut end, mut before) = (0, 0_i64);
        for (index, count) in buckets {
            let offset = index - end;
            match side.spans.last_mut() {
                Some(span) if offset == 0 => span.length += 1,
                _ => side.spans.push(BucketSpan { offset, length: 1 }),
            }
            end = index + 1;
            match count {
                Count::Integer(count) if !is_float => {
                    side.deltas.push((count as i64).wrapping_sub(before));
                    before = count as i64;
                }
                count => side.counts.push(count.to_f64()),
            }
        }
        side
    }

    /// Returns index and count of each bucket, from zero outwards.
    pub(super) fn away_from_zero(&self, is_float: bool) -> impl Iterator<Item = (i64, Count)> {
        let mut sum = 0_i64;
        self.places(is_float).map(move |(index, place)| {
            if is_float {
                return (index, Count::Float(self.counts[place]));
            }
            sum = sum.wrapping_add(self.deltas[place]);
            (index, integer(sum))
        })
    }

    /// Returns index and count of each bucket, the one furthest from zero first.
    fn towards_zero(&self, is_float: bool) -> impl Iterator<Item = (i64, Count)> {
        let deltas = self.places(false).map(|(_, place)| self.deltas[place]);
        let mut sum = deltas.fold(0, i64::wrapping_add);
        self.places(is_float).rev().map(move |(index, place)| {
            if is_float {
                return (index, Count::Float(self.counts[place]));
            }
            let count = integer(sum);
            sum = sum.wrapping_sub(self.deltas[place]);
            (index, count)
        })
    }

    /// Returns index and position in the counts of each bucket. Spans of broken input may have more buckets than
    /// there are counts.
    fn places(&self, is_float: bool) -> impl DoubleEndedIterator<Item = (i64, usize)> + use<> {
        let mut left = if is_float {
            self.counts.len()
        } else {
            self.deltas.len()
        };
        let (mut index, mut place) = (0, 0);
        let mut runs = Vec::new();
        for span in &self.spans {
            let length = left.min(span.length as usize);
            index += i64::from(span.offset);
            runs.push((index, place, length));
            index += i64::from(span.length);
            place += length;
            left -= length;
        }
        runs.into_iter().flat_map(|(index, place, length)| {
            (0..length).map(move |at| (index + at as i64, place + at))
        })
    }
}

/// Converts a bucket's count. A negative one, of broken input, stays negative as a float.
fn integer(count: i64) -> Count {
    u64::try_from(count).map_or(Count::Float(count as f64), Count::Integer)
}

/// Returns the upper bound of the positive bucket with this index: 2^(index × 2^-schema).
pub(super) fn bound(index: i64, schema: i32) -> f64 {
    if schema == CUSTOM_BOUNDS {
        return match index {
            ..0 => f64::NEG_INFINITY,
            _ => f64::INFINITY,
        };
    }
    let exponent = index as f64 * f64::from(schema).exp2().recip();
    match exponent {
        // The bucket of the largest finite observations ends here.
        1024.0 => f64::MAX,
        _ => exponent.exp2(),
    }
}

/// Schemas of exponential buckets that Prometheus accepts.
pub(super) const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Schema of buckets with custom bounds. The exposition format has no field for them, so there is one bucket of all
/// numbers.
pub(super) const CUSTOM_BOUNDS: i32 = -53;

/// Returns the schema of a bucket, unless one of its bounds is zero or infinite.
fn schema_of(bucket: &NativeBucket) -> Option<i32> {
    let (near, far) = bucket.distances();
    let width = far.log2() - near.log2();
    let schema = (width.is_finite() && width > 0.0).then(|| -width.log2().round() as i32)?;
    SCHEMAS.contains(&schema).then_some(schema)
}

/// Returns the index of a bucket, if the schema has a bucket with these bounds.
fn index_of(bucket: &NativeBucket, schema: i32) -> Option<i32> {
    let (near, far) = bucket.distances();
    let per_doubling = f64::from(schema).exp2();
    let index = if far.is_finite() {
        (far.log2() * per_doubling).round()
    } else {
        (near.log2() * per_doubling).round() + 1.0
    };
    let index = (index.abs() <= f64::from(i32::MAX / 2)).then_some(index as i32)?;
    let is_near = |a: f64, b: f64| a == b || (a - b).abs() <= a.abs() * 1e-9;
    let [lower, upper] = [index - 1, index].map(|index| bound(index.into(), schema));
    (is_near(near, lower) && is_near(far, upper)).then_some(index)
}

fn unknown(bucket: &NativeBucket) -> String {
    let NativeBucket { lower, upper, .. } = bucket;
    format!("no native histogram has a bucket from {lower} to {upper} there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> BucketSpan {
        BucketSpan { offset, length }
    }

    fn listed(native: &NativeHistogram, count: Count) -> Vec<NativeBucket> {
        native.buckets(count).collect()
    }

    fn bucket(lower: f64, upper: f64, count: impl Into<Count>) -> NativeBucket {
        let count = count.into();
        NativeBucket {
            lower,
            upper,
            count,
        }
    }

    #[test]
    fn both_sides_and_zero() {
        let native = NativeHistogram {
            schema: Some(0),
            zero_threshold: Some(0.25),
            zero_count: Some(Count::Integer(7)),
            negative: NativeBuckets {
                spans: vec![span(1, 2)],
                deltas: vec![1, 1],
                counts: vec![],
            },
            positive: NativeBuckets {
                spans: vec![span(0, 2), span(1, 1)],
                deltas: vec![3, -3, 5],
                counts: vec![],
            },
            ..NativeHistogram::default()
        };
        let expected = [
            bucket(-4.0, -2.0, 2),
            bucket(-2.0, -1.0, 1),
            bucket(-0.25, 0.25, 7),
            bucket(0.5, 1.0, 3),
            bucket(4.0, 8.0, 5),
        ];
        assert_eq!(listed(&native, Count::Integer(18)), expected);
        let inclusive = expected.map(|it| (it.includes_lower(), it.includes_upper()));
        let [negative, _, zero, positive, _] = inclusive;
        assert_eq!(negative, (true, false));
        assert_eq!(zero, (true, true));
        assert_eq!(positive, (false, true));
    }

    #[test]
    fn fractions() {
        let side = NativeBuckets {
            spans: vec![span(0, 3)],
            deltas: vec![],
            counts: vec![0.5, 0.0, 1.5],
        };
        let native = NativeHistogram {
            negative: side.clone(),
            positive: side,
            ..NativeHistogram::default()
        };
        let of = |number| Count::Float(number);
        assert_eq!(
            listed(&native, Count::Float(4.0)),
            [
                bucket(-4.0, -2.0, of(1.5)),
                bucket(-1.0, -0.5, of(0.5)),
                bucket(0.5, 1.0, of(0.5)),
                bucket(2.0, 4.0, of(1.5)),
            ]
        );
    }

    #[test]
    fn broken_ones_are_listed_as_far_as_they_go() {
        let mut native = NativeHistogram {
            schema: Some(i32::MIN),
            positive: NativeBuckets {
                spans: vec![span(i32::MIN, u32::MAX), span(i32::MAX, u32::MAX)],
                deltas: vec![1, -2],
                counts: vec![],
            },
            ..NativeHistogram::default()
        };
        native.negative = native.positive.clone();
        for schema in [i32::MIN, -53, 9, i32::MAX] {
            native.schema = Some(schema);
            let counts = native.buckets(Count::Integer(0));
            let counts: Vec<_> = counts.map(|bucket| bucket.count.to_f64()).collect();
            assert_eq!(counts, [-1.0, 1.0, 1.0, -1.0], "{schema}");
        }
        assert_eq!(native.buckets(Count::Float(1.0)).count(), 0);
    }

    #[test]
    fn the_largest_and_the_smallest() {
        for schema in SCHEMAS {
            let last = 1024 * 2_f64.powi(schema) as i64;
            let last = if schema < 0 { 1024 >> -schema } else { last };
            assert_eq!(bound(last, schema), f64::MAX, "{schema}");
            assert!(bound(last - 1, schema) < f64::MAX);
            assert_eq!(bound(last + 1, schema), f64::INFINITY);
            assert_eq!(bound(i32::MIN.into(), schema), 0.0);
            assert_eq!(bound(0, schema), 1.0);
        }
    }

    #[test]
    fn there_and_back() {
        for schema in SCHEMAS {
            let native = NativeHistogram {
                schema: Some(schema),
                zero_threshold: Some(1e-9),
                zero_count: Some(Count::Integer(u64::MAX)),
                negative: NativeBuckets {
                    spans: vec![span(-3, 2), span(5, 1)],
                    deltas: vec![1, 1, 1],
                    counts: vec![],
                },
                positive: NativeBuckets {
                    spans: vec![span(2, 1), span(3, 2)],
                    deltas: vec![1, 1, 1],
                    counts: vec![],
                },
                ..NativeHistogram::default()
            };
            let buckets = listed(&native, Count::Integer(9));
            assert_eq!(NativeHistogram::of_buckets(&buckets), Ok(native));
        }
    }

    #[test]
    fn there_and_back_at_the_ends() {
        for schema in SCHEMAS {
            let last = if schema < 0 {
                1024 >> -schema
            } else {
                1024 << schema
            };
            let native = NativeHistogram {
                schema: Some(schema),
                positive: NativeBuckets {
                    spans: vec![span(last, 2)],
                    deltas: vec![],
                    counts: vec![1.5, 1.0],
                },
                ..NativeHistogram::default()
            };
            let buckets = listed(&native, Count::Float(2.5));
            assert_eq!(buckets[1].upper, f64::INFINITY);
            assert_eq!(NativeHistogram::of_buckets(&buckets), Ok(native));
        }
    }

    #[test]
    fn buckets_of_no_histogram() {
        for buckets in [
            vec![bucket(1.0, 3.0, 1)],
            vec![bucket(1.0, 2.0, 1), bucket(2.0, 2.5, 1)],
            vec![bucket(2.0, 4.0, 1), bucket(1.0, 2.0, 1)],
            vec![bucket(2.0, 4.0, 1), bucket(2.0, 4.0, 1)],
            vec![bucket(f64::NAN, 4.0, 1)],
            vec![bucket(1.0, f64::NAN, 1)],
        ] {
            assert!(
                NativeHistogram::of_buckets(&buckets).is_err(),
                "{buckets:?}"
            );
        }
        let nothing = NativeHistogram::of_buckets(&[]).unwrap();
        assert!(nothing.has_spans());
    }
}
