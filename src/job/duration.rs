//! Time spans as people write them.

use std::time::Duration;

use humantime::DurationError as Error;

/// Reads a time span such as `500ms` or `1h 30m`; the error follows the value in a message.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    humantime::parse_duration(text).map_err(|error| match error {
        Error::UnknownUnit { unit, value, .. } if unit.is_empty() => {
            // Of several numbers the last one lacks it.
            let number = match text.rsplit_once(char::is_whitespace) {
                None if text.starts_with(|first: char| first.is_ascii_digit()) => text.to_owned(),
                _ => value.to_string(),
            };
            format!("needs a unit: {number}s, {number}m")
        }
        Error::Empty => "is not a duration: it is empty (for example 500ms or 1h 30m)".into(),
        error => format!("is not a duration: {error} (for example 500ms or 1h 30m)"),
    })
}

/// Parses a duration that must be longer than 0.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0".into()),
        duration => Ok(duration),
    }
}
