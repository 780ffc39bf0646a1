//! Memory that large pushes and deletions have left, given back to the system.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::stats::Stats;
use metricsjob_state::store::Store;
use metricsjob_web::give_back_memory;

/// How much less is worth it, in bytes of groups and of large pushes.
const MUCH: usize = 1024 * 1024;

/// What else a series and a group take, about.
const SERIES: usize = 64;
const GROUP: usize = 512;

/// How long after it was noticed: more often than that it is not done.
const DELAY: Duration = Duration::from_secs(2);

/// Looks for memory that was freed and is still ours: the allocator keeps what lies between blocks in use, and
/// maps do not shrink by themselves.
#[derive(Default)]
pub struct Slack {
    /// The most that the groups took since memory was last given back.
    peak: usize,
    /// When there was enough of it first.
    since: Option<Instant>,
}

impl Slack {
    /// Gives it back, if there is enough. It has to be called again and again, while nothing is left to be undone.
    pub fn give_back(&mut self, store: &mut Store, stats: &Stats) {
        let size = store.bytes() + SERIES * store.series() + GROUP * store.len();
        self.peak = self.peak.max(size);
        if self.peak - size < MUCH && stats.churned.load(Relaxed) < MUCH {
            return;
        }
        if self.since.get_or_insert_with(Instant::now).elapsed() < DELAY {
            return;
        }
        store.shrink();
        stats.churned.store(0, Relaxed);
        give_back_memory();
        (self.peak, self.since) = (size, None);
    }
}
