//! Stand-in for TLS in a build without the feature `tls`: gateways are reached by plain HTTP only.

use std::error::Error;

use reqwest::ClientBuilder;

use crate::CertificateFailure;

/// TLS settings, of which there are none without the feature `tls`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls;

/// Advice for a gateway that does not speak TLS.
pub const PLAIN: &str = "give its URL with http://";

impl Tls {
    /// Returns `None`: without TLS there is no client certificate.
    pub fn client_certificate(&self) -> Option<Vec<u8>> {
        None
    }

    /// Returns the builder unchanged.
    ///
    /// # Errors
    ///
    /// Never fails.
    pub fn apply(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        Ok(builder)
    }

    /// Returns `None`: without TLS no error comes from it.
    pub fn failure(
        &self,
        _: &(dyn Error + 'static),
    ) -> Option<(String, Option<CertificateFailure>)> {
        None
    }
}
