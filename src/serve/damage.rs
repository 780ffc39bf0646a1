//! Losses of a database that was corrupt, or too large, in the server's log.

use metricsjob_state::LazyState;

/// Logs that a corrupt database was replaced, if `state` has done that: only the thread that comes upon it first
/// knows of it.
pub fn tell_damage(state: &mut LazyState) {
    if let Some(damage) = state.take_damage() {
        tracing::error!(err = %damage, "the state was replaced");
    }
}

/// Brings the log of `state` into the database if it is long, and logs what was dropped because both were larger
/// than `limit` bytes.
pub fn shorten_log(state: &mut LazyState, limit: u64) {
    if let Some(pruned) = state.shorten_log(limit) {
        tracing::warn!(err = %pruned, "the state is full");
    }
}
