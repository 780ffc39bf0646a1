//! One push, from the check to the outbox.

use std::path::PathBuf;

use super::gateway::{Gateway, GatewayError, Pusher};
use crate::metrics::Push;
use crate::state::outbox::OutboxEntry;
use crate::state::{LazyState, StateError};

/// What became of a push.
#[derive(Debug)]
pub enum Delivery {
    Delivered,
    /// The gateway did not take it. It is kept, unless that failed too.
    Undelivered {
        error: GatewayError,
        kept: Kept,
    },
}

/// Where an undelivered push is.
#[derive(Debug)]
pub enum Kept {
    /// In the outbox of the state database at `path`.
    InOutbox { id: i64, path: PathBuf },
    /// Nowhere, because the state could not be written.
    Lost(StateError),
    /// Nowhere, because the state is what failed: it is where the embedded gateway is too.
    LostWithGateway,
}

/// Pushes by `pusher`, and keeps in the outbox of `state` what its gateway does not take.
pub fn deliver(push: &Push, pusher: &Pusher<'_>, state: &mut LazyState) -> Delivery {
    match pusher.push(push, state) {
        Ok(()) => Delivery::Delivered,
        Err(error) => Delivery::Undelivered {
            kept: match error.is_of_state() {
                true => Kept::LostWithGateway,
                false => keep(push, pusher.gateway(), state, &error).unwrap_or_else(Kept::Lost),
            },
            error,
        },
    }
}

fn keep(
    push: &Push,
    gateway: &Gateway,
    state: &mut LazyState,
    error: &GatewayError,
) -> Result<Kept, StateError> {
    let state = state.get()?;
    let id = state.keep(&OutboxEntry {
        produced_at: push.produced_at(),
        gateway: &gateway.to_string(),
        method: push.method(),
        key: push.key(),
        body: push.text(),
        is_rejected: error.is_rejection(),
        error: &error.to_string(),
    })?;
    Ok(Kept::InOutbox {
        id,
        path: state.path().to_owned(),
    })
}
