//! A histogram of how long runs took, with classic and native buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use metricsjob_metrics::{Bucket, BucketSpan, NativeBuckets, NativeHistogram, Value};

/// The classic buckets' upper bounds in seconds, from 1 s to 6 h.
const BOUNDS: [f64; 14] = [
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0,
    21_600.0,
];

/// Each native bucket's bound is 2^(1/8) times the one before, which is within 4.4 %.
const SCHEMA: i32 = 3;

/// Native buckets of one power of two.
const PER_DOUBLING: f64 = 8.0;

/// Upper bound of the zero bucket, in seconds.
const ZERO_THRESHOLD: f64 = 1e-6;

/// Two runs of buckets with fewer empty ones between them are written as one.
const MAX_GAP: i32 = 2;

/// How long runs took, in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    count: u64,
    sum: f64,
    /// Not cumulative.
    classic: [u64; BOUNDS.len()],
    zero: u64,
    /// By index: bucket i holds what is above 2^((i-1)/8) and at most 2^(i/8).
    native: BTreeMap<i32, u64>,
}

impl Durations {
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(place) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.classic[place] += 1;
        }
        if seconds <= ZERO_THRESHOLD {
            self.zero += 1;
        } else {
            let index = (seconds.log2() * PER_DOUBLING).ceil() as i32;
            *self.native.entry(index).or_default() += 1;
        }
    }

    pub fn value(&self) -> Value {
        let mut buckets = Bucket::cumulative(BOUNDS, self.classic);
        buckets.push(Bucket {
            upper_bound: f64::INFINITY,
            count: self.count.into(),
        });
        Value::Histogram {
            count: self.count.into(),
            sum: self.sum,
            buckets,
            native: Some(Box::new(NativeHistogram {
                schema: Some(SCHEMA),
                zero_threshold: Some(ZERO_THRESHOLD),
                zero_count: Some(self.zero.into()),
                positive: self.positive(),
                ..NativeHistogram::default()
            })),
        }
    }

    fn positive(&self) -> NativeBuckets {
        let mut buckets = NativeBuckets::default();
        let (mut end, mut before) = (0, 0);
        let mut push = |buckets: &mut NativeBuckets, count: u64| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            buckets.deltas.push(count - before);
            before = count;
        };
        for (&index, &count) in &self.native {
            let gap = index - end;
            match buckets.spans.last_mut() {
                Some(span) if gap <= MAX_GAP => {
                    span.length += gap as u32 + 1;
                    (0..gap).for_each(|_| push(&mut buckets, 0));
                }
                _ => buckets.spans.push(BucketSpan {
                    offset: gap,
                    length: 1,
                }),
            }
            push(&mut buckets, count);
            end = index + 1;
        }
        if buckets.spans.is_empty() {
            // A span without buckets says that it is a native histogram, though nothing was observed yet.
            buckets.spans.push(BucketSpan {
                offset: 0,
                length: 0,
            });
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::Count;

    fn of(seconds: &[f64]) -> (Vec<Count>, Box<NativeHistogram>) {
        let mut durations = Durations::default();
        for seconds in seconds {
            durations.add(Duration::from_secs_f64(*seconds));
        }
        match durations.value() {
            Value::Histogram {
                count,
                buckets,
                native: Some(native),
                ..
            } => {
                assert_eq!(count, Count::Integer(seconds.len() as u64));
                let counts = buckets.iter().map(|bucket| bucket.count);
                (counts.collect(), native)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn classic_buckets_are_cumulative() {
        let (counts, _) = of(&[0.5, 1.0, 1.1, 21_600.0, 21_601.0]);
        assert_eq!(counts[..3], [2, 3, 3].map(Count::Integer));
        assert_eq!(counts[13..], [4, 5].map(Count::Integer));
    }

    #[test]
    fn native_buckets() {
        // 1 is 2^0, the bound of bucket 0; 1.05 is in bucket 1, 4 in 16, 4.5 in 18.
        let (_, native) = of(&[0.0, 1.0, 1.05, 1.05, 4.0, 4.5]);
        assert_eq!(native.zero_count, Some(Count::Integer(1)));
        let span = |offset, length| BucketSpan { offset, length };
        assert_eq!(native.positive.spans, [span(0, 2), span(14, 3)]);
        assert_eq!(native.positive.deltas, [1, 1, -1, -1, 1]);
    }

    #[test]
    fn nothing_yet() {
        let (counts, native) = of(&[]);
        assert_eq!(counts, [Count::Integer(0); 15]);
        assert_eq!(native.positive.spans.len(), 1);
    }
}
