//! A histogram that many threads can add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metricsjob_metrics::{Bucket, Count, Value};

/// A histogram of whole numbers, so that each addition is one instruction of the processor.
pub struct Histogram<const N: usize> {
    /// Upper bounds, ascending, in the unit of the observed values.
    bounds: &'static [u64; N],
    /// Number of values up to each bound and above the previous one.
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Histogram {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    pub fn observe(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        let count = self.counts.get(place).unwrap_or(&self.above);
        count.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// Returns the current histogram, with bounds and sum divided by `unit`.
    pub fn value(&self, unit: f64) -> Value {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / unit);
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        let counts: Vec<u64> = counts.collect();
        let within: u64 = counts.iter().sum();
        Value::Histogram {
            count: Count::Integer(within + self.above.load(Relaxed)),
            sum: self.sum.load(Relaxed) as f64 / unit,
            buckets: Bucket::cumulative(bounds, counts),
            native: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_what_is_below() {
        let histogram = Histogram::new(&[100_000, 1_000_000]);
        for nanoseconds in [0, 100_000, 100_001, 1_000_001, 3_000_000_000] {
            histogram.observe(nanoseconds);
        }
        let bucket = |upper_bound, count| Bucket {
            upper_bound,
            count: Count::Integer(count),
        };
        assert_eq!(
            histogram.value(1e9),
            Value::Histogram {
                count: Count::Integer(5),
                sum: 3.001200002,
                buckets: vec![bucket(0.0001, 2), bucket(0.001, 3)],
                native: None,
            }
        );
    }
}
