//! Order of this process's writers to the database: first come, first served.
//!
//! SQLite has no such order: it polls the lock, and a waiting thread may never get it while another writes again and
//! again.

use metricsjob_system::panics::locked;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Number of turns requested, and of those that are over.
static TURNS: Mutex<(u64, u64)> = Mutex::new((0, 0));
static DONE: Condvar = Condvar::new();

/// A writer's turn; the next one begins when it is dropped.
pub struct Turn(());

impl Turn {
    /// Waits for the end of all turns requested before. Must not be called by a thread that has one.
    pub fn take() -> Turn {
        let mut turns = lock();
        let ours = turns.0;
        turns.0 += 1;
        while turns.1 != ours {
            turns = DONE.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
        Turn(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock().1 += 1;
        DONE.notify_all();
    }
}

fn lock() -> MutexGuard<'static, (u64, u64)> {
    locked(&TURNS)
}
