//! Timers of summaries.

use std::time::Instant;

use super::Summary;

/// Timer that observes, in seconds, how long it lived.
///
/// ```
/// use metricsjob_instruments::{Summary, SummaryOpts};
///
/// let seconds = Summary::new(SummaryOpts::new("row_seconds", "Time for a row."))?;
/// let timer = seconds.start_timer();
/// // Insert the row.
/// timer.observe_duration();
/// assert_eq!(seconds.count(), 1);
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a timer observes when it is dropped"]
pub struct SummaryTimer {
    summary: Summary,
    start: Instant,
    is_over: bool,
}

impl SummaryTimer {
    pub(super) fn new(summary: Summary) -> Self {
        SummaryTimer {
            summary,
            start: Instant::now(),
            is_over: false,
        }
    }

    /// Observes now.
    pub fn observe_duration(self) {
        drop(self);
    }

    /// Observes now, and returns the seconds.
    pub fn stop_and_record(mut self) -> f64 {
        self.observe()
    }

    /// Observes nothing, and returns the seconds.
    pub fn stop_and_discard(mut self) -> f64 {
        self.is_over = true;
        self.start.elapsed().as_secs_f64()
    }

    fn observe(&mut self) -> f64 {
        let seconds = self.start.elapsed().as_secs_f64();
        self.is_over = true;
        self.summary.observe(seconds);
        seconds
    }
}

impl Drop for SummaryTimer {
    fn drop(&mut self) {
        if !self.is_over {
            self.observe();
        }
    }
}
