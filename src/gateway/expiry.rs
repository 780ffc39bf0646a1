//! Which groups have grown too old.

use std::time::{Duration, Instant, SystemTime};

use crate::metrics::{GroupingKey, unix_seconds};
use crate::store::Store;
use crate::web::log::Log;

/// A clock that moves against the monotonic one by more than this was set.
const MAX_DRIFT: Duration = Duration::from_secs(60);

/// Finds groups whose last push, successful or not, is too long ago.
pub struct Expiry {
    ttl: Duration,
    looked_at: Instant,
    clock: SystemTime,
}

impl Expiry {
    pub fn new(ttl: Duration) -> Self {
        Expiry {
            ttl,
            looked_at: Instant::now(),
            clock: SystemTime::now(),
        }
    }

    /// How often to look: a group lives longer than it should by this at most.
    fn interval(&self) -> Duration {
        (self.ttl / 20).clamp(Duration::from_millis(100), Duration::from_secs(60))
    }

    /// When to look next.
    pub fn due_in(&self) -> Duration {
        self.interval().saturating_sub(self.looked_at.elapsed())
    }

    /// The groups that are too old, if it is time to look. Not if the clock was set meanwhile: what is
    /// old by it then may be new, and the next look tells.
    pub fn expired(&mut self, store: &Store, now: SystemTime, log: &Log) -> Vec<GroupingKey> {
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
            log.warn(
                "the clock was set: no groups expire for now",
                &[("by", &drift)],
            );
            return Vec::new();
        }
        let oldest = unix_seconds(now) - self.ttl.as_secs_f64();
        let groups = store.groups();
        groups
            .filter(|(_, group)| group.push_time.max(group.push_failure_time) < oldest)
            .map(|(_, group)| group.key.clone())
            .collect()
    }
}
