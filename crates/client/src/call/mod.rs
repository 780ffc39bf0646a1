//! Shared parts of HTTP callers: credentials, a client, a runtime, short error messages.

mod proxy;

use std::error::Error;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

pub use proxy::{Proxy, is_excepted, proxy};

/// User and password of HTTP basic authentication (RFC 7617).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Error for a user or password that is not UTF-8 once percent-decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

impl Credentials {
    /// Removes the credentials from `url`, so that nothing that shows the URL can leak them, and returns them
    /// percent-decoded. `url` must be http or https.
    pub fn take(url: &mut Url) -> Result<Option<Credentials>, NotUtf8> {
        let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(NotUtf8),
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials {
                user: decode(user)?,
                password: decode(password.unwrap_or_default())?,
            }),
        };
        // Neither fails on http and https URLs, which always have a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(credentials)
    }

    /// Returns them in the form of the `Authorization` header, without `Basic `.
    pub fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.user, self.password))
    }

    /// Returns the texts that must never be shown: the encoded form, and the password, or the user without one.
    pub fn secrets(&self) -> [String; 2] {
        let secret = match self.password.as_str() {
            // A token is often given as the user, without a password.
            "" => &self.user,
            password => password,
        };
        [self.encoded(), secret.to_owned()]
    }
}

/// Removes everything from `text` that could be credentials. As `text` may not be a valid URL, and a `/` in a
/// password would end the host too early, that is all up to the last `@`.
pub fn redacted(text: &str) -> String {
    let Some((_, host)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match text.split_once("://") {
        Some((scheme, _)) if !scheme.contains([':', '@']) => format!("{scheme}://***@{host}"),
        _ => format!("***@{host}"),
    }
}

/// Creates a client builder that follows no redirects and, for `https`, trusts the system's roots.
pub fn builder(is_https: bool) -> reqwest::ClientBuilder {
    // On error a provider is installed already, which serves as well.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("metricsjob/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    // Loading the system's roots takes longer than a whole request.
    #[cfg(feature = "tls")]
    if !is_https {
        return builder.tls_certs_only([]);
    }
    #[cfg(not(feature = "tls"))]
    let _ = is_https;
    builder
}

/// A current-thread tokio runtime that does not wait for its tasks when dropped: a lookup that hangs in the system's
/// resolver would otherwise delay that beyond every timeout.
pub struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// Creates the runtime.
    ///
    /// # Errors
    ///
    /// Fails if the process has too many open files.
    pub fn new() -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .build()
            .map(|runtime| Runtime(Some(runtime)))
    }

    /// Runs `future` to completion. Panics within another runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0
            .as_ref()
            .expect("it is there until it is dropped")
            .block_on(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the next error in the chain below `error`. [`Error::source`] would skip the error inside an I/O error.
pub fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// Returns true if a host's name could not be looked up. The client has no public type for it.
pub fn is_of_lookup(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string() == "dns error" {
            return true;
        }
        next = cause(error);
    }
    false
}

/// Returns the message of the last error in the chain; those above it only say that something below failed.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(deeper) = cause(innermost) {
        innermost = deeper;
    }
    match innermost.downcast_ref::<io::Error>() {
        Some(error) if error.raw_os_error().is_some() => {
            // The standard library adds the number in brackets.
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase()
        }
        _ => innermost.to_string(),
    }
}
