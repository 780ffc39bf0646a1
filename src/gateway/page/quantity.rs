//! Numbers, for people, as far as a family's name tells their unit.

use std::time::SystemTime;

use maud::{Markup, html};

use super::time;
use crate::metrics::text::encode;

/// Times before this one, in seconds since the epoch, are taken for durations: 1973-03-03.
const EARLIEST: f64 = 1e8;

/// Whether the family counts something, or has a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Seconds since the epoch.
    Timestamp,
    Seconds,
    Bytes,
}

/// `value` as the text format has it and, if the name of its family tells the unit, readable.
pub fn number(family: &str, value: f64, now: SystemTime) -> Markup {
    let mut raw = String::new();
    encode::number(&mut raw, value);
    let readable = match unit(family, value) {
        Some(Unit::Timestamp) => Some(time::exact_and_age(value, now)),
        Some(Unit::Seconds) => duration(value).map(|text| html! { (text) }),
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
        // `_time_seconds` is a duration too, such as the processor's; a time stamp of 0 is nothing.
        return name.ends_with("_time_seconds").then_some(Unit::Seconds);
    }
    if name.ends_with("_seconds") {
        return Some(Unit::Seconds);
    }
    name.ends_with("_bytes").then_some(Unit::Bytes)
}

/// `502 ms`, `2 min 5 s`, `1 d 2 h`; nothing for what is readable as it is, from 1 to 60 seconds.
fn duration(seconds: f64) -> Option<String> {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let length = seconds.abs();
    let sign = if seconds < 0.0 { "−" } else { "" };
    if !(1e-9..1e15).contains(&length) || (1.0..60.0).contains(&length) {
        return None;
    }
    if length < 1.0 {
        let (factor, unit) = match length {
            short if short >= 1e-3 => (1e3, "ms"),
            short if short >= 1e-6 => (1e6, "µs"),
            _ => (1e9, "ns"),
        };
        return Some(format!("{sign}{} {unit}", short(length * factor)));
    }
    let seconds = length.round() as u64;
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit)?;
    let (unit, name) = UNITS[largest];
    let mut text = format!("{sign}{} {name}", seconds / unit);
    if let Some((smaller, name)) = UNITS.get(largest + 1)
        && let rest = seconds % unit / smaller
        && rest > 0
    {
        text += &format!(" {rest} {name}");
    }
    Some(text)
}

/// `1.5 MiB`; nothing below 1 KiB.
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

/// Three digits or so: `1.5`, `12`, `123`.
fn short(number: f64) -> String {
    let text = match number.abs() {
        small if small < 9.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn durations() {
        let text = |seconds| duration(seconds).unwrap_or_default();
        assert_eq!(text(0.502), "502 ms");
        assert_eq!(text(0.0015), "1.5 ms");
        assert_eq!(text(0.000_02), "20 µs");
        assert_eq!(text(3e-9), "3 ns");
        assert_eq!(text(60.0), "1 min");
        assert_eq!(text(125.4), "2 min 5 s");
        assert_eq!(text(93_784.0), "1 d 2 h");
        assert_eq!(text(-86_400.0), "−1 d");
        for none in [0.0, 1.0, 59.9, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(duration(none), None, "{none}");
        }
    }

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
    }
}
