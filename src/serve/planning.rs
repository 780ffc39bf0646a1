//! The next run of a job, and the handling of due times that went by.

use std::time::{Duration, SystemTime};

use super::job_state::Next;
use super::request::Trigger;
use crate::job::schedule::{Missed, Plan};

/// A run that is noticed this long after it was due was missed: the server was stopped, or not there.
const TOLERANCE: Duration = Duration::from_secs(5);

/// How many due times that went by are counted.
const MAX_COUNTED: u64 = 10_000;

/// A clock that was set back by less than this does not make a job run again that runs at a particular time:
/// as Debian's cron(8) has it.
const SMALL_CORRECTION: Duration = Duration::from_secs(3 * 60 * 60);

/// Consequences of a due time that has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// The run that is to begin, and when it should have begun.
    pub run: Option<(Trigger, SystemTime)>,
    /// How many runs do not take place.
    pub missed: u64,
    /// The last due time that has come.
    pub last_due: SystemTime,
    pub next: Option<Next>,
}

/// The first due time after `after`. `draw` is from [0, 1). The jitter ends before the next due time, so that
/// none is lost.
pub fn next(plan: &Plan, after: SystemTime, draw: impl FnOnce() -> f64) -> Option<Next> {
    let due = plan.schedule.next_after(after)?;
    if plan.jitter.is_zero() {
        return Some(Next { due, at: due });
    }
    let following = plan.schedule.next_after(due);
    let gap = following.and_then(|following| following.duration_since(due).ok());
    let jitter = gap.map_or(plan.jitter, |gap| plan.jitter.min(gap));
    let at = due.checked_add(jitter.mul_f64(draw()))?;
    Some(Next { due, at })
}

/// The time of `first` has come: it is `now`, or long after it.
pub fn passed(plan: &Plan, first: Next, now: SystemTime, mut draw: impl FnMut() -> f64) -> Passed {
    let mut last = first;
    let mut missed = 0;
    let following = loop {
        match next(plan, last.due, &mut draw) {
            Some(due) if due.at <= now && missed < MAX_COUNTED => {
                missed += 1;
                last = due;
            }
            Some(due) if due.at <= now => {
                last.due = now;
                break next(plan, now, &mut draw);
            }
            following => break following,
        }
    };
    let late = now.duration_since(last.at).unwrap_or_default();
    let trigger = match plan.missed {
        _ if late <= TOLERANCE => Some(Trigger::Schedule),
        Missed::RunOnce => Some(Trigger::Missed),
        Missed::Skip => None,
    };
    if trigger.is_none() {
        missed += 1;
    }
    Passed {
        run: trigger.map(|trigger| (trigger, last.at)),
        missed,
        last_due: last.due,
        next: following,
    }
}

/// The next due time once the clock was set back by `correction` to `now`; `last_due` is the last one that
/// has come.
pub fn after_correction(
    plan: &Plan,
    last_due: Option<SystemTime>,
    now: SystemTime,
    correction: Duration,
    draw: impl FnOnce() -> f64,
) -> Option<Next> {
    let has_run = last_due.filter(|due| *due > now);
    match has_run {
        Some(due) if correction < SMALL_CORRECTION && plan.schedule.is_at_particular_times() => {
            next(plan, due, draw)
        }
        _ => next(plan, now, draw),
    }
}

/// Returns true if a due time went by between a run that began at `last_run` and `now`, while no server was there to
/// notice it.
pub fn went_by(plan: &Plan, last_run: SystemTime, now: SystemTime) -> bool {
    let due = plan.schedule.next_after(last_run);
    due.is_some_and(|due| due + TOLERANCE < now)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::job::schedule::{Schedule, Zone};

    fn at(seconds: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    fn plan(missed: Missed) -> Plan {
        Plan {
            schedule: Schedule::every(Duration::from_secs(10)).unwrap(),
            jitter: Duration::ZERO,
            missed,
        }
    }

    fn is_at(seconds: f64) -> Next {
        Next {
            due: at(seconds),
            at: at(seconds),
        }
    }

    #[test]
    fn in_time() {
        for missed in [Missed::Skip, Missed::RunOnce] {
            let passed = passed(&plan(missed), is_at(10.0), at(10.01), || 0.0);
            let expected = Passed {
                run: Some((Trigger::Schedule, at(10.0))),
                missed: 0,
                last_due: at(10.0),
                next: Some(is_at(20.0)),
            };
            assert_eq!(passed, expected);
        }
    }

    #[test]
    fn after_a_pause() {
        // The last of them is still in time.
        let late = passed(&plan(Missed::Skip), is_at(10.0), at(52.0), || 0.0);
        assert_eq!(late.run, Some((Trigger::Schedule, at(50.0))));
        assert_eq!((late.missed, late.next), (4, Some(is_at(60.0))));
        let late = passed(&plan(Missed::Skip), is_at(10.0), at(56.0), || 0.0);
        assert_eq!(late.run, None);
        assert_eq!((late.missed, late.next), (5, Some(is_at(60.0))));
        let late = passed(&plan(Missed::RunOnce), is_at(10.0), at(56.0), || 0.0);
        assert_eq!(late.run, Some((Trigger::Missed, at(50.0))));
        assert_eq!((late.missed, late.next), (4, Some(is_at(60.0))));
    }

    #[test]
    fn after_years() {
        let late = passed(&plan(Missed::Skip), is_at(10.0), at(1e9 + 6.0), || 0.0);
        assert_eq!((late.run, late.next), (None, Some(is_at(1e9 + 10.0))));
    }

    #[test]
    fn jitter_delays() {
        let plan = Plan {
            jitter: Duration::from_secs(4),
            ..plan(Missed::Skip)
        };
        let due = next(&plan, at(12.0), || 0.5).unwrap();
        assert_eq!((due.due, due.at), (at(20.0), at(22.0)));
        // The one after it is not due before its own jitter is over.
        let passed = passed(&plan, due, at(31.0), || 0.5);
        assert_eq!(passed.run, None);
        assert_eq!(passed.next.unwrap().at, at(32.0));
    }

    #[test]
    fn jitter_delays_no_run_into_the_next() {
        let plan = Plan {
            jitter: Duration::from_secs(100),
            ..plan(Missed::Skip)
        };
        let due = next(&plan, at(12.0), || 0.9).unwrap();
        assert_eq!((due.due, due.at), (at(20.0), at(29.0)));
    }

    #[test]
    fn a_clock_that_was_set_back() {
        let cron = |text: &str| Plan {
            schedule: Schedule::cron(text, Zone::utc()).unwrap(),
            ..plan(Missed::Skip)
        };
        let hour = 3600.0;
        let last = Some(at(2.5 * hour));
        let due = |plan: &Plan, correction: f64| {
            let correction = Duration::from_secs_f64(correction * hour);
            after_correction(plan, last, at(2.0 * hour), correction, || 0.0).map(|next| next.due)
        };
        let daily = cron("30 2 * * *");
        assert_eq!(due(&daily, 1.0), Some(at(26.5 * hour)));
        assert_eq!(due(&daily, 4.0), Some(at(2.5 * hour)));
        assert_eq!(due(&cron("30 * * * *"), 1.0), Some(at(2.5 * hour)));
        assert_eq!(due(&plan(Missed::Skip), 1.0), Some(at(2.0 * hour + 10.0)));
    }

    #[test]
    fn while_nobody_was_there() {
        let plan = plan(Missed::RunOnce);
        assert!(!went_by(&plan, at(10.1), at(19.0)));
        assert!(!went_by(&plan, at(10.1), at(24.0)));
        assert!(went_by(&plan, at(10.1), at(26.0)));
    }
}
