//! Stand-in for TLS in a build without the feature `tls`: gateways are reached by plain HTTP only.

use std::error::Error;

use reqwest::ClientBuilder;

use crate::CertificateFailure;

/// Whom to trust over TLS and who we are there: nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls;

/// Advice where no TLS is spoken.
pub const PLAIN: &str = "give its URL with http://";

impl Tls {
    /// Returns the builder as it is.
    ///
    /// # Errors
    ///
    /// There are none.
    pub fn apply(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        Ok(builder)
    }

    /// Returns `None`: nothing can go wrong with TLS.
    pub fn failure(
        &self,
        _: &(dyn Error + 'static),
    ) -> Option<(String, Option<CertificateFailure>)> {
        None
    }
}
