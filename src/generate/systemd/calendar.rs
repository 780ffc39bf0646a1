//! Schedules as expressions of systemd.time(7).

use std::time::{Duration, SystemTime};

use crate::generate::schedule::{ScheduleError, clock_changes, list};
use crate::job::schedule::{Cron, PlainField, Schedule, Zone};

/// In systemd's order; ours begins with Sunday.
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Seconds of an hour.
const HOUR: u32 = 3600;

/// Calendar expressions of a timer, which elapses by each of them, and what differs where the clock is changed.
pub struct Calendar {
    pub expressions: Vec<String>,
    pub note: Option<&'static str>,
}

/// The expressions that elapse when `schedule` is due.
///
/// # Errors
///
/// Fails for an interval that none can say.
pub fn calendar(schedule: &Schedule, now: SystemTime) -> Result<Calendar, ScheduleError> {
    match schedule {
        Schedule::Cron(cron) => Ok(of_cron(cron, clock_changes(schedule, now), now)),
        Schedule::Every(interval) => Ok(Calendar {
            expressions: vec![of_interval(*interval)?],
            note: None,
        }),
    }
}

fn of_cron(cron: &Cron, changes: crate::job::schedule::ClockChanges, now: SystemTime) -> Calendar {
    let [second, minute, hour, day, month, weekday] = cron.fields();
    let is_each_hour = [&hour, &day, &month, &weekday]
        .into_iter()
        .all(|field| field.is_full);
    let is_particular = cron.is_at_particular_times();
    // By the clock of UTC, which is never changed, it is the same.
    let is_same_in_utc =
        is_each_hour && !is_particular && cron.zone().is_off_by_multiples_of(HOUR, now);
    let (zone, note) = if is_same_in_utc {
        (" UTC".to_owned(), None)
    } else {
        let note = match (
            changes.skips && is_particular,
            changes.repeats && !is_particular,
        ) {
            (true, _) => Some(
                "A run whose time is skipped when the clock is put forward does not take place.",
            ),
            (_, true) => Some(
                "When the clock is put back, it runs in the first pass of the repeated time only.",
            ),
            _ => None,
        };
        let zone = cron.zone();
        // Without a name it is the machine's own, as for systemd.
        let zone = match zone.name() {
            "local" => String::new(),
            name => format!(" {name}"),
        };
        (zone, note)
    };
    let time = format!(
        "{}:{}:{}{zone}",
        values(&hour),
        values(&minute),
        values(&second)
    );
    let month = values(&month);
    let by_month = || format!("*-{month}-{} {time}", values(&day));
    let by_week = || format!("{}*-{month}-* {time}", weekdays(&weekday));
    let expressions = if cron.needs_both_days() {
        vec![format!("{}{}", weekdays(&weekday), by_month())]
    } else if day.is_full || weekday.is_full {
        vec![format!("*-{month}-* {time}")]
    } else {
        // Either will do: systemd asks for both in one expression.
        vec![by_month(), by_week()]
    };
    Calendar { expressions, note }
}

fn values(field: &PlainField) -> String {
    if field.is_full {
        "*".to_owned()
    } else {
        list(&field.values, "..")
    }
}

/// The days with a blank behind them, or nothing for each day.
fn weekdays(field: &PlainField) -> String {
    if field.is_full {
        return String::new();
    }
    let days = field.values.iter();
    let days = days.filter_map(|day| WEEKDAYS.get(usize::from(*day)).copied());
    days.collect::<Vec<_>>().join(",") + " "
}

fn of_interval(interval: Duration) -> Result<String, ScheduleError> {
    let seconds = interval.as_secs();
    let is_whole = interval == Duration::from_secs(seconds);
    let zone = Zone::utc();
    match seconds {
        1..60 if is_whole && 60 % seconds == 0 => Ok(format!("*-*-* *:*:0/{seconds} {zone}")),
        60..3600 if is_whole && 3600 % seconds == 0 && seconds.is_multiple_of(60) => {
            Ok(format!("*-*-* *:0/{}:0 {zone}", seconds / 60))
        }
        3600..86_400 if is_whole && 86_400 % seconds == 0 && seconds.is_multiple_of(3600) => {
            Ok(format!("*-*-* 0/{}:0:0 {zone}", seconds / 3600))
        }
        86_400 if is_whole => Ok(format!("*-*-* 0:0:0 {zone}")),
        // The Unix epoch was a Thursday.
        604_800 if is_whole => Ok(format!("Thu *-*-* 0:0:0 {zone}")),
        _ => Err(ScheduleError::Interval {
            every: humantime::format_duration(interval).to_string(),
            scheduler: "systemd",
            divided: "a minute, an hour or a day",
            example: "\"30s\", \"15m\"",
        }),
    }
}
