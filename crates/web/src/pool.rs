//! Pool of the open connections: knows what each is waiting for, and closes those that have to go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::entry::{ConnectionState, Moment, Phase};

/// An idle connection gives back its memory after this long.
const PARKED_AFTER: Duration = Duration::from_secs(1);

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
    start: Instant,
    timeouts: PoolTimeouts,
    capacity: u32,
    free: Arc<Semaphore>,
    entries: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
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

/// Locks `mutex`. Data that a panicking thread has held is still consistent, because each change is a single
/// step.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub fn new(capacity: usize, timeouts: PoolTimeouts) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Pool {
            start: Instant::now(),
            timeouts,
            capacity: capacity as u32,
            free: Arc::new(Semaphore::new(capacity)),
            entries: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for a place. If there is none, the connections that have been waiting for their clients for the
    /// longest are closed to make room.
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
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(ConnectionState::new(self.start));
        locked(&self.entries).insert(id, Arc::clone(&entry));
        Seat {
            pool: Arc::clone(self),
            id,
            entry,
            _permit: permit,
        }
    }

    /// Closes some of the connections that have waited the longest for their clients, to make room for new
    /// ones.
    pub fn evict(&self) {
        let newest = self.millis().saturating_sub(millis(EVICTED_AFTER));
        let mut waiting: Vec<(Moment, Arc<ConnectionState>)> = locked(&self.entries)
            .values()
            .map(|entry| (entry.moment(), entry))
            .filter(|(moment, _)| moment.phase() != Phase::Busy && moment.since() <= newest)
            .map(|(moment, entry)| (moment, Arc::clone(entry)))
            .collect();
        // Several at once, because all of them had to be looked at.
        let count = (self.capacity as usize / 64).clamp(1, waiting.len().max(1));
        if count < waiting.len() {
            waiting.select_nth_unstable_by_key(count - 1, |(moment, _)| moment.since());
        }
        for (moment, entry) in waiting.into_iter().take(count) {
            entry.close_in(moment);
        }
    }

    /// Closes the connections whose clients have kept the server waiting for too long, and parks the idle
    /// ones; returns the number of the latter. It has to be called regularly.
    pub fn sweep(&self) -> usize {
        let mut count = 0;
        let now = self.millis();
        let read = millis(self.timeouts.read);
        let idle = millis(self.timeouts.idle);
        let parked = millis(PARKED_AFTER);
        for entry in locked(&self.entries).values() {
            let moment = entry.moment();
            let age = now.saturating_sub(moment.since());
            match moment.phase() {
                // The code that reads a body limits how long it may take, because it can still respond with
                // an error.
                Phase::Busy | Phase::Body => {}
                Phase::Opening | Phase::Head | Phase::Stalled if age >= read => {
                    entry.close_in(moment);
                }
                Phase::Idle | Phase::Parked if age >= idle => entry.close_in(moment),
                Phase::Idle if age >= parked => {
                    entry.park_in(moment);
                    count += 1;
                }
                _ => {}
            }
        }
        count
    }

    /// Interval between two sweeps, short enough that no timeout is exceeded by much.
    pub fn sweep_interval(&self) -> Duration {
        let shortest = self.timeouts.read.min(self.timeouts.idle);
        (shortest / 4).clamp(Duration::from_millis(10), PARKED_AFTER)
    }

    /// Ends each connection as soon as its current request is done, waits at most `grace` for that, and then
    /// ends the remaining ones; returns their number.
    pub async fn drain(&self, grace: Duration) -> usize {
        let tell = |what: fn(&ConnectionState)| {
            let entries = locked(&self.entries);
            entries.values().for_each(|entry| what(entry));
            entries.len()
        };
        tell(ConnectionState::drain);
        if timeout(grace, self.emptied()).await.is_ok() {
            return 0;
        }
        let left = tell(ConnectionState::kill);
        // They only have to be dropped, which takes no time unless one of them never yields.
        let _ = timeout(Duration::from_secs(1), self.emptied()).await;
        left
    }

    async fn emptied(&self) {
        // This fails only on a closed semaphore, and this one is never closed.
        let _ = self.free.acquire_many(self.capacity).await;
    }

    fn millis(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
