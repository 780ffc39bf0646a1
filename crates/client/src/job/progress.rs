//! Pushes during a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use super::run::RunState;
use super::{log, logged};
use crate::Stop;

/// Thread that pushes the metrics of a run while it is running. It ends when this is dropped.
pub struct ProgressPusher {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressPusher {
    /// Starts the thread. It pushes at once if `is_start_pushed`, and at each `interval`.
    pub fn start(state: Arc<RunState>, is_start_pushed: bool, interval: Option<Duration>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                let over = Arc::clone(&seen);
                let stop = Stop::when(move || over.load(Relaxed));
                if is_start_pushed {
                    logged(state.push_progress(&stop));
                }
                // Without an interval there is nothing more to push.
                while let Some(interval) = interval {
                    if is_over_within(interval, &seen) {
                        return;
                    }
                    logged(state.push_progress(&stop));
                }
            });
        if let Err(error) = &thread {
            log(&format!("the progress of the run is not reported: {error}"));
        }
        ProgressPusher {
            is_over,
            thread: thread.ok(),
        }
    }
}

/// Waits for `interval`, or for the end of the run, and returns true if that came first.
fn is_over_within(interval: Duration, is_over: &AtomicBool) -> bool {
    let start = Instant::now();
    loop {
        if is_over.load(Relaxed) {
            return true;
        }
        let left = interval.saturating_sub(start.elapsed());
        if left.is_zero() {
            return false;
        }
        park_timeout(left);
    }
}

impl Drop for ProgressPusher {
    /// Abandons a push that is in flight, and waits for its end, so that it cannot replace the report of the run's end.
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic has been shown, and must not end the job.
            let _ = thread.join();
        }
    }
}
