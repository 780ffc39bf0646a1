//! Waits that grow with each failure.

use std::time::Duration;

use rand::RngExt;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Waits between attempts: each may be twice as long as the one before.
pub struct Waits {
    longest: Duration,
}

impl Waits {
    pub fn new() -> Self {
        Waits { longest: FIRST }
    }

    /// Returns the next wait: at least half of what it may be, at random, so that many clients do not all come back at once.
    pub fn next(&mut self) -> Duration {
        let wait = self.longest.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.longest = (self.longest * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_to_a_limit() {
        let mut waits = Waits::new();
        for longest in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let wait = waits.next();
            let longest = Duration::from_millis(longest);
            assert!((longest / 2..=longest).contains(&wait), "{wait:?}");
        }
    }
}
