//! The schedules of jobs in the languages of other schedulers.
//!
//! A schedule is translated exactly, or not at all. Only what becomes of a time that a change of the clock skips or repeats
//! is up to the other scheduler, and notes say so.

use std::time::{Duration, SystemTime};

use crate::job::schedule::{ClockChanges, Cron, PlainField, Schedule, Zone};
use crate::job::{Job, Plan};

/// Reason why another scheduler cannot run a job as its definition says.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "the job {0} has no schedule: give it one in its file, such as schedule = \"30 2 * * *\""
    )]
    Missing(String),
    #[error(
        "the schedule {schedule:?} has seconds, and {scheduler} counts in minutes: leave out the first of its six fields \
         (`metricsjob serve` and `generate systemd` can do it as it is)"
    )]
    Seconds {
        schedule: String,
        scheduler: &'static str,
    },
    #[error(
        "{scheduler} cannot say every = {every:?}: take a time that divides {divided} evenly, such as {example} \
         (`metricsjob serve` can do it as it is)"
    )]
    Interval {
        every: String,
        scheduler: &'static str,
        divided: &'static str,
        example: &'static str,
    },
    #[error(
        "the schedule {schedule:?} is due on days that match both its day of the month and its day of the week, and for \
         Kubernetes either will do: make one of them * and check the other in the job (`metricsjob serve` and `generate \
         systemd` can do it as it is)"
    )]
    BothDays { schedule: String },
    #[error(
        "the time zone of this machine has no name by which {0} knows it: give the job one, such as timezone = \
         \"Europe/Berlin\""
    )]
    NoZone(&'static str),
    #[error(
        "the schedule {schedule:?} is for {zone}, and cron goes by the clock of this machine ({system}): give --cron-tz if \
         it is cronie, which knows CRON_TZ, or use `generate systemd` or `metricsjob serve`"
    )]
    ForeignZone {
        schedule: String,
        zone: String,
        system: String,
    },
}

/// The plan of `job`.
pub fn plan(job: &Job) -> Result<&Plan, ScheduleError> {
    let missing = || ScheduleError::Missing(job.name.clone());
    job.plan.as_ref().ok_or_else(missing)
}

/// The five fields of a crontab, in numbers.
pub type FiveFields = [String; 5];

/// The fields of `schedule` for Kubernetes, and the time zone that they are meant in.
pub fn for_kubernetes(schedule: &Schedule) -> Result<(FiveFields, String), ScheduleError> {
    const KUBERNETES: &str = "Kubernetes";
    let cron = match schedule {
        Schedule::Cron(cron) => cron,
        Schedule::Every(interval) => {
            let fields = interval_fields(*interval);
            let fields = fields.ok_or_else(|| no_minutes(*interval, KUBERNETES))?;
            return Ok((fields, "Etc/UTC".to_owned()));
        }
    };
    let [minute, hour, mut day, month, mut weekday] = minutes(cron, KUBERNETES)?;
    // There a star counts only if it has no step, and Sunday is 0 alone.
    if !cron.needs_both_days() && (day.is_full || weekday.is_full) {
        (day, weekday) = (any_day(day), any_day(weekday));
    } else if cron.needs_both_days() {
        match (day.is_full, weekday.is_full) {
            (true, _) => day = any_day(day),
            (_, true) => weekday = any_day(weekday),
            _ => {
                let schedule = cron.to_string();
                return Err(ScheduleError::BothDays { schedule });
            }
        }
    }
    if weekday.text.contains('7') {
        weekday.text = list(&weekday.values, "-");
    }
    let fields = [minute, hour, day, month, weekday].map(|field| field.text);
    Ok((fields, zone_name(cron.zone(), KUBERNETES)?))
}

/// The name by which others know `zone`.
pub fn zone_name(zone: &Zone, scheduler: &'static str) -> Result<String, ScheduleError> {
    match zone.name() {
        "local" => Err(ScheduleError::NoZone(scheduler)),
        name => Ok(name.to_owned()),
    }
}

