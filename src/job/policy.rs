//! How a job is run and reported, besides what it runs.

use std::time::Duration;

use super::duration;
use super::expectations::Expectations;
use super::notify_target::NotifyTarget;
use metricsjob_client::Backoff;

/// How a job is run and reported, besides what it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How long an attempt may take; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How long after the timeout's SIGTERM the SIGKILL follows.
    pub kill_after: Duration,
    /// How many bytes of the job's metrics file are read, over all attempts.
    pub metrics_limit: usize,
    /// Number of retries when an attempt does not succeed.
    pub retries: u32,
    pub backoff: Backoff,
    pub lock: LockPolicy,
    /// A random part of this goes by before the run begins.
    pub splay: Duration,
    /// True if the beginning of a run is reported too.
    pub push_start: bool,
    /// How often a run is reported while it is running.
    pub push_interval: Option<Duration>,
    /// True if a report that was not delivered counts as a failure of `run`.
    pub require_push: bool,
    /// How long after the last push a gateway of ours removes the group; zero for never, `None` to leave what is set.
    pub ttl: Option<Duration>,
    /// How many runs of the job the history keeps.
    pub keep: u32,
    pub expected: Expectations,
    pub notify: Notify,
}

/// Who is notified of events of the job, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    pub to: Vec<NotifyTarget>,
    /// Number of runs with a problem in a row after which one is notified of again, each time; 0 for only the first.
    pub every: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            timeout: None,
            kill_after: Duration::from_secs(10),
            metrics_limit: 64 << 20,
            retries: 0,
            backoff: BACKOFF,
            lock: LockPolicy::Off,
            splay: Duration::ZERO,
            push_start: false,
            push_interval: None,
            require_push: false,
            ttl: None,
            keep: 1000,
            expected: Expectations::default(),
            notify: Notify::default(),
        }
    }
}

/// Behaviour while another run of the same job and grouping key is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockPolicy {
    /// Both run.
    Off,
    /// The run waits for the other's end, this long at most, and is skipped then. With
    /// [`Duration::ZERO`] it is skipped at once.
    Wait(Duration),
}

impl LockPolicy {
    /// This policy with the settings `lock` and `lock_wait` of a higher level over it; the second implies the first.
    pub fn with(self, lock: Option<bool>, wait: Option<Duration>) -> Self {
        match (lock, wait) {
            (Some(false), _) => LockPolicy::Off,
            (_, Some(wait)) => LockPolicy::Wait(wait),
            (Some(true), None) if self == LockPolicy::Off => LockPolicy::Wait(Duration::ZERO),
            (_, None) => self,
        }
    }
}

/// The waits between the attempts of a run, unless it says otherwise.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Reads `1s..1m`, or one duration for a wait that does not grow.
///
/// # Errors
///
/// The reason, for a person to read.
pub fn parse_backoff(text: &str) -> Result<Backoff, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let (min, max) = (duration::parse(min)?, duration::parse(max)?);
    if min > max {
        return Err("begins with its longer wait (the form is 1s..1m)".into());
    }
    Ok(Backoff::new(min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_maximum() {
        let backoff = parse_backoff("1s..1m").unwrap();
        let full = |attempt| backoff.delay(attempt, 1.0).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 8].map(full), [1, 2, 4, 32, 60, 60]);
        assert_eq!(full(u32::MAX), 60);
        assert_eq!(backoff.delay(2, 0.0), Duration::from_secs(1));
        let constant = parse_backoff("5s").unwrap();
        assert_eq!(constant.delay(9, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn bad_backoffs() {
        for bad in ["", "..", "1m..1s", "1s..", "1 hor", "1s...2s"] {
            assert!(parse_backoff(bad).is_err(), "{bad:?}");
        }
    }
}
