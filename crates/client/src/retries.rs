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
            // A hundred years are longer than any useful window, and not too long for the clock.
            window: window.min(Duration::from_secs(100 * 365 * 24 * 60 * 60)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_error::CertificateFailure;

    fn unreachable(certificates: Option<CertificateFailure>) -> HttpError {
        HttpError::Connect {
            url: "http://gateway".into(),
            reason: "connection refused".into(),
            certificates,
        }
    }

    #[test]
    fn waits_grow_until_the_window_or_the_caller_ends_them() {
        let mut retries = Retries::new(Duration::MAX);
        for _ in 0..100 {
            let wait = retries.wait_after(&unreachable(None), None);
            assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(2)));
        }
        let past = Some(Instant::now());
        assert_eq!(retries.wait_after(&unreachable(None), past), None);
        let mut none = Retries::new(Duration::ZERO);
        assert_eq!(none.wait_after(&unreachable(None), None), None);
    }

    #[test]
    fn a_gateway_is_left_alone_for_as_long_as_it_asks() {
        let mut retries = Retries::new(Duration::from_secs(60));
        let busy = HttpError::Status {
            url: "http://gateway".into(),
            status: reqwest::StatusCode::SERVICE_UNAVAILABLE,
            message: String::new(),
            cure: None,
            had_credentials: false,
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(
            retries.wait_after(&busy, None),
            Some(Duration::from_secs(7))
        );
    }

    #[test]
    fn a_certificate_that_was_refused_is_not_offered_again() {
        let mut retries = Retries::new(Duration::MAX);
        let refused = unreachable(Some(CertificateFailure::ClientRefused));
        assert_eq!(retries.wait_after(&refused, None), None);
    }
}