/// The fields of `schedule` for a cron that goes by the clock of `zone`; of a schedule for another clock only if
/// `has_zones` is true if a zone can be set there.
pub fn for_cron(
    schedule: &Schedule,
    zone: &Zone,
    has_zones: bool,
    now: SystemTime,
) -> Result<FiveFields, ScheduleError> {
    const CRON: &str = "cron";
    match schedule {
        Schedule::Cron(cron) if !has_zones && !cron.zone().has_clock_of(zone, now) => {
            Err(ScheduleError::ForeignZone {
                schedule: cron.to_string(),
                zone: cron.zone().to_string(),
                system: zone.to_string(),
            })
        }
        Schedule::Cron(cron) => Ok(minutes(cron, CRON)?.map(|field| field.text)),
        Schedule::Every(interval) => {
            // The same by each clock that is off by multiples of it, or that is never changed.
            let period = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
            let is_same = (period <= 3600 && zone.is_off_by_multiples_of(period, now))
                || zone.has_clock_of(&Zone::utc(), now);
            let fields = interval_fields(*interval).filter(|_| is_same);
            fields.ok_or_else(|| no_minutes(*interval, CRON))
        }
    }
}

fn no_minutes(interval: Duration, scheduler: &'static str) -> ScheduleError {
    ScheduleError::Interval {
        every: humantime::format_duration(interval).to_string(),
        scheduler,
        divided: match scheduler {
            "cron" => "an hour",
            _ => "an hour or a day",
        },
        example: "\"15m\"",
    }
}

fn any_day(field: PlainField) -> PlainField {
    PlainField {
        text: "*".to_owned(),
        ..field
    }
}

/// The fields besides the seconds, which must be at 0.
fn minutes(cron: &Cron, scheduler: &'static str) -> Result<[PlainField; 5], ScheduleError> {
    let [second, minute, hour, day, month, weekday] = cron.fields();
    if second.values != [0] {
        return Err(ScheduleError::Seconds {
            schedule: cron.to_string(),
            scheduler,
        });
    }
    Ok([minute, hour, day, month, weekday])
}

/// The fields, in UTC, that are due at the multiples of `interval` since the Unix epoch.
fn interval_fields(interval: Duration) -> Option<FiveFields> {
    const MINUTE: u64 = 60;
    let minutes = interval.as_secs() / MINUTE;
    if interval != Duration::from_secs(minutes * MINUTE) {
        return None;
    }
    let whole_hours = minutes.is_multiple_of(60);
    let (minute, hour, weekday) = match minutes {
        1 => ("*".into(), "*".into(), "*"),
        2..60 if 60 % minutes == 0 => (format!("*/{minutes}"), "*".into(), "*"),
        60 => ("0".into(), "*".into(), "*"),
        61..1440 if 1440 % minutes == 0 && whole_hours => {
            ("0".into(), format!("*/{}", minutes / 60), "*")
        }
        1440 => ("0".into(), "0".into(), "*"),
        // The Unix epoch was a Thursday.
        10_080 => ("0".into(), "0".into(), "4"),
        _ => return None,
    };
    Some([minute, hour, "*".into(), "*".into(), weekday.into()])
}

/// Values as a list in which three or more in a row are a range.
pub fn list(values: &[u8], range: &str) -> String {
    let runs = values.chunk_by(|a, b| a + 1 == *b);
    let elements = runs.map(|run| match run {
        [first, _, .., last] => format!("{first}{range}{last}"),
        run => {
            let values: Vec<String> = run.iter().map(u8::to_string).collect();
            values.join(",")
        }
    });
    elements.collect::<Vec<_>>().join(",")
}

