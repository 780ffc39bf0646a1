//! Parts that every caller of a URL shares: credentials kept apart, an HTTP client, a runtime that
//! holds nobody up, and errors in few words.

mod proxy;

use std::error::Error;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

pub use proxy::{Proxy, is_excepted, proxy};

/// User and password of HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// A user or password is not UTF-8 once its %-encoding is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

impl Credentials {
    /// Takes the credentials out of `url`, which is http or https, so that whatever shows it cannot
    /// leak them.
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
        // Neither fails on http and https, which always have a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(credentials)
    }

    /// As basic authentication sends them (RFC 7617).
    pub fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.user, self.password))
    }

    /// Texts that must not be shown, wherever they come from.
    pub fn secrets(&self) -> [String; 2] {
        let secret = match self.password.as_str() {
            // A token is often given as the user.
            "" => &self.user,
            password => password,
        };
        [self.encoded(), secret.to_owned()]
    }
}

/// `text` without whatever could be credentials of a URL, for text that may be no URL at all: a
/// password with an unescaped `/` ends the host too early, so all up to the last `@` goes.
pub fn redacted(text: &str) -> String {
    let Some((_, host)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match text.split_once("://") {
        Some((scheme, _)) if !scheme.contains([':', '@']) => format!("{scheme}://***@{host}"),
        _ => format!("***@{host}"),
    }
}

/// A client that follows no redirects. For `https` it verifies certificates by the system's roots.
pub fn builder(is_https: bool) -> reqwest::ClientBuilder {
    // An error says that a provider was installed before, which serves as well.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("metricsjob/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    // Reading the system's roots would take longer than a whole request.
    #[cfg(feature = "tls")]
    if !is_https {
        return builder.tls_certs_only([]);
    }
    #[cfg(not(feature = "tls"))]
    let _ = is_https;
    builder
}

/// A tokio runtime that waits for nothing when it is dropped: a name that is still looked up by the
/// system's resolver would otherwise hold it up beyond every timeout.
pub struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// # Errors
    ///
    /// There are too many open files.
    pub fn new() -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .build()
            .map(|runtime| Runtime(Some(runtime)))
    }

    /// Runs `future` to its end and returns its output.
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

/// The error below `error`. The source of an I/O error is that of the error in it, which would be
/// left out.
pub fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The cause at the bottom: the ones above it only say that something below them failed.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(deeper) = cause(innermost) {
        innermost = deeper;
    }
    match innermost.downcast_ref::<io::Error>() {
        Some(error) if error.raw_os_error().is_some() => {
            // Without the number that the standard library adds.
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase()
        }
        _ => innermost.to_string(),
    }
}
