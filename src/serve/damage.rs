//! What is lost with a corrupt database.

use crate::state::LazyState;

/// Logs that a corrupt database was replaced, if `state` has done that: whoever of us comes upon it first is the only
/// one who knows.
pub fn tell_damage(state: &mut LazyState) {
    if let Some(damage) = state.take_damage() {
        tracing::error!(err = %damage, "the state was replaced");
    }
}
