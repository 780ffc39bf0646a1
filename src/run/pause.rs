//! Waiting that a signal can end.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGSTOP, SIGTSTP};
use signal_hook::low_level::raise;

use super::signals::{ReceivedSignal, Signals};

/// Waits for `duration`; returns the signal that asks this process to end, if one came meanwhile.
pub fn pause(duration: Duration, signals: &Signals) -> Option<ReceivedSignal> {
    if duration.is_zero() {
        return None;
    }
    // If it fails, a signal has its default effect.
    let _ = signals.pass();
    let deadline = Instant::now().checked_add(duration);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return None;
        }
        for received in signals.wait(left) {
            if received.is_ending() {
                return Some(received);
            }
            if received.is(SIGTSTP) {
                let _ = raise(SIGSTOP);
            }
        }
    }
}
