//! Numbers of the text format.

/// Integers of so many digits are below 2^53, and thus exact as floats.
const EXACT_DIGITS: usize = 15;

/// Parses a number as the Pushgateway does (Go's `strconv.ParseFloat`): no sign before `NaN`, and `None` for a number
/// out of range, not an infinity.
pub fn float(word: &[u8]) -> Option<f64> {
    if word.len() <= EXACT_DIGITS && word.iter().all(u8::is_ascii_digit) && !word.is_empty() {
        let digits = word.iter().map(|digit| u64::from(digit - b'0'));
        return Some(digits.fold(0, |number, digit| number * 10 + digit) as f64);
    }
    let number: f64 = str::from_utf8(word).ok()?.parse().ok()?;
    let spelled = |letter: u8| word.iter().any(|byte| byte.eq_ignore_ascii_case(&letter));
    let accepted = if number.is_nan() {
        !matches!(word.first(), Some(b'+' | b'-'))
    } else {
        number.is_finite() || spelled(b'i')
    };
    accepted.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let numbers = [
            ("0", 0.0),
            ("007", 7.0),
            ("999999999999999", 999_999_999_999_999.0),
            ("1234567890123456789", 1_234_567_890_123_456_789.0),
            ("+1", 1.0),
            ("-.5e1", -5.0),
            ("+iNf", f64::INFINITY),
        ];
        for (word, number) in numbers {
            assert_eq!(float(word.as_bytes()), Some(number), "{word}");
        }
        assert!(float(b"nan").is_some_and(f64::is_nan));
        for word in ["", "-", "+nan", "1e999", "0x1", "1_0", "1p2", "\u{661}"] {
            assert_eq!(float(word.as_bytes()), None, "{word}");
        }
    }
}
