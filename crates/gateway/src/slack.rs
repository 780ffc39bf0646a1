//! Return of memory to the system after large pushes and deletions.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::own_metrics::OwnMetrics;
use metricsjob_state::store::Store;
use metricsjob_system::memory;

/// Minimum reduction that makes it worthwhile, in bytes of groups or of large pushes.
const MUCH: usize = 1024 * 1024;

/// Approximate additional size of a series and of a group.
const SERIES: usize = 64;
const GROUP: usize = 512;

/// Delay between noticing free memory and giving it back, and thus the minimum interval.
const DELAY: Duration = Duration::from_secs(2);

/// Detects freed memory that the process still holds: the allocator keeps memory between blocks in use, and
/// maps do not shrink by themselves.
#[derive(Default)]
pub struct Slack {
    /// Maximum size of the groups since memory was last given back.
    peak: usize,
    /// Time when there was first enough to give back.
    since: Option<Instant>,
}

impl Slack {
    /// Gives back memory, if there is enough. It has to be called regularly, at times when no change may
    /// still be undone.
    pub fn give_back(&mut self, store: &mut Store, own: &OwnMetrics) {
        let size = store.bytes() + SERIES * store.series() + GROUP * store.len();
        self.peak = self.peak.max(size);
        if self.peak - size < MUCH && own.churned.load(Relaxed) < MUCH {
            return;
        }
        if self.since.get_or_insert_with(Instant::now).elapsed() < DELAY {
            return;
        }
        store.shrink();
        own.churned.store(0, Relaxed);
        memory::give_back();
        (self.peak, self.since) = (size, None);
    }
}
