//! How fast a body has to come.

use std::time::{Duration, Instant};

/// 10 kB a second: less than any line has that is of use, and more than who only wants to hold a connection
/// likes to spend.
const PER_BYTE: Duration = Duration::from_micros(100);

/// Since when a body keeps us waiting. What comes makes up for waiting before, but not for what follows:
/// nobody earns an hour by a large beginning.
#[derive(Default)]
pub struct Pace {
    since: Option<Instant>,
}

impl Pace {
    /// There is nothing yet of what comes next. Returns since when it is waited for, which is later the
    /// more has come meanwhile.
    pub fn waits(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    /// So many bytes came.
    pub fn came(&mut self, bytes: usize) {
        // Nothing to be done for what was there before it was waited for.
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
