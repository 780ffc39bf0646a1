//! Human-readable numbers.

/// Formats a duration: `502 ms`, `3.2 s`, `2 min 5 s`, `1 d 2 h`. Returns `None` for 0, and for durations
/// that no clock can show.
pub fn duration(seconds: f64) -> Option<String> {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let length = seconds.abs();
    let sign = if seconds < 0.0 { "−" } else { "" };
    if !(1e-9..1e15).contains(&length) {
        return None;
    }
    if length < 60.0 {
        let (factor, unit) = match length {
            long if long >= 1.0 => (1.0, "s"),
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

/// Formats a number with about three digits: `1.5`, `12`, `123`.
pub fn short(number: f64) -> String {
    let text = match number.abs() {
        small if small < 9.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let text = |seconds| duration(seconds).unwrap_or_default();
        assert_eq!(text(0.502), "502 ms");
        assert_eq!(text(0.0015), "1.5 ms");
        assert_eq!(text(0.000_02), "20 µs");
        assert_eq!(text(3e-9), "3 ns");
        assert_eq!(text(1.0), "1 s");
        assert_eq!(text(3.21), "3.2 s");
        assert_eq!(text(59.4), "59 s");
        assert_eq!(text(60.0), "1 min");
        assert_eq!(text(125.4), "2 min 5 s");
        assert_eq!(text(93_784.0), "1 d 2 h");
        assert_eq!(text(-86_400.0), "−1 d");
        for none in [0.0, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(duration(none), None, "{none}");
        }
    }
}
