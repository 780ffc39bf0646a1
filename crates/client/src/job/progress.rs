//! Pushes during a run.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::run::RunState;
use super::{log, logged};

/// Thread that pushes the metrics of a run while it is running. It ends when this is dropped.
pub struct ProgressPusher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressPusher {
    /// Starts the thread. It pushes at once if `is_start_pushed`, and at each `interval`.
    pub fn start(state: Arc<RunState>, is_start_pushed: bool, interval: Option<Duration>) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                if is_start_pushed {
                    logged(state.push_progress());
                }
                // Without an interval there is nothing more to push.
                while let Some(interval) = interval {
                    match stopped.recv_timeout(interval) {
                        Err(RecvTimeoutError::Timeout) => logged(state.push_progress()),
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            });
        if let Err(error) = &thread {
            log(&format!("the progress of the run is not reported: {error}"));
        }
        ProgressPusher {
            stop: Some(stop),
            thread: thread.ok(),
        }
    }
}

impl Drop for ProgressPusher {
    /// Waits for a push that is in flight, so that it cannot replace the report of the end.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been shown, and must not end the job.
            let _ = thread.join();
        }
    }
}
