//! Numbers on the command line, with errors in words.

use std::fmt::Display;
use std::num::IntErrorKind;
use std::str::FromStr;

/// Integer types whose limits an error can name.
pub trait Whole: FromStr<Err = std::num::ParseIntError> + PartialOrd + Display + From<u8> {
    const MAX: Self;
}

macro_rules! whole {
    ($($integer:ty),*) => {
        $(impl Whole for $integer {
            const MAX: Self = <$integer>::MAX;
        })*
    };
}

whole!(u8, u32, u64, usize);

/// Parses a whole number from 0.
pub fn whole<T: Whole>(text: &str) -> Result<T, String> {
    within(text, T::from(0))
}

/// Parses a whole number from 1.
pub fn positive<T: Whole>(text: &str) -> Result<T, String> {
    within(text, T::from(1))
}

fn within<T: Whole>(text: &str, min: T) -> Result<T, String> {
    let max = T::MAX;
    let is_below = |text: &str| {
        text.strip_prefix('-')
            .is_some_and(|rest| rest.parse::<T>().is_ok())
    };
    match text.parse::<T>() {
        Ok(number) if number >= min => Ok(number),
        Err(error) if matches!(error.kind(), IntErrorKind::PosOverflow) => {
            Err(format!("is too large: it can be at most {max}"))
        }
        Err(_) if !is_below(text) => Err(format!(
            "is not a whole number (for example {})",
            T::from(10)
        )),
        Ok(_) | Err(_) => Err(format!("is too small: it must be at least {min}")),
    }
}

/// Parses a number with or without a fraction; also NaN, +Inf and -Inf.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| "is not a number (for example 17, 0.5 or 1e6)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        assert_eq!(whole::<u8>("255"), Ok(255));
        assert_eq!(positive::<u32>("1"), Ok(1));
        for (text, problem) in [
            ("256", "is too large: it can be at most 255"),
            ("-1", "is too small: it must be at least 0"),
            ("1.5", "is not a whole number (for example 10)"),
            ("-x", "is not a whole number (for example 10)"),
            ("", "is not a whole number (for example 10)"),
        ] {
            assert_eq!(whole::<u8>(text), Err(problem.into()), "{text}");
        }
        let problem = "is too small: it must be at least 1";
        assert_eq!(positive::<u64>("0"), Err(problem.into()));
        assert_eq!(positive::<u64>("-3"), Err(problem.into()));
    }
}
