//! How a gateway is reached over HTTP, besides its URL.

use reqwest::header::HeaderMap;

use super::credentials::Authorization;
use super::encoding::Encoding;
use super::http::Timeouts;
use super::tls::Tls;

/// How a gateway is reached over HTTP, besides its URL. Nothing of it that is secret is shown by
/// `Debug`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    pub timeouts: Timeouts,
    pub tls: Tls,
    /// For gateways whose URL has no user and password.
    pub authorization: Option<Authorization>,
    /// Further headers of each request, marked as sensitive.
    pub headers: HeaderMap,
    pub encoding: Encoding,
}
