//! Expiry of groups.

use std::time::{Duration, Instant, SystemTime};

use tracing::warn;

use metricsjob_metrics::{GroupingKey, unix_seconds};
use metricsjob_state::store::Store;

/// Drift from the monotonic clock above which the system clock must have been set.
const MAX_DRIFT: Duration = Duration::from_secs(60);

/// Least time between two checks, each of which looks at all groups.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Finds groups whose last push, successful or not, was too long ago.
pub struct Expiry {
    /// Time to live of groups that have none of their own.
    default_ttl: Option<Duration>,
    looked_at: Instant,
    clock: SystemTime,
    /// Time when the clock was set.
    set_at: Option<Instant>,
    /// Earliest time at which a group can expire, in seconds since the epoch.
    due_at: f64,
}

impl Expiry {
    /// Creates it with the time to live of groups that have none of their own.
    pub fn new(default_ttl: Option<Duration>) -> Self {
        Expiry {
            default_ttl,
            looked_at: Instant::now(),
            clock: SystemTime::now(),
            set_at: None,
            due_at: 0.0,
        }
    }

    /// Returns the time until the next check.
    pub fn due_in(&self, now: SystemTime) -> Duration {
        let wait = Duration::try_from_secs_f64(self.due_at - unix_seconds(now));
        // Negative if it is past, and infinite if nothing can expire.
        let wait = wait.unwrap_or(if self.due_at.is_finite() {
            Duration::ZERO
        } else {
            Duration::MAX
        });
        wait.max(MIN_INTERVAL.saturating_sub(self.looked_at.elapsed()))
    }

    /// Notes a push at `now` (seconds since the epoch) that sets the time to live `ttl`, if it sets one.
    pub fn pushed(&mut self, ttl: Option<Duration>, now: f64) {
        // Without it, the group expires later than before, if there was one.
        if let Some(ttl) = ttl.filter(|ttl| !ttl.is_zero()).or(self.default_ttl) {
            self.due_at = self.due_at.min(now + ttl.as_secs_f64());
        }
    }

    /// Makes the next check look at all groups.
    pub fn check_again(&mut self) {
        self.due_at = 0.0;
    }

    /// Returns the groups that are too old, if a check is due. A group stays if the clock was set less than its time to
    /// live ago: it may only look old, and if it is in use, it will be pushed again within that time.
    pub fn expired(&mut self, store: &Store, now: SystemTime) -> Vec<GroupingKey> {
        let elapsed = self.looked_at.elapsed();
        if elapsed < MIN_INTERVAL {
            return Vec::new();
        }
        self.look_at_clock(now, elapsed);
        let now = unix_seconds(now);
        if now < self.due_at {
            return Vec::new();
        }
        let since_set = self.set_at.map(|at| at.elapsed());
        self.due_at = f64::INFINITY;
        let mut expired = Vec::new();
        for (_, group) in store.groups() {
            let (Some(mut at), Some(ttl)) = (
                group.expires_at(self.default_ttl),
                group.ttl.or(self.default_ttl),
            ) else {
                continue;
            };
            if let Some(left) = since_set.and_then(|since| ttl.checked_sub(since)) {
                at = at.max(now + left.as_secs_f64());
            }
            if at < now {
                expired.push(group.key.clone());
            } else {
                self.due_at = self.due_at.min(at);
            }
        }
        expired
    }

    /// Notes it if the clock was set in the time that has `elapsed` since the last look.
    fn look_at_clock(&mut self, now: SystemTime, elapsed: Duration) {
        let expected = self.clock + elapsed;
        let drift = now
            .duration_since(expected)
            .unwrap_or_else(|ahead| ahead.duration());
        self.looked_at = Instant::now();
        self.clock = now;
        if drift > MAX_DRIFT {
            let drift = humantime::format_duration(Duration::from_secs(drift.as_secs()));
            warn!(
                by = %drift,
                "the clock was set, or the machine slept: no group expires within its time to live from now on"
            );
            self.set_at = Some(Instant::now());
            self.check_again();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;
    use metricsjob_metrics::{Method, Names};
    use metricsjob_state::store::RenderedPush;

    fn seconds(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count))
    }

    /// A store with a group that was pushed to at `now`.
    fn store(ttl: Option<Duration>, now: SystemTime) -> Store {
        let mut store = Store::new();
        let key = GroupingKey::new("j", []).unwrap();
        let report = RenderedPush::new(&key, Vec::new(), Names::Legacy, &store.hasher());
        let report = report.map(|report| report.with_ttl(ttl));
        let pushed = store.push(&key, Method::Put, report, unix_seconds(now));
        assert!(pushed.result.is_ok());
        store
    }

    #[test]
    fn a_clock_that_jumps_ahead_expires_nothing() {
        let now = SystemTime::now();
        let store = store(seconds(1), now);
        let mut expiry = Expiry::new(seconds(7200));
        let ahead = now + Duration::from_secs(3600);
        sleep(MIN_INTERVAL);
        assert!(expiry.expired(&store, ahead).is_empty());
        // It would have been pushed again by now.
        sleep(Duration::from_secs(1));
        assert_eq!(
            expiry.expired(&store, ahead + Duration::from_secs(1)).len(),
            1
        );
    }

    #[test]
    fn the_next_check_is_when_a_group_can_expire() {
        let now = SystemTime::now();
        let mut expiry = Expiry::new(None);
        sleep(MIN_INTERVAL);
        assert_eq!(expiry.due_in(now), Duration::ZERO);
        assert!(expiry.expired(&store(None, now), now).is_empty());
        assert_eq!(expiry.due_in(now), Duration::MAX);
        for ttl in [None, seconds(0)] {
            expiry.pushed(ttl, unix_seconds(now));
            assert_eq!(expiry.due_in(now), Duration::MAX);
        }
        for (ttl, due) in [(60, 60), (90, 60), (30, 30)] {
            expiry.pushed(seconds(ttl), unix_seconds(now));
            let off = expiry.due_in(now).as_secs_f64() - f64::from(due);
            assert!(off.abs() < 0.001, "{off}");
        }
        // An own time to live that is longer than the default one.
        let mut expiry = Expiry::new(seconds(10));
        sleep(MIN_INTERVAL);
        expiry.pushed(None, unix_seconds(now));
        assert!(expiry.expired(&store(seconds(50), now), now).is_empty());
        assert!(expiry.due_in(now) > Duration::from_secs(45));
    }
}
