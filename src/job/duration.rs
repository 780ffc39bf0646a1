//! Time spans as people write them.

use std::time::Duration;

/// Reads a time span such as `500ms` or `1h 30m`; the error follows the value in a message.
pub fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("is not a duration: {error} (for example 500ms or 1h 30m)"))
}

/// Parses a duration that must be longer than 0.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0".into()),
        duration => Ok(duration),
    }
}
