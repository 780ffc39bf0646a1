//! Points in time as tables show them: a date in the local time zone, and a short age.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::table::TableCell;
use metricsjob_metrics::{LAST_SECOND, system_time, unix_seconds};

/// Units in seconds, longest first. A year has the average length of one in the Gregorian calendar.
const UNITS: [(f64, &str); 5] = [
    (31_556_952.0, "y"),
    (86_400.0, "d"),
    (3_600.0, "h"),
    (60.0, "m"),
    (1.0, "s"),
];

/// `2h ago`, `in 5m`, `just now`; the unit is the largest that fits at least twice. `time` is in seconds since the epoch.
pub fn age(time: f64, now: SystemTime) -> String {
    let age = unix_seconds(now) - time;
    if age.is_nan() {
        return "at no known time".into();
    }
    if age.abs() < 1.0 {
        return "just now".into();
    }
    let fits = UNITS.iter().find(|(unit, _)| age.abs() >= 2.0 * unit);
    let (unit, name) = fits.unwrap_or(&UNITS[UNITS.len() - 1]);
    let count = (age.abs() / unit).floor();
    if age < 0.0 {
        format!("in {count}{name}")
    } else {
        format!("{count}{name} ago")
    }
}

/// `2026-11-29 17:10:05`, in the local time zone; `None` outside of what a calendar has, from 1970 to the last days of 9999.
pub fn date(time: f64) -> Option<String> {
    Some(zoned(time)?.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `2026-11-29 17:10:05 (2h ago)`.
pub fn date_and_age(time: f64, now: SystemTime) -> String {
    let age = age(time, now);
    date(time).map_or_else(|| age.clone(), |date| format!("{date} ({age})"))
}

/// A cell with date and age, which is the age alone where there is little room.
pub fn age_cell(time: Option<f64>, now: SystemTime) -> TableCell {
    match time {
        Some(time) => TableCell::with_short(&date_and_age(time, now), &age(time, now)),
        None => "-".into(),
    }
}

/// A cell with a date, which has no seconds where there is little room, and a year only if it is older than half of one.
pub fn date_cell(time: f64, now: SystemTime) -> TableCell {
    const HALF_A_YEAR: f64 = 182.0 * 86_400.0;
    let Some(then) = zoned(time) else {
        return "-".into();
    };
    let short = if (unix_seconds(now) - time).abs() < HALF_A_YEAR {
        "%m-%d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    let full = then.strftime("%Y-%m-%d %H:%M:%S").to_string();
    TableCell::with_short(&full, &then.strftime(short).to_string())
}

/// `2026-11-29T17:10:05.250Z`; `None` outside of what a calendar has, from 1970 to the last days of 9999.
pub fn rfc3339(time: f64) -> Option<String> {
    let time = (0.0..=LAST_SECOND)
        .contains(&time)
        .then(|| system_time(time))?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

fn zoned(time: f64) -> Option<Zoned> {
    if !(0.0..=LAST_SECOND).contains(&time) {
        return None;
    }
    let time = Timestamp::try_from(system_time(time)).ok()?;
    Some(time.to_zoned(TimeZone::try_system().unwrap_or(TimeZone::UTC)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ages() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000_000);
        for (ago, expected) in [
            (0.5, "just now"),
            (-0.5, "just now"),
            (1.0, "1s ago"),
            (119.0, "119s ago"),
            (120.0, "2m ago"),
            (7_199.0, "119m ago"),
            (7_200.0, "2h ago"),
            (172_800.0, "2d ago"),
            (7e7, "2y ago"),
            (-300.0, "in 5m"),
            (f64::NAN, "at no known time"),
        ] {
            assert_eq!(age(1e8 - ago, now), expected, "{ago}");
        }
    }

    #[test]
    fn no_date_for_what_no_calendar_has() {
        for time in [-1.0, f64::NAN, f64::INFINITY, LAST_SECOND + 1.0] {
            assert_eq!(date(time), None, "{time}");
        }
        assert_eq!(
            date(LAST_SECOND - 200_000.0).map(|date| date.len()),
            Some(19)
        );
    }
}
