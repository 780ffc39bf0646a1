//! Cron expressions: which they are, and when they are due.
//!
//! Syntax and rules are those of crontab(5) and cron(8) of Debian, which is Vixie cron, with a field
//! for seconds. They are held against another implementation of them, cronsim, by tests/schedules.rs.
//!
//! The crate croner (4.0.3) is not used: of 400 random expressions it found 23 due at other times than
//! cronsim did, and did not take 135. Where one of the fields for days is `*/2`, a day has to match the
//! other one too; it is content with either. It makes up for skipped time, and passes over repeated
//! time, only where hour and minute are one number each, not for `0,30 2` or `0 2-4`. A list it takes
//! cannot have a `*`, but can have nothing between two commas. What it would spare us is less than what
//! it takes to check its input and to handle changes of the clock.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset};
use jiff::{SignedDuration, Timestamp};

use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, HOUR, MINUTE, MONTH, PlainField, SECOND};
use super::zone::Zone;

/// Names for cron expressions, which crontab(5) calls special strings.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A larger change of the clock is a correction, and nothing makes up for it: cron(8).
const MAX_CHANGE: SignedDuration = SignedDuration::from_hours(3);

/// The longest wait for a date: a 29 February on one day of the week, around 2100.
const MAX_YEARS: i16 = 40;

/// A cron expression and the time zone it is meant in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// As it was written, with one space between two fields.
    text: String,
    second: Field,
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
    zone: Zone,
}

impl Cron {
    /// Reads five fields, six with seconds first, or a name such as `@daily`.
    ///
    /// # Errors
    ///
    /// The problem, to follow the expression in a message; a date that never comes is one too.
    pub fn new(text: &str, zone: Zone) -> Result<Cron, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let [second, minute, hour, day_of_month, month, day_of_week] = split(&text)?;
        let read = |unit, text| {
            Field::parse(unit, text)
                .map_err(|problem| format!("is not a cron expression: {problem}"))
        };
        let cron = Cron {
            second: read(&SECOND, second)?,
            minute: read(&MINUTE, minute)?,
            hour: read(&HOUR, hour)?,
            day_of_month: read(&DAY_OF_MONTH, day_of_month)?,
            month: read(&MONTH, month)?,
            day_of_week: read(&DAY_OF_WEEK, day_of_week)?,
            text,
            zone,
        };
        match cron.next_date(Date::constant(2000, 1, 1)) {
            Some(_) => Ok(cron),
            None => Err("is never due: there is no such day in these months".into()),
        }
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The fields for programs that read them in their own way: second, minute, hour, day of the month, month and
    /// day of the week.
    pub fn fields(&self) -> [PlainField; 6] {
        // It was read, so it can be split.
        let [second, minute, hour, day, month, weekday] = split(&self.text).unwrap_or(["*"; 6]);
        [
            SECOND.plain(second, self.second),
            MINUTE.plain(minute, self.minute),
            HOUR.plain(hour, self.hour),
            DAY_OF_MONTH.plain(day, self.day_of_month),
            MONTH.plain(month, self.month),
            DAY_OF_WEEK.plain(weekday, self.day_of_week),
        ]
    }

    /// Returns true if a day has to match the day of the month and the day of the week, not only one of them.
    pub fn needs_both_days(&self) -> bool {
        self.day_of_month.begins_with_star || self.day_of_week.begins_with_star
    }

    /// Returns true if it has no `*` in hour or minute.
    pub fn is_at_particular_times(&self) -> bool {
        !self.minute.begins_with_star && !self.hour.begins_with_star
    }

