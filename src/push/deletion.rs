//! Deleting a group, for good.

use std::path::Path;
use std::time::{Duration, Instant};

use super::gateway::{Gateway, GatewayClient, GatewayError};
use super::group_lock::GroupLock;
use metricsjob_metrics::GroupingKey;
use metricsjob_state::State;
use metricsjob_state::outbox::Selection;

/// How long to wait for others that are delivering to the group.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes the group of exactly this key from `gateway`, and the entries that wait for it in the outbox, which
/// would bring it back. Returns whether there was a group, where that is known, and how many entries waited.
///
/// # Errors
///
/// Also [`GatewayError::Busy`]: another process is delivering to the group, and may bring it back.
pub fn delete(
    gateway: &Gateway,
    key: &GroupingKey,
    state_dir: &Path,
) -> Result<(Option<bool>, u64), GatewayError> {
    delete_by(&GatewayClient::new(gateway), key, state_dir)
}

/// Deletes a group as [`delete`] does, by this client.
pub(super) fn delete_by(
    client: &GatewayClient,
    key: &GroupingKey,
    state_dir: &Path,
) -> Result<(Option<bool>, u64), GatewayError> {
    let until = Instant::now() + PATIENCE;
    let _lock = match GroupLock::acquire(state_dir, client.name(), key, until, || true) {
        Ok(Some(lock)) => Some(lock),
        Ok(None) => return Err(GatewayError::Busy),
        // Without state there is nothing that could bring it back, and no other delivery to wait for.
        Err(_) => None,
    };
    // Entries that come into the outbox from now on are newer than the deletion.
    let waiting = match State::open_existing(state_dir)? {
        Some(mut state) => state.waiting_ids(client.name(), key)?,
        None => Vec::new(),
    };
    let existed = client.delete(key)?;
    let mut forgotten = 0;
    if let Some(mut state) = State::open_existing(state_dir)? {
        // The group is gone also where the state cannot be written; what is noted of it is only looked at beside it.
        let _ = state.forget_reported(key, client.name());
        if !waiting.is_empty() {
            forgotten = state.drop_entries(Selection::Ids(&waiting))?;
        }
    }
    Ok((existed, forgotten))
}
