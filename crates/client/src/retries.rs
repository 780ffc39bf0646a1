//! When a request that failed is made again.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::http_error::HttpError;

const WAITS: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(2));

/// Schedule of the attempts at one request: growing waits, for as long as its window from the first failure on.
#[derive(Debug)]
pub struct Retries {
    window: Duration,
    end: Option<Instant>,
    attempts: u32,
}

impl Retries {
    /// Schedule without a failure yet.
    pub fn new(window: Duration) -> Self {
        Retries {
            window,
            end: None,
            attempts: 0,
        }
    }

    /// Returns how long to wait before the next attempt, after one that failed with `error`: at least as long as the
    /// gateway asked for (`Retry-After`). `None` if there is to be none: the reason will not pass by itself, or the window
    /// would be over, or `until`.
    pub fn wait_after(&mut self, error: &HttpError, until: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.window);
        let end = until.map_or(end, |until| end.min(until));
        self.attempts += 1;
        let wait = WAITS.delay(self.attempts, rand::random());
        let wait = wait.max(error.retry_after().unwrap_or_default());
        let is_in_time = wait < end.saturating_duration_since(now);
        (error.is_transient() && is_in_time).then_some(wait)
    }
}
