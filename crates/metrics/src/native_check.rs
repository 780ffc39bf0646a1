//! Validation of native histograms. One that is invalid makes Prometheus refuse the whole scrape.
//!
//! The rules are those of `Validate` in Prometheus' `model/histogram`, in all versions since 2.40. The exposition
//! format has no custom bounds, so a histogram of their schema has one bucket at most.

use super::count::Count;
use super::native::{NativeBuckets, NativeHistogram};
use super::native_buckets::{CUSTOM_BOUNDS, SCHEMAS};

/// Most spans, and most buckets, of one side: our own bound. Client libraries keep a few hundred.
pub const MAX_BUCKETS: usize = 10_000;

/// Largest bucket index: Prometheus adds offsets in an `i32`, in which the distance of any two buckets must fit.
/// Index 262,144 already covers the largest finite number at the highest resolution.
const MAX_INDEX: i64 = (i32::MAX / 2) as i64;

/// A violated rule of native histograms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// A schema that does not exist.
    #[error("schema {0} is not one of -4 to 8, nor -53 for custom bounds")]
    Schema(i32),
    /// More than 10,000 spans or buckets on one side.
    #[error("{found} {what} are more than {MAX_BUCKETS} on one side")]
    TooMany {
        /// The number found.
        found: usize,
        /// `spans` or `buckets`.
        what: &'static str,
    },
    /// Spans whose total length is not the number of counts.
    #[error("its {side} spans are of {spans} buckets, and it has counts of {counts}")]
    Spans {
        /// The side of zero.
        side: Side,
        /// The number of buckets in the spans.
        spans: u64,
        /// The number of counts.
        counts: usize,
    },
    /// A negative offset after the first span.
    #[error("the offset of {side} span {number} is {offset}, below 0")]
    Offset {
        /// The side of zero.
        side: Side,
        /// The span's position, from 1.
        number: usize,
        /// The offset.
        offset: i32,
    },
    /// A span whose bucket index is out of range.
    #[error("{side} span {number} is further from zero than any number")]
    Index {
        /// The side of zero.
        side: Side,
        /// The span's position, from 1.
        number: usize,
    },
    /// A bucket with a negative or NaN count.
    #[error("{side} bucket {number} counts {count}")]
    Bucket {
        /// The side of zero.
        side: Side,
        /// The bucket's position on its side, from 1.
        number: usize,
        /// The count.
        count: String,
    },
    /// A negative or NaN count of the histogram or of its zero bucket.
    #[error("{what} is {count}")]
    Count {
        /// The name of the count.
        what: &'static str,
        /// The count.
        count: String,
    },
    /// Counts that overflow 64 bits.
    #[error("the counts of its buckets add up to more than 64 bits hold")]
    Overflow,
    /// Bucket counts that do not add up to the histogram's count.
    #[error("its buckets count {in_buckets}, and it counts {count} in all")]
    Sum {
        /// The sum of the buckets' counts.
        in_buckets: String,
        /// The histogram's count.
        count: String,
    },
    /// A part that custom bounds exclude, or cannot have in the exposition format.
    #[error("with custom bounds (schema -53) it has {0}")]
    Custom(&'static str),
}

/// Side of zero that buckets are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Negative,
    Positive,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Negative => "negative",
            Side::Positive => "positive",
        })
    }
}

impl NativeHistogram {
    /// Checks it as part of a histogram with this `count` and `sum`, by Prometheus' rules, and that neither side has
    /// more than 10,000 spans or buckets.
    ///
    /// # Errors
    ///
    /// Returns the first violated rule.
    pub fn check(&self, count: Count, sum: f64) -> Result<(), NativeError> {
        for (_, buckets) in self.sides() {
            buckets.check_size()?;
        }
        if !self.is_native_to_any() {
            return Ok(());
        }
        self.check_counts(count)?;
        // Prometheus takes it for a float histogram if one of these float fields is above 0, else for an integer one,
        // whose float counts it ignores.
        let is_positive = |count: Count| matches!(count, Count::Float(float) if float > 0.0);
        let is_float = is_positive(count) || self.zero_count.is_some_and(is_positive);
        self.check_schema(is_float)?;
        if is_float {
            self.check_floats(count.to_f64_field())
        } else {
            self.check_integers(count.to_integer_field(), sum)
        }
    }

    fn sides(&self) -> [(Side, &NativeBuckets); 2] {
        [
            (Side::Negative, &self.negative),
            (Side::Positive, &self.positive),
        ]
    }

    /// Returns true if any version of Prometheus takes it for a native histogram: versions before 2.45 looked at the
    /// deltas, later ones look at the spans.
    pub fn is_native_to_any(&self) -> bool {
        self.has_spans()
            || !self.negative.deltas.is_empty()
            || !self.positive.deltas.is_empty()
            || self.zero_threshold.is_some_and(|threshold| threshold > 0.0)
            || self.zero_count.is_some_and(|count| count.to_f64() > 0.0)
    }

    fn check_counts(&self, count: Count) -> Result<(), NativeError> {
        let zero_count = self.zero_count.unwrap_or(Count::Integer(0));
        for (what, count) in [
            ("its count", count),
            ("the count of its zero bucket", zero_count),
        ] {
            if !is_count(count.to_f64()) {
                let count = count.to_string();
                return Err(NativeError::Count { what, count });
            }
        }
        Ok(())
    }

