//! How a gateway is reached over HTTP, besides its URL.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::credentials::Authorization;
use crate::encoding::Encoding;
use crate::tls::Tls;

/// How a gateway is reached over HTTP, besides its URL. Nothing of it that is secret is shown by
/// `Debug`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// Settings of TLS.
    pub tls: Tls,
    /// For gateways whose URL has no user and password.
    pub authorization: Option<Authorization>,
    /// Further headers of each request, marked as sensitive.
    pub headers: HeaderMap,
    /// The encoding of pushes.
    pub encoding: Encoding,
    /// The reason why nothing must be sent: our credentials, or the authorities to trust, could not be read.
    pub unusable: Option<String>,
}

/// How long to wait for a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the answer is complete, the connection included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(10),
        }
    }
}
