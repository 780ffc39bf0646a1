//! Wakes a thread that waits for something to do.

use metricsjob_system::panics::locked;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Wakes a thread that waits for something to do, or makes it not wait at all.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *locked(&self.rings) = true;
        self.rung.notify_all();
    }

    /// Waits for a ring since the last call, for `timeout` at most.
    pub fn wait(&self, timeout: Duration) {
        let start = Instant::now();
        let mut rings = locked(&self.rings);
        while !std::mem::take(&mut *rings) {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            rings = match self.rung.wait_timeout(rings, left) {
                Ok((rings, _)) => rings,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