    fn check_schema(&self, is_float: bool) -> Result<(), NativeError> {
        let schema = self.schema.unwrap_or_default();
        let has_custom_bounds = schema == CUSTOM_BOUNDS;
        if !has_custom_bounds && !SCHEMAS.contains(&schema) {
            return Err(NativeError::Schema(schema));
        }
        for (side, buckets) in self.sides() {
            buckets.check_spans(side, is_float, has_custom_bounds)?;
        }
        if !has_custom_bounds {
            return Ok(());
        }
        let zero_count = self.zero_count.map_or(0.0, Count::to_f64);
        let negative = &self.negative;
        Err(NativeError::Custom(if zero_count != 0.0 {
            "a zero bucket"
        } else if self.zero_threshold.unwrap_or_default() != 0.0 {
            "a zero threshold"
        } else if !negative.spans.is_empty() || negative.len(is_float) > 0 {
            "negative buckets"
        } else if self.positive.reach() > 1 {
            "buckets without bounds, which this format does not have"
        } else {
            return Ok(());
        }))
    }

    /// Refuses bucket counts that sum to more than the count, as Prometheus did until 2.46, though rounding can cause
    /// it.
    fn check_floats(&self, count: f64) -> Result<(), NativeError> {
        let mut in_buckets = 0.0;
        for (side, buckets) in self.sides() {
            let mut in_side = 0.0;
            for (at, &count) in buckets.counts.iter().enumerate() {
                if !is_count(count) {
                    return Err(NativeError::Bucket {
                        side,
                        number: at + 1,
                        count: Count::Float(count).to_string(),
                    });
                }
                in_side += count;
            }
            in_buckets += in_side;
        }
        if in_buckets > count {
            Err(NativeError::Sum {
                in_buckets: in_buckets.to_string(),
                count: count.to_string(),
            })
        } else {
            Ok(())
        }
    }

    fn check_integers(&self, count: u64, sum: f64) -> Result<(), NativeError> {
        let zero_count = self.zero_count.map_or(0, Count::to_integer_field);
        let mut in_buckets = zero_count;
        for (side, buckets) in self.sides() {
            let mut in_bucket = 0_i64;
            for (at, delta) in buckets.deltas.iter().enumerate() {
                let added = in_bucket.checked_add(*delta);
                in_bucket = added.ok_or(NativeError::Overflow)?;
                let in_bucket = u64::try_from(in_bucket).map_err(|_| NativeError::Bucket {
                    side,
                    number: at + 1,
                    count: in_bucket.to_string(),
                })?;
                let added = in_buckets.checked_add(in_bucket);
                in_buckets = added.ok_or(NativeError::Overflow)?;
            }
        }
        // An observation of NaN changes the count, and no bucket.
        let is_right = if sum.is_nan() {
            in_buckets <= count
        } else {
            in_buckets == count
        };
        if is_right {
            Ok(())
        } else {
            Err(NativeError::Sum {
                in_buckets: in_buckets.to_string(),
                count: count.to_string(),
            })
        }
    }
}

impl NativeBuckets {
    fn len(&self, is_float: bool) -> usize {
        if is_float {
            self.counts.len()
        } else {
            self.deltas.len()
        }
    }

    fn check_size(&self) -> Result<(), NativeError> {
        let buckets = self.deltas.len().max(self.counts.len());
        for (found, what) in [(self.spans.len(), "spans"), (buckets, "buckets")] {
            if found > MAX_BUCKETS {
                return Err(NativeError::TooMany { found, what });
            }
        }
        Ok(())
    }

    /// Returns the index after the last bucket of its spans.
    fn reach(&self) -> i64 {
        let spans = self.spans.iter();
        spans
            .map(|span| i64::from(span.offset) + i64::from(span.length))
            .sum()
    }

    fn check_spans(
        &self,
        side: Side,
        is_float: bool,
        has_custom_bounds: bool,
    ) -> Result<(), NativeError> {
        let (mut index, mut length) = (0_i64, 0_u64);
        for (at, span) in self.spans.iter().enumerate() {
            let number = at + 1;
            let offset = span.offset;
            // The first span's offset is where the buckets begin; custom bounds begin at 0.
            if offset < 0 && (at > 0 || has_custom_bounds) {
                return Err(NativeError::Offset {
                    side,
                    number,
                    offset,
                });
            }
            let start = index + i64::from(offset);
            index = start + i64::from(span.length);
            if start < -MAX_INDEX || index > MAX_INDEX {
                return Err(NativeError::Index { side, number });
            }
            length += u64::from(span.length);
        }
        let counts = self.len(is_float);
        if length == counts as u64 {
            Ok(())
        } else {
            Err(NativeError::Spans {
                side,
                spans: length,
                counts,
            })
        }
    }
}

impl Count {
    /// Returns the value of the float field of a protobuf message.
    fn to_f64_field(self) -> f64 {
        self.fields().1.unwrap_or_default()
    }

    /// Returns the value of the integer field of a protobuf message.
    fn to_integer_field(self) -> u64 {
        self.fields().0.unwrap_or_default()
    }
}

/// Returns true if it is a number of observations; infinity is one.
fn is_count(count: f64) -> bool {
    count >= 0.0
}

#[cfg(test)]
mod tests;
