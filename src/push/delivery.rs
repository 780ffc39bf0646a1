//! One push, from the check to the outbox.

use std::path::PathBuf;
use std::time::SystemTime;

use super::gateway::{Gateway, GatewayError, Pusher};
use crate::metrics::check::{CheckError, check_push};
use crate::metrics::{Family, GroupingKey, Method, text};
use crate::state::outbox::OutboxEntry;
use crate::state::{LazyState, StateError};

/// A checked report on its way to a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    key: GroupingKey,
    method: Method,
    families: Vec<Family>,
    produced_at: SystemTime,
}

impl Push {
    /// A push of `families`, produced at `produced_at`, to the group of `key`.
    ///
    /// # Errors
    ///
    /// What a gateway would refuse, or store otherwise than it was meant; see [`check_push`].
    pub fn new(
        key: GroupingKey,
        method: Method,
        families: Vec<Family>,
        produced_at: SystemTime,
    ) -> Result<Self, CheckError> {
        check_push(&key, &families)?;
        Ok(Push {
            key,
            method,
            families,
            produced_at,
        })
    }

    /// The request that [`deliver`] would send to `gateway`, for a person to read: the request line,
    /// the content type, and the body behind an empty line. Without credentials.
    pub fn request_text(&self, gateway: &Gateway) -> String {
        format!(
            "{} {}\nContent-Type: {}\n\n{}",
            self.method.http(),
            gateway.group_url(&self.key),
            text::CONTENT_TYPE,
            text::encode(&self.families)
        )
    }

    pub fn key(&self) -> &GroupingKey {
        &self.key
    }

    pub fn method(&self) -> Method {
        self.method
    }
}

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
    match pusher.push(&push.key, push.method, &push.families, state) {
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
        produced_at: push.produced_at,
        gateway: &gateway.to_string(),
        method: push.method,
        key: &push.key,
        body: &text::encode(&push.families),
        is_rejected: error.is_rejection(),
        error: &error.to_string(),
    })?;
    Ok(Kept::InOutbox {
        id,
        path: state.path().to_owned(),
    })
}
