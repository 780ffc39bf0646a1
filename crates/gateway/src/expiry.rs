//! Expiry of groups.

use std::time::{Duration, Instant, SystemTime};

use tracing::warn;

use metricsjob_metrics::{GroupingKey, unix_seconds};
use metricsjob_state::store::Store;

/// Drift from the monotonic clock above which the system clock must have been set.
const MAX_DRIFT: Duration = Duration::from_secs(60);

/// Finds groups whose last push, successful or not, was too long ago.
pub struct Expiry {
    ttl: Duration,
    looked_at: Instant,
    clock: SystemTime,
    /// Time when the clock was set.
    set_at: Option<Instant>,
}

impl Expiry {
    pub fn new(ttl: Duration) -> Self {
        Expiry {
            ttl,
            looked_at: Instant::now(),
            clock: SystemTime::now(),
            set_at: None,
        }
    }

    /// Returns the interval between two checks, which is the most that a group may outlive its TTL.
    fn interval(&self) -> Duration {
        (self.ttl / 20).clamp(Duration::from_millis(100), Duration::from_secs(60))
    }

    /// Returns the time until the next check.
    pub fn due_in(&self) -> Duration {
        self.interval().saturating_sub(self.looked_at.elapsed())
    }

    /// Returns the groups that are too old, if a check is due. There are none if the clock was set less than
    /// a TTL ago: a group that looks old may be new, and if it is in use, it will be pushed again within that
    /// time.
    pub fn expired(&mut self, store: &Store, now: SystemTime) -> Vec<GroupingKey> {
        let elapsed = self.looked_at.elapsed();
        if elapsed < self.interval() {
            return Vec::new();
        }
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
                "the clock was set, or the machine slept: no groups expire for as long as --group.ttl"
            );
            self.set_at = Some(Instant::now());
        }
        if self.set_at.is_some_and(|at| at.elapsed() < self.ttl) {
            return Vec::new();
        }
        self.set_at = None;
        let oldest = unix_seconds(now) - self.ttl.as_secs_f64();
        let groups = store.groups();
        groups
            .filter(|(_, group)| group.push_time.max(group.push_failure_time) < oldest)
            .map(|(_, group)| group.key.clone())
            .collect()
    }
}
