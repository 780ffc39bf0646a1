//! Which connections there are, what each waits for, and which ones have to go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::entry::{ConnectionState, Moment, Phase};

/// A connection that is idle for so long gives back its memory.
const PARKED_AFTER: Duration = Duration::from_secs(1);

/// A connection that waits for its client for so long can be closed for another one.
const EVICTED_AFTER: Duration = Duration::from_millis(100);

/// What a connection's client may keep us waiting for; see [`super::Settings`].
#[derive(Clone, Copy)]
pub struct PoolTimeouts {
    pub read: Duration,
    pub idle: Duration,
}

/// A bounded number of connections.
pub struct Pool {
    start: Instant,
    timeouts: PoolTimeouts,
    capacity: u32,
    free: Arc<Semaphore>,
    entries: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
}

/// A connection's place in the pool, until it is dropped.
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

/// What a thread that panicked holds is as it should be: each change is one step.
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

    /// Waits for a place. Where there is none, the connections that have waited for their clients for
    /// longest make way.
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

    /// Has some connections closed for new ones.
    pub fn evict(&self) {
        let newest = self.millis().saturating_sub(millis(EVICTED_AFTER));
        let mut waiting: Vec<(Moment, Arc<ConnectionState>)> = locked(&self.entries)
            .values()
            .map(|entry| (entry.moment(), entry))
            .filter(|(moment, _)| moment.phase() != Phase::Busy && moment.since() <= newest)
            .map(|(moment, entry)| (moment, Arc::clone(entry)))
            .collect();
        // Several at once, as all had to be looked at.
        let count = (self.capacity as usize / 64).clamp(1, waiting.len().max(1));
        if count < waiting.len() {
            waiting.select_nth_unstable_by_key(count - 1, |(moment, _)| moment.since());
        }
        for (moment, entry) in waiting.into_iter().take(count) {
            entry.close_in(moment);
        }
    }

    /// Has the connections closed whose clients keep us waiting for too long, and the idle ones
    /// parked: how many of those there are is the result. It has to be called again and again.
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
                // How long a body may take is up to whoever reads it, as that can be answered.
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

    /// How often to sweep, so that no timeout is exceeded by much.
    pub fn sweep_interval(&self) -> Duration {
        let shortest = self.timeouts.read.min(self.timeouts.idle);
        (shortest / 4).clamp(Duration::from_millis(10), PARKED_AFTER)
    }

    /// Has all connections end as soon as their requests are answered, waits for that for `grace`, and
    /// then ends the others: how many there were is the result.
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
        // They only have to be dropped, unless one of them never yields.
        let _ = timeout(Duration::from_secs(1), self.emptied()).await;
        left
    }

    async fn emptied(&self) {
        // It fails on a closed semaphore only, and this one never is.
        let _ = self.free.acquire_many(self.capacity).await;
    }

    fn millis(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