/// The times of `schedule` that a change of the clock skips or repeats.
pub fn clock_changes(schedule: &Schedule, now: SystemTime) -> ClockChanges {
    match schedule {
        Schedule::Cron(cron) => ClockChanges::met_by(cron, now),
        Schedule::Every(_) => ClockChanges::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubernetes(text: &str) -> Result<String, String> {
        let schedule = Schedule::cron(text, Zone::utc()).unwrap();
        let fields = for_kubernetes(&schedule).map(|(fields, _)| fields.join(" "));
        fields.map_err(|error| error.to_string())
    }

    #[test]
    fn days_of_kubernetes() {
        for (ours, theirs) in [
            ("30 2 * * mon-fri", "30 2 * * 1-5"),
            ("0 30 2 * Jan,jul-SEP *", "30 2 * 1,7-9 *"),
            ("@weekly", "0 0 * * 0"),
            // Sunday is 0 there, and ends no week.
            ("0 0 * * 7", "0 0 * * 0"),
            ("0 0 * * fri-sun", "0 0 * * 0,5,6"),
            ("0 0 * * 4-7", "0 0 * * 0,4-6"),
            // Either will do in both.
            ("0 0 1,15 * mon", "0 0 1,15 * 1"),
            ("0 0 3,*/10 * mon", "0 0 3,*/10 * 1"),
            // A star with a step is a restriction there.
            ("0 0 * * */2", "0 0 * * */2"),
            ("0 0 */1 * 5", "0 0 * * 5"),
            ("0 0 1-31 * 5", "0 0 * * *"),
            ("0 0 5 * 0-6", "0 0 * * *"),
            ("0 0 */2 * *", "0 0 */2 * *"),
            ("0 0 */2 * */1", "0 0 */2 * *"),
        ] {
            assert_eq!(kubernetes(ours), Ok(theirs.to_owned()), "{ours}");
        }
        for both in ["0 0 */2 * mon", "0 0 1 * */2", "0 0 */2 * */2"] {
            let problem = kubernetes(both).unwrap_err();
            assert!(problem.contains("either will do"), "{problem}");
        }
        for seconds in ["*/20 * * * * *", "5 0 0 * * *"] {
            let problem = kubernetes(seconds).unwrap_err();
            assert!(problem.contains("has seconds"), "{problem}");
        }
    }

    #[test]
    fn intervals_are_due_at_the_same_times() {
        for (text, fields) in [
            ("1m", Some("* * * * *")),
            ("15m", Some("*/15 * * * *")),
            ("1h", Some("0 * * * *")),
            ("8h", Some("0 */8 * * *")),
            ("1day", Some("0 0 * * *")),
            ("7days", Some("0 0 * * 4")),
            ("30s", None),
            ("90s", None),
            ("7m", None),
            ("90m", None),
            ("5h", None),
            ("2days", None),
        ] {
            let interval = humantime::parse_duration(text).unwrap();
            let found = interval_fields(interval).map(|fields| fields.join(" "));
            assert_eq!(found.as_deref(), fields, "{text}");
            let Some(found) = found else { continue };
            let cron = Schedule::cron(&found, Zone::utc()).unwrap();
            let every = Schedule::every(interval).unwrap();
            let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_123);
            for _ in 0..100 {
                let next = every.next_after(now);
                assert_eq!(cron.next_after(now), next, "{text}");
                now = next.unwrap();
            }
        }
    }

    #[test]
    fn an_interval_by_another_clock() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let fields = |interval, zone: &str| {
            let schedule = Schedule::Every(Duration::from_secs(interval));
            let zone: Zone = zone.parse().unwrap();
            for_cron(&schedule, &zone, false, now).is_ok()
        };
        assert!(fields(3600, "Europe/Berlin") && fields(1800, "Asia/Kolkata"));
        assert!(!fields(3600, "Asia/Kolkata") && !fields(2 * 3600, "Europe/Berlin"));
        // In summer it is off by 11 hours, in winter by 10.5.
        assert!(!fields(3600, "Australia/Lord_Howe") && fields(1800, "Australia/Lord_Howe"));
        assert!(fields(6 * 3600, "Africa/Abidjan"));
    }
}
