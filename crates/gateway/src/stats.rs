//! What a gateway counts about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use metricsjob_state::store::Store;

/// A push with fewer bytes leaves no memory that is worth giving back.
const LARGE: usize = 64 * 1024;

/// What the keeper counts. Each number by itself is right; two of them may be of different moments.
#[derive(Debug, Default)]
pub struct Stats {
    pub groups: AtomicUsize,
    pub series: AtomicUsize,
    pub store_bytes: AtomicUsize,
    pub database_bytes: AtomicU64,
    pub expired_groups: AtomicU64,
    /// How many series there may be; see [`Options::max_series`](super::Options::max_series).
    pub max_series: AtomicUsize,
    /// How many bytes of large pushes were read or dropped since memory was last given back to the system.
    pub churned: AtomicUsize,
    pub commits: AtomicU64,
    pub commit_failures: AtomicU64,
    pub commit_nanoseconds: AtomicU64,
    /// True if the last commit has failed.
    pub is_failing: AtomicBool,
}

impl Stats {
    pub(super) fn store(&self, store: &Store) {
        self.groups.store(store.len(), Relaxed);
        self.series.store(store.series(), Relaxed);
        self.store_bytes.store(store.bytes(), Relaxed);
    }

    /// Takes note that a push of so many bytes was read, or what it had brought was dropped.
    pub(super) fn churned(&self, bytes: usize) {
        if bytes > LARGE {
            self.churned.fetch_add(bytes, Relaxed);
        }
    }

    pub(super) fn database_bytes(&self, bytes: u64) {
        self.database_bytes.store(bytes, Relaxed);
    }

    pub(super) fn expired(&self, groups: usize) {
        self.expired_groups.fetch_add(groups as u64, Relaxed);
    }

    pub(super) fn committed(&self, took: Duration, is_ok: bool) {
        let counter = if is_ok {
            &self.commits
        } else {
            &self.commit_failures
        };
        counter.fetch_add(1, Relaxed);
        self.commit_nanoseconds
            .fetch_add(took.as_nanos() as u64, Relaxed);
        self.is_failing.store(!is_ok, Relaxed);
    }
}
