//! The changes of the clock in the years to come, which other programs have rules of their own for.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::cron::Cron;
use super::zone::Zone;

/// How far ahead changes are looked at: 28 years, within which each date falls on each day of the week.
const AHEAD: SignedDuration = SignedDuration::from_hours(28 * 366 * 24);

/// The kinds of times of an expression that a change of the clock strikes within the next 28 years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockChanges {
    /// The clock passes over one of them.
    pub skips: bool,
    /// The clock shows one of them twice.
    pub repeats: bool,
}

impl ClockChanges {
    /// Changes of the clock that `cron` meets after `now`.
    pub fn met_by(cron: &Cron, now: SystemTime) -> ClockChanges {
        let mut met = ClockChanges::default();
        for change in changes(cron.zone(), now) {
            let before = change.before.to_datetime(change.at);
            let after = change.after.to_datetime(change.at);
            let is_due = |from: DateTime, to: DateTime| {
                let first = cron.next_wall(from);
                first.is_some_and(|first| first < to)
            };
            // Of the changes of a zone's rules some leave the clock as it is.
            met.skips |= before < after && is_due(before, after);
            met.repeats |= after < before && is_due(after, before);
        }
        met
    }
}

/// A time at which a zone changes its distance to UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetChange {
    at: Timestamp,
    before: Offset,
    after: Offset,
}

/// The changes within the next 28 years.
fn changes(zone: &Zone, now: SystemTime) -> Vec<OffsetChange> {
    let Ok(now) = Timestamp::try_from(now) else {
        return Vec::new();
    };
    let rules: &TimeZone = zone.rules();
    let mut before = rules.to_offset(now);
    let mut changes = Vec::new();
    for change in rules.following(now) {
        let (at, after) = (change.timestamp(), change.offset());
        if at.duration_since(now) > AHEAD {
            break;
        }
        if after != before {
            changes.push(OffsetChange { at, before, after });
        }
        before = after;
    }
    changes
}

impl Zone {
    /// Returns true if the clocks of both show the same from `now` on, for 28 years at least.
    pub fn has_clock_of(&self, other: &Zone, now: SystemTime) -> bool {
        let offset = |zone: &Zone| {
            let now = Timestamp::try_from(now).ok()?;
            Some(zone.rules().to_offset(now))
        };
        offset(self) == offset(other) && changes(self, now) == changes(other, now)
    }

    /// Returns true if the distance to UTC is a multiple of `seconds`, from `now` on for 28 years at least.
    pub fn is_off_by_multiples_of(&self, seconds: u32, now: SystemTime) -> bool {
        let is_multiple =
            |offset: Offset| i64::from(offset.seconds()) % i64::from(seconds.max(1)) == 0;
        let first = Timestamp::try_from(now).map(|now| self.rules().to_offset(now));
        first.is_ok_and(is_multiple)
            && changes(self, now)
                .iter()
                .all(|change| is_multiple(change.after))
    }
}
