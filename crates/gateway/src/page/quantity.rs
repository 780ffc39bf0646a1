//! Human-readable numbers, if the name of a family tells their unit.

use std::time::SystemTime;

use maud::{Markup, html};

use metricsjob_metrics::text::encode;
use metricsjob_web::page::quantity::{self, short};
use metricsjob_web::page::time;

/// Times before this one, in seconds since the epoch, are assumed to be durations: 1973-03-03.
const EARLIEST: f64 = 1e8;

/// Unit of a family's values, according to its name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Seconds since the epoch.
    Timestamp,
    Seconds,
    Bytes,
}

/// Returns `value` as in the text format and, if the name of its family tells the unit, in a readable form
/// too.
pub fn number(family: &str, value: f64, now: SystemTime) -> Markup {
    let mut raw = String::new();
    encode::number(&mut raw, value);
    let readable = match unit(family, value) {
        Some(Unit::Timestamp) => Some(time::exact_and_age(value, now)),
        // From 1 to 60 seconds, the raw number is readable enough.
        Some(Unit::Seconds) if (1.0..60.0).contains(&value.abs()) => None,
        Some(Unit::Seconds) => quantity::duration(value).map(|text| html! { (text) }),
        Some(Unit::Bytes) => bytes(value).map(|text| html! { (text) }),
        None => None,
    };
    html! {
        span .raw { (raw) }
        @if let Some(readable) = readable { " " span .readable { (readable) } }
    }
}

fn unit(family: &str, value: f64) -> Option<Unit> {
    let name = family.strip_suffix("_total").unwrap_or(family);
    if name.ends_with("_timestamp_seconds") || name.ends_with("_time_seconds") {
        if value >= EARLIEST && time::exact(value).is_some() {
            return Some(Unit::Timestamp);
        }
        // `_time_seconds` can be a duration too, such as processor time; a time stamp of 0 means nothing.
        return name.ends_with("_time_seconds").then_some(Unit::Seconds);
    }
    if name.ends_with("_seconds") {
        return Some(Unit::Seconds);
    }
    name.ends_with("_bytes").then_some(Unit::Bytes)
}

/// Formats a number of bytes: `1.5 MiB`. Returns `None` below 1 KiB.
fn bytes(bytes: f64) -> Option<String> {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes / 1024.0;
    if size.abs() < 1.0 || !size.is_finite() {
        return None;
    }
    let mut units = UNITS.iter();
    let mut unit = units.next()?;
    // 1023.5 KiB would be rounded to 1024.
    while size.abs() >= 1023.5 {
        unit = units.next()?;
        size /= 1024.0;
    }
    Some(format!("{} {unit}", short(size)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn sizes() {
        let text = |size| bytes(size).unwrap_or_default();
        assert_eq!(text(1024.0), "1 KiB");
        assert_eq!(text(1_572_864.0), "1.5 MiB");
        assert_eq!(text(1_048_570.0), "1 MiB");
        assert_eq!(text(123.4e9), "115 GiB");
        assert_eq!(text(-2048.0), "-2 KiB");
        for none in [0.0, 1023.0, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(bytes(none), None, "{none}");
        }
    }

    #[test]
    fn units() {
        use Unit::*;
        assert_eq!(unit("a_timestamp_seconds", 1.79e9), Some(Timestamp));
        assert_eq!(unit("push_time_seconds", 1.79e9), Some(Timestamp));
        assert_eq!(unit("cpu_time_seconds_total", 12.0), Some(Seconds));
        assert_eq!(unit("a_timestamp_seconds", 0.0), None);
        assert_eq!(unit("a_timestamp_seconds", f64::NAN), None);
        assert_eq!(unit("a_seconds_total", 1.0), Some(Seconds));
        assert_eq!(unit("a_bytes", 1.0), Some(Bytes));
        assert_eq!(unit("bytes", 1.0), None);
    }

    #[test]
    fn the_raw_number_stays() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(
            number("a", 1e300, now).0,
            "<span class=\"raw\">1e300</span>"
        );
        assert_eq!(
            number("a_bytes", 2048.0, now).0,
            "<span class=\"raw\">2048</span> <span class=\"readable\">2 KiB</span>"
        );
        for readable in [0.0, 1.0, 59.9, -59.9] {
            let html = number("a_seconds", readable, now).0;
            assert!(!html.contains("readable"), "{html}");
        }
        assert!(number("a_seconds", 0.502, now).0.contains("502 ms"));
    }
}
