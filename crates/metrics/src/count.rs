//! Numbers of observations: integers, or floats in float histograms.

use std::fmt;
use std::ops::Add;

use super::text::encode;

/// The number of observations in a histogram or in one of its buckets.
///
/// Client libraries count in integers. A float histogram holds fractions, such as the result of a recording rule that
/// takes the rate of another histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// An integer.
    Integer(u64),
    /// A float, which may have a fraction.
    Float(f64),
}

impl Add for Count {
    type Output = Count;

    /// Adds integers, up to the largest one, or else floats.
    fn add(self, other: Count) -> Count {
        match (self, other) {
            (Count::Integer(a), Count::Integer(b)) => Count::Integer(a.saturating_add(b)),
            (a, b) => Count::Float(a.to_f64() + b.to_f64()),
        }
    }
}

impl Count {
    /// Converts a number from a format that does not distinguish the types, such as text: a whole number below 2^64
    /// becomes an integer.
    pub fn of(number: f64) -> Self {
        /// The lowest float above `u64::MAX`.
        const LIMIT: f64 = 18_446_744_073_709_551_616.0;
        if (0.0..LIMIT).contains(&number) && number.fract() == 0.0 {
            Count::Integer(number as u64)
        } else {
            Count::Float(number)
        }
    }

    /// Converts the two protobuf fields of a count. Like Prometheus, takes the integer if the float is absent or 0;
    /// `None` if neither is set.
    pub fn of_fields(integer: Option<u64>, float: Option<f64>) -> Option<Self> {
        match (integer, float) {
            (Some(integer), None | Some(0.0)) => Some(Count::Integer(integer)),
            (_, float) => float.map(Count::Float),
        }
    }

    /// Returns the integer and the float field of a protobuf message, one of which is set.
    pub fn fields(self) -> (Option<u64>, Option<f64>) {
        match self {
            Count::Integer(integer) => (Some(integer), None),
            Count::Float(float) => (None, Some(float)),
        }
    }

    /// Returns the nearest float.
    pub fn to_f64(self) -> f64 {
        match self {
            Count::Integer(integer) => integer as f64,
            Count::Float(float) => float,
        }
    }

    /// Returns true if the count is a [`Count::Float`].
    pub fn is_float(self) -> bool {
        matches!(self, Count::Float(_))
    }

    /// Returns true if the text format keeps the count: an integer that a float holds exactly, or a float that does
    /// not read like an integer.
    pub fn fits_text(self) -> bool {
        /// Up to here a float holds every integer.
        const EXACT: u64 = 1 << 53;
        match self {
            Count::Integer(..=EXACT) => true,
            Count::Integer(_) => Count::of(self.to_f64()) == self,
            Count::Float(float) => Count::of(float).is_float(),
        }
    }
}

impl From<u64> for Count {
    fn from(integer: u64) -> Self {
        Count::Integer(integer)
    }
}

/// Writes all digits of an integer, and a float as in the text format.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Integer(integer) => integer.fmt(f),
            Count::Float(float) => {
                let mut digits = String::new();
                encode::number(&mut digits, *float);
                f.write_str(&digits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_integers() {
        for (number, integer) in [
            (0.0, 0),
            (-0.0, 0),
            (3.0, 3),
            (1e19, 10_000_000_000_000_000_000),
        ] {
            assert_eq!(Count::of(number), Count::Integer(integer));
        }
        for number in [0.5, -1.0, 18_446_744_073_709_551_616.0, f64::INFINITY] {
            assert_eq!(Count::of(number), Count::Float(number));
        }
        assert!(Count::of(f64::NAN).is_float());
    }

    #[test]
    fn the_float_field_wins_unless_it_is_zero() {
        for (integer, float, expected) in [
            (None, None, None),
            (Some(3), None, Some(Count::Integer(3))),
            (Some(3), Some(0.0), Some(Count::Integer(3))),
            (Some(3), Some(2.5), Some(Count::Float(2.5))),
            (None, Some(0.0), Some(Count::Float(0.0))),
            (None, Some(2.0), Some(Count::Float(2.0))),
        ] {
            assert_eq!(Count::of_fields(integer, float), expected);
        }
    }

    #[test]
    fn what_text_loses() {
        const EXACT: u64 = 1 << 53;
        for fits in [
            Count::Integer(EXACT),
            Count::Integer(EXACT + 2),
            Count::Float(0.5),
            Count::Float(-1.0),
            Count::Float(f64::NAN),
        ] {
            assert!(fits.fits_text(), "{fits:?}");
        }
        for lost in [
            Count::Integer(EXACT + 1),
            Count::Integer(u64::MAX),
            Count::Float(0.0),
            Count::Float(-0.0),
            Count::Float(3.0),
        ] {
            assert!(!lost.fits_text(), "{lost:?}");
        }
    }

    #[test]
    fn digits() {
        assert_eq!(Count::Integer(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(Count::Float(2.5).to_string(), "2.5");
        assert_eq!(Count::Float(f64::NAN).to_string(), "NaN");
    }
}
