//! Rate limit of all requests together.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use metricsjob_system::panics::locked;

/// A token bucket: it holds up to `burst` tokens and gains one every `interval`; a request takes one.
pub struct RateLimit {
    interval: Duration,
    burst: f64,
    bucket: Mutex<TokenBucket>,
}

struct TokenBucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// `interval` must be greater than zero.
    pub fn new(interval: Duration, burst: u32) -> Self {
        RateLimit {
            interval,
            burst: burst.into(),
            bucket: Mutex::new(TokenBucket {
                tokens: burst.into(),
                filled: Instant::now(),
            }),
        }
    }

    /// Takes a token, if there is one, and returns true if so.
    pub fn admits(&self, now: Instant) -> bool {
        let mut bucket = locked(&self.bucket);
        let passed = now.saturating_duration_since(bucket.filled);
        let gained = passed.as_secs_f64() / self.interval.as_secs_f64();
        bucket.tokens = (bucket.tokens + gained).min(self.burst);
        bucket.filled = bucket.filled.max(now);
        let admits = bucket.tokens >= 1.0;
        if admits {
            bucket.tokens -= 1.0;
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let limit = RateLimit::new(Duration::from_secs(1), 2);
        let start = Instant::now();
        let admitted = |millis| limit.admits(start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0].map(admitted), [true, true, false]);
        assert_eq!([900, 1100, 1200].map(admitted), [false, true, false]);
        assert_eq!([9000, 9000, 9000].map(admitted), [true, true, false]);
    }
}
