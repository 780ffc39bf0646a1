//! Settings of the connection to a gateway.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::credentials::Authorization;
use crate::encoding::Encoding;
use crate::tls::Tls;

/// Settings of the HTTP connection to a gateway, besides its URL. `Debug` shows no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// Timeouts of a request.
    pub timeouts: Timeouts,
    /// Trusted authorities and client certificate.
    pub tls: Tls,
    /// Sent if the URL has no user and password.
    pub authorization: Option<Authorization>,
    /// Further headers of each request. Values must be marked as sensitive, or `Debug` shows them.
    pub headers: HeaderMap,
    /// Format and compression of the body.
    pub encoding: Encoding,
    /// Reason why nothing must be sent, such as credentials that could not be read: no client can be created then.
    pub unusable: Option<String>,
}

/// Timeouts of a request. The defaults are 5 s and 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Limit for the connection, with name lookup and TLS handshake.
    pub connect: Duration,
    /// Limit for the complete response, connection included.
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
