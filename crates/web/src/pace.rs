//! Minimum speed of a request body.

use std::time::{Duration, Instant};

/// 10 kB a second: slower than any line that is of use, but more than a client that only wants to hold a
/// connection likes to spend.
const PER_BYTE: Duration = Duration::from_micros(100);

/// Tracks for how long a body has kept the server waiting. Bytes make up for earlier waiting, but not for
/// later: a large beginning does not earn an hour of silence.
#[derive(Default)]
pub struct Pace {
    since: Option<Instant>,
}

impl Pace {
    /// Records that the next bytes are not there yet. Returns since when they are waited for, which moves
    /// forward as bytes arrive.
    pub fn waits(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    /// Records that `bytes` bytes arrived.
    pub fn came(&mut self, bytes: usize) {
        // Bytes that were there before the first wait earn nothing.
        if let Some(since) = &mut self.since {
            let worth = PER_BYTE.saturating_mul(bytes.try_into().unwrap_or(u32::MAX));
            let now = Instant::now();
            *since = since.checked_add(worth).map_or(now, |since| since.min(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_makes_up_for_waiting() {
        let mut pace = Pace::default();
        pace.came(1_000_000);
        let start = pace.waits();
        std::thread::sleep(Duration::from_millis(20));
        pace.came(1);
        assert_eq!(pace.waits(), start + PER_BYTE);
        pace.came(99);
        assert_eq!(pace.waits(), start + Duration::from_millis(10));
        pace.came(1_000_000_000);
        assert!(pace.waits() <= Instant::now());
    }
}