    /// When it is next due after `after`; `None` for never.
    ///
    /// Where the clock is changed the rules are those of cron(8). What is meant for a particular
    /// time runs once: right after the change if that time is skipped, in the first pass if it is
    /// repeated. With a `*` in hour or minute it runs in each minute of the new time.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let second = after.as_nanosecond().div_euclid(1_000_000_000);
        let after = Timestamp::from_second(i64::try_from(second).ok()?).ok()?;
        if self.is_at_particular_times() {
            self.next_particular_time(after)
        } else {
            self.next_of_the_clock(after)
        }
    }

    /// The next second that a clock on the wall shows and that matches.
    fn next_of_the_clock(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.checked_add(SignedDuration::from_secs(1)).ok()?;
        // Between two changes the clock has one distance to UTC.
        loop {
            let offset = self.zone.rules().to_offset(from);
            let change = self.zone.rules().following(from).next();
            let wall = self.next_wall(offset.to_datetime(from))?;
            let due = offset.to_timestamp(wall).ok()?;
            match change.map(|change| change.timestamp()) {
                Some(change) if change <= due => from = change,
                _ => return Some(due),
            }
        }
    }

    /// The next of the times that match, whether a clock shows it or not.
    fn next_particular_time(&self, after: Timestamp) -> Option<Timestamp> {
        let mut passed = self.zone.rules().to_datetime(after);
        loop {
            let wall = self.next_wall(passed.checked_add(SignedDuration::from_secs(1)).ok()?)?;
            // In the second pass of a repeated hour, its times have had their run.
            match self.run_at(wall) {
                Some(due) if due > after => return Some(due),
                _ => passed = wall,
            }
        }
    }

    /// When the run that is meant for `wall` takes place.
    fn run_at(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.rules().to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { before, after } if change(before, after) > MAX_CHANGE => None,
            AmbiguousOffset::Gap { after, .. } => {
                // By the clock as it is after the change, that is before the change.
                let before = after.to_timestamp(wall).ok()?;
                let change = self.zone.rules().following(before).next()?;
                Some(change.timestamp())
            }
        }
    }

    /// The first date and time that match from `from` on, by the calendar alone.
    pub(super) fn next_wall(&self, from: DateTime) -> Option<DateTime> {
        let date = self.next_date(from.date())?;
        if date == from.date() {
            if let Some(time) = self.next_time(from.time()) {
                return Some(date.to_datetime(time));
            }
            let date = self.next_date(date.tomorrow().ok()?)?;
            return Some(date.to_datetime(self.next_time(Time::midnight())?));
        }
        Some(date.to_datetime(self.next_time(Time::midnight())?))
    }

    fn next_date(&self, from: Date) -> Option<Date> {
        let mut date = from;
        while date.year() - from.year() <= MAX_YEARS {
            if !self.month.has(date.month()) {
                date = date.last_of_month();
            } else if self.is_on(date) {
                return Some(date);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Returns true if it is due on this day of one of its months.
    fn is_on(&self, date: Date) -> bool {
        let by_month = self.day_of_month.has(date.day());
        let by_week = self.day_of_week.has(date.weekday().to_sunday_zero_offset());
        // crontab(5): if both are restricted, which is not to begin with *, either will do.
        if self.needs_both_days() {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }

    fn next_time(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        if self.hour.has(hour) {
            if self.minute.has(minute)
                && let Some(second) = self.second.next(second)
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = self.minute.next(minute + 1) {
                return Time::new(hour, minute, self.second.next(0)?, 0).ok();
            }
        }
        let hour = self.hour.next(hour + 1)?;
        Time::new(hour, self.minute.next(0)?, self.second.next(0)?, 0).ok()
    }
}

/// As it was written.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// By how much the clock is put forward.
fn change(before: Offset, after: Offset) -> SignedDuration {
    SignedDuration::from_secs(i64::from(after.seconds() - before.seconds()))
}

/// The six fields of an expression with one space between two of them, seconds first.
fn split(text: &str) -> Result<[&str; 6], String> {
    let text = if text.starts_with('@') {
        nicknamed(text)?
    } else {
        text
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    match *fields {
        [minute, hour, day, month, weekday] => Ok(["0", minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => {
            Ok([second, minute, hour, day, month, weekday])
        }
        _ => {
            let found = fields.len();
            Err(format!(
                "is not a cron expression: it has {found} of its five fields, minute hour day month weekday (or six, with seconds first)"
            ))
        }
    }
}

/// The expression that a nickname stands for.
fn nicknamed(name: &str) -> Result<&'static str, String> {
    if name.eq_ignore_ascii_case("@reboot") {
        return Err("is not a time: what is to run once the machine is up is for its service manager, or for cron".into());
    }
    let mut known = NICKNAMES.into_iter();
    match known.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, expression)) => Ok(expression),
        None => {
            let hint = crate::job::suggest::hint(name, NICKNAMES.map(|(known, _)| known));
            Err(format!("is not a cron expression{hint}"))
        }
    }
}
