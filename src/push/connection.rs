//! How a gateway is reached over HTTP, besides its URL.

use super::http::Timeouts;

/// How a gateway is reached over HTTP, besides its URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    pub timeouts: Timeouts,
}
