//! Pool of the open connections: bounds their number, and ends them when the server ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::entry::{ConnectionState, PoolOrder};
use metricsjob_system::panics::locked;

/// A connection that has been waiting for its client for this long may be closed to make room for a new one.
const EVICTED_AFTER: Duration = Duration::from_millis(100);

/// Limits on how long a client may keep the server waiting; see [`super::Settings`].
#[derive(Clone, Copy)]
pub struct PoolTimeouts {
    pub read: Duration,
    pub idle: Duration,
}

/// A bounded set of connections.
pub struct Pool {
    timeouts: PoolTimeouts,
    capacity: u32,
    free: Arc<Semaphore>,
    entries: Mutex<BTreeMap<u64, Arc<ConnectionState>>>,
}

/// A connection's place in the pool, held until it is dropped.
pub struct Seat {
    pool: Arc<Pool>,
    id: u64,
    entry: Arc<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    pub fn entry(&self) -> &Arc<ConnectionState> {
        &self.entry
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        locked(&self.pool.entries).remove(&self.id);
    }
}

impl Pool {
    pub fn new(capacity: usize, timeouts: PoolTimeouts) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Pool {
            timeouts,
            capacity: capacity as u32,
            free: Arc::new(Semaphore::new(capacity)),
            entries: Mutex::default(),
        }
    }

    /// Waits for a place. If there is none, the connection that has been waiting for its client for the
    /// longest is closed to make room.
    pub async fn enter(self: &Arc<Self>) -> Seat {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            self.evict();
            let freed = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = timeout(EVICTED_AFTER, freed).await {
                break permit;
            }
        };
        let entry = Arc::new(ConnectionState::new(self.timeouts));
        let mut entries = locked(&self.entries);
        let id = entries.last_key_value().map_or(0, |(last, _)| last + 1);
        entries.insert(id, Arc::clone(&entry));
        drop(entries);
        Seat {
            pool: Arc::clone(self),
            id,
            entry,
            _permit: permit,
        }
    }

    /// Closes the connection that has been waiting for its client for the longest, to make room for a new
    /// one.
    pub fn evict(&self) {
        let entries = locked(&self.entries);
        let waiting = entries.values().filter_map(|entry| {
            let since = entry.waiting_since()?;
            (since.elapsed() >= EVICTED_AFTER).then_some((since, entry))
        });
        if let Some((_, longest)) = waiting.min_by_key(|(since, _)| *since) {
            longest.order(PoolOrder::Evict);
        }
    }

    /// Ends each connection as soon as its current request is done, waits at most `grace` for that, and then
    /// ends the remaining ones; returns their number.
    pub async fn drain(&self, grace: Duration) -> usize {
        let tell = |order| {
            let entries = locked(&self.entries);
            entries.values().for_each(|entry| entry.order(order));
            entries.len()
        };
        tell(PoolOrder::Drain);
        if timeout(grace, self.emptied()).await.is_ok() {
            return 0;
        }
        let left = tell(PoolOrder::Kill);
        // They only have to be dropped, which takes no time unless one of them never yields.
        let _ = timeout(Duration::from_secs(1), self.emptied()).await;
        left
    }

    async fn emptied(&self) {
        // This fails only on a closed semaphore, and this one is never closed.
        let _ = self.free.acquire_many(self.capacity).await;
    }
}
