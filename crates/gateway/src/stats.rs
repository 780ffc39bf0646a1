//! Statistics of a gateway.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use metricsjob_state::store::Store;

/// A smaller push does not leave enough memory to be worth giving back.
const LARGE: usize = 64 * 1024;

/// Statistics of the keeper. Each number is exact by itself, but two of them may be of different moments.
#[derive(Debug, Default)]
pub struct Stats {
    pub groups: AtomicUsize,
    pub series: AtomicUsize,
    pub store_bytes: AtomicUsize,
    pub database_bytes: AtomicU64,
    pub expired_groups: AtomicU64,
    /// Maximum number of series; see [`Options::max_series`](super::Options::max_series).
    pub max_series: AtomicUsize,
    /// Number of bytes of large pushes that were read or dropped since memory was last given back to the
    /// system.
    pub churned: AtomicUsize,
    pub commits: AtomicU64,
    pub commit_failures: AtomicU64,
    pub commit_nanoseconds: AtomicU64,
    /// True if the last commit failed.
    pub is_failing: AtomicBool,
}

impl Stats {
    pub(super) fn store(&self, store: &Store) {
        self.groups.store(store.len(), Relaxed);
        self.series.store(store.series(), Relaxed);
        self.store_bytes.store(store.bytes(), Relaxed);
    }

    /// Records that a push of `bytes` bytes was read, or that the data of one was dropped.
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
