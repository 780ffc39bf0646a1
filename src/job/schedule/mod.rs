//! Schedules: when a job runs by itself.
//!
//! - [`Schedule`]: an interval, or a cron expression with its time zone.
//! - [`Cron`]: cron expressions, their days, and what they do where the clock is changed.
//! - [`Zone`]: time zones, from this machine's time zone files.
//! - [`ClockChanges`]: the changes of the clock that an expression meets.
//! - `field`: one field of a cron expression.
//!
//! Nothing here reads a clock: [`Schedule::next_after`] takes the time as an argument.

mod clock_changes;
mod cron;
mod field;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

pub use self::clock_changes::ClockChanges;
pub use self::cron::Cron;
pub use self::field::PlainField;
pub use self::zone::Zone;
use super::suggest;

/// The shortest interval, so that a server has time for anything else.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// When a job runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub schedule: Schedule,
    /// A random part of this goes by between the time that is due and the run.
    pub jitter: Duration,
    pub missed: Missed,
}

/// The times a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    Cron(Cron),
    /// At the multiples of this since the Unix epoch, so that a restart does not shift them. Longer
    /// than 0.
    Every(Duration),
}

impl Schedule {
    /// A cron expression in `zone`: see [`Cron::new`].
    pub fn cron(text: &str, zone: Zone) -> Result<Schedule, String> {
        Cron::new(text, zone).map(Schedule::Cron)
    }

    /// # Errors
    ///
    /// An interval below 100 ms; the text follows the interval in a message.
    pub fn every(interval: Duration) -> Result<Schedule, String> {
        if interval < MIN_INTERVAL {
            let min = humantime::format_duration(MIN_INTERVAL);
            return Err(format!("must not be shorter than {min}"));
        }
        Ok(Schedule::Every(interval))
    }

    /// The first time that is due after `after`, never `after` itself; `None` if there is none.
    pub fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        match self {
            Schedule::Cron(cron) => {
                let after = Timestamp::try_from(after).ok()?;
                cron.next_after(after).map(SystemTime::from)
            }
            Schedule::Every(interval) => {
                let Ok(since_epoch) = after.duration_since(UNIX_EPOCH) else {
                    return Some(UNIX_EPOCH);
                };
                let passed = since_epoch.as_nanos().checked_div(interval.as_nanos())?;
                let due = interval.as_nanos().checked_mul(passed + 1)?;
                let secs = u64::try_from(due / 1_000_000_000).ok()?;
                // What is left is below a second.
                let due = Duration::new(secs, (due % 1_000_000_000) as u32);
                UNIX_EPOCH.checked_add(due)
            }
        }
    }

    /// Returns true if the times are particular ones of a day, so that none of them must come twice when the clock is
    /// set back.
    pub fn is_at_particular_times(&self) -> bool {
        matches!(self, Schedule::Cron(cron) if cron.is_at_particular_times())
    }

    /// The time zone whose clock it goes by; an interval is the same in all of them.
    pub fn zone(&self) -> Option<&Zone> {
        match self {
            Schedule::Cron(cron) => Some(cron.zone()),
            Schedule::Every(_) => None,
        }
    }
}

/// `*/5 * * * *`, or `every 30s`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Cron(cron) => cron.fmt(f),
            Schedule::Every(interval) => {
                write!(f, "every {}", humantime::format_duration(*interval))
            }
        }
    }
}

/// Fate of a run that is due or requested while another one of the job is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It does not take place.
    #[default]
    Skip,
    /// It begins when the other has ended.
    Queue,
    /// Both run.
    Allow,
}

impl Overlap {
    const ALL: [Overlap; 3] = [Overlap::Skip, Overlap::Queue, Overlap::Allow];

    pub fn name(self) -> &'static str {
        match self {
            Overlap::Skip => "skip",
            Overlap::Queue => "queue",
            Overlap::Allow => "allow",
        }
    }
}

impl FromStr for Overlap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        named(text, Overlap::ALL, Overlap::name)
    }
}

/// Fate of runs that were due while no scheduler was there to start them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// They do not take place.
    #[default]
    Skip,
    /// One run takes place for all of them.
    RunOnce,
}

impl Missed {
    const ALL: [Missed; 2] = [Missed::Skip, Missed::RunOnce];

    pub fn name(self) -> &'static str {
        match self {
            Missed::Skip => "skip",
            Missed::RunOnce => "run-once",
        }
    }
}

impl FromStr for Missed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        named(text, Missed::ALL, Missed::name)
    }
}

/// The one of `all` with this name; the error follows the name in a message.
fn named<T: Copy, const N: usize>(
    text: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let found = all.into_iter().find(|value| name(*value) == text);
    found.ok_or_else(|| format!("is unknown{}", suggest::hint(text, all.map(name))))
}
