//! Who of this process writes to the database next: whoever asked first.
//!
//! SQLite itself has no such order. Who waits looks now and then whether it may, and does not get in while
//! another thread writes again and again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many have asked, and how many of them are done.
static TURNS: Mutex<(u64, u64)> = Mutex::new((0, 0));
static DONE: Condvar = Condvar::new();

/// Others wait until it is dropped.
pub struct Turn(());

impl Turn {
    /// Waits until all are done who asked before.
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
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
