//! The thread that logs a window.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Aggregator, WindowSnapshot};

/// Thread that logs an aggregator's window at an interval, and begins a new window each time. When this is dropped, it
/// logs the last, partial window and ends.
///
/// ```
/// use std::time::Duration;
///
/// use metricsjob_instruments::window::{Window, WindowLog};
///
/// // With a logger of your own.
/// let log = WindowLog::start_with(Window::default(), Duration::from_secs(10), |window| {
///     println!("{window}");
/// });
/// # drop(log.unwrap());
/// ```
#[derive(Debug)]
pub struct WindowLog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WindowLog {
    /// Starts to log to stderr: a line of JSON with `timestamp`, `level` (`info`), `message` (`metrics`) and the window as
    /// the object `metrics`. An interval of 0 logs nothing.
    ///
    /// # Errors
    ///
    /// Fails if the system has no room for a thread.
    pub fn start(aggregator: impl Aggregator + 'static, interval: Duration) -> io::Result<Self> {
        WindowLog::start_with(aggregator, interval, |window| {
            let line = line(window, SystemTime::now());
            // If this fails, there is no other place to report it.
            let _ = io::stderr().write_all(line.as_bytes());
        })
    }

    /// Starts to pass each window to `sink`. An interval of 0 passes nothing.
    ///
    /// # Errors
    ///
    /// Fails if the system has no room for a thread.
    pub fn start_with(
        aggregator: impl Aggregator + 'static,
        interval: Duration,
        mut sink: impl FnMut(&WindowSnapshot) + Send + 'static,
    ) -> io::Result<Self> {
        if interval.is_zero() {
            return Ok(WindowLog {
                stop: None,
                thread: None,
            });
        }
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("window".into());
        let thread = thread.spawn(move || {
            loop {
                let is_over = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                sink(&aggregator.reset());
                if is_over {
                    return;
                }
            }
        })?;
        Ok(WindowLog {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for WindowLog {
    fn drop(&mut self) {
        // The thread sees that its channel is closed.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A sink that panics has ended its log alone.
            let _ = thread.join();
        }
    }
}

pub(super) fn line(window: &WindowSnapshot, now: SystemTime) -> String {
    let line = json!({
        "timestamp": humantime::format_rfc3339_millis(now).to_string(),
        "level": "info",
        "message": "metrics",
        "metrics": window.fields(),
    });
    format!("{line}\n")
}
