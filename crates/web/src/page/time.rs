//! Human-readable points in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use metricsjob_metrics::{LAST_SECOND, unix_seconds};

/// Units in seconds, longest first. A year has the average length of one in the Gregorian calendar.
const UNITS: [(f64, &str); 5] = [
    (31_556_952.0, "year"),
    (86_400.0, "day"),
    (3_600.0, "hour"),
    (60.0, "minute"),
    (1.0, "second"),
];

/// Returns how long ago `time` (in seconds since the epoch) was, with the exact time as title. The script
/// keeps it counting.
pub fn age(time: f64, now: SystemTime) -> Markup {
    let age = words(unix_seconds(now) - time);
    match exact(time) {
        Some(exact) => html! { time datetime=(exact) title=(exact) { (age) } },
        None => html! { (age) },
    }
}

/// Returns the time left until `time`, in the form of [`age`]; once it has come, `now`.
pub fn due(time: f64, now: SystemTime) -> Markup {
    let age = unix_seconds(now) - time;
    let text = if age > -1.0 { "now".into() } else { words(age) };
    match exact(time) {
        Some(exact) => html! { time datetime=(exact) title=(exact) data-due { (text) } },
        None => html! { (text) },
    }
}

/// Returns the exact time, followed by its [`age`].
pub fn exact_and_age(time: f64, now: SystemTime) -> Markup {
    match exact(time) {
        Some(exact) => html! { span .exact { (exact) } " (" (age(time, now)) ")" },
        None => age(time, now),
    }
}

/// Formats `time` (in seconds since the epoch) in RFC 3339, in UTC, down to the second. Returns `None`
/// outside of the years 1970 to 9999.
pub fn exact(time: f64) -> Option<String> {
    if !(0.0..=LAST_SECOND).contains(&time) {
        return None;
    }
    let time = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(time).ok()?)?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

/// Formats an age in seconds: `3 minutes ago`, `in 5 minutes`, `just now`. `words` in the script must do the
/// same.
pub fn words(age: f64) -> String {
    if age.is_nan() {
        return "at no known time".into();
    }
    if age.abs() < 1.0 {
        return "just now".into();
    }
    let length = length(age.abs());
    if age < 0.0 {
        format!("in {length}")
    } else {
        format!("{length} ago")
    }
}

/// Formats a length of time: `3 minutes`. The unit is the largest that fits at least twice, so that rounding
/// seldom loses half of it.
pub fn length(seconds: f64) -> String {
    let fits = UNITS.iter().find(|(unit, _)| seconds >= 2.0 * unit);
    let (unit, name) = fits.unwrap_or(&UNITS[UNITS.len() - 1]);
    let count = (seconds / unit).floor();
    let plural = if count == 1.0 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (age, expected) in [
            (0.0, "just now"),
            (-0.9, "just now"),
            (1.0, "1 second ago"),
            (119.9, "119 seconds ago"),
            (120.0, "2 minutes ago"),
            (200.0, "3 minutes ago"),
            (7_199.0, "119 minutes ago"),
            (7_200.0, "2 hours ago"),
            (172_800.0, "2 days ago"),
            (400.0 * 86_400.0, "400 days ago"),
            (4e8, "12 years ago"),
            (-300.0, "in 5 minutes"),
            (f64::NAN, "at no known time"),
        ] {
            assert_eq!(words(age), expected, "{age}");
        }
    }

    #[test]
    fn exact_times() {
        assert_eq!(exact(0.0).as_deref(), Some("1970-01-01T00:00:00Z"));
        let time = exact(1_790_000_000.9);
        assert_eq!(time.as_deref(), Some("2026-09-21T14:13:20Z"));
        assert_eq!(exact(LAST_SECOND).as_deref(), Some("9999-12-31T23:59:59Z"));
        for none in [-1.0, LAST_SECOND + 1.0, f64::INFINITY, f64::NAN, -f64::NAN] {
            assert_eq!(exact(none), None, "{none}");
        }
    }

    #[test]
    fn an_age_knows_its_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(
            age(700.0, now).0,
            "<time datetime=\"1970-01-01T00:11:40Z\" title=\"1970-01-01T00:11:40Z\">5 minutes ago</time>"
        );
        assert_eq!(age(1e300, now).0.split(' ').next(), Some("in"));
    }

    #[test]
    fn what_is_due_is_never_past() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(
            due(1_300.0, now).0,
            "<time datetime=\"1970-01-01T00:21:40Z\" title=\"1970-01-01T00:21:40Z\" data-due>in 5 minutes</time>"
        );
        for time in [1_000.5, 1_000.0, 700.0] {
            assert!(due(time, now).0.ends_with(">now</time>"), "{time}");
        }
        assert_eq!(due(f64::NAN, now).0, "at no known time");
    }
}
