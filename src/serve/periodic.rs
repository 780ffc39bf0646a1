//! Work that is done periodically, and once more at the end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bell::Bell;
use metricsjob_system::panics;

/// Work that a thread does periodically.
pub struct Periodic {
    thread: JoinHandle<()>,
    bell: Arc<Bell>,
    is_ending: Arc<AtomicBool>,
}

impl Periodic {
    /// Does `work` after each `interval`.
    pub fn start(
        name: &str,
        interval: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let is_ending = Arc::new(AtomicBool::new(false));
        let (rung, ending) = (Arc::clone(&bell), Arc::clone(&is_ending));
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                rung.wait(interval);
                // Read first: a request to end that comes during the work leads to one more round.
                let is_last = ending.load(Relaxed);
                // The next round may succeed.
                if let Err(message) = panics::caught(&mut work) {
                    let thread = thread::current();
                    let thread = thread.name().unwrap_or_default();
                    tracing::error!(thread, err = message, "a panic");
                }
                if is_last {
                    return;
                }
            }
        })?;
        Ok(Periodic {
            thread,
            bell,
            is_ending,
        })
    }

    /// Has each of `all` done a last time, at the same time, and waits for that.
    pub fn end(all: impl IntoIterator<Item = Self>) {
        let all: Vec<Self> = all.into_iter().collect();
        for periodic in &all {
            periodic.is_ending.store(true, Relaxed);
            periodic.bell.ring();
        }
        for periodic in all {
            // It does not panic: panics of the work are caught.
            let _ = periodic.thread.join();
        }
    }
}
