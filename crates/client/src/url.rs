//! URLs of gateways.

use std::fmt;

use url::Url;

use crate::call::{self, Credentials, NotUtf8, Proxy, redacted};

/// Base URL of a gateway. Its credentials are kept apart, so that nothing that shows or stores the URL can leak them.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayUrl {
    /// Without credentials and without a slash at the end.
    base: String,
    credentials: Option<Credentials>,
    is_https: bool,
}

/// Reason why a text is not the URL of a gateway. Its texts have credentials removed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GatewayUrlError {
    /// An empty text.
    #[error("the gateway is empty: give a URL such as http://127.0.0.1:9091, or \"embedded\"")]
    Empty,
    /// A text that is no URL.
    #[error("gateway {url:?} is not a URL: {source} (for example http://127.0.0.1:9091)")]
    Syntax {
        /// The URL, without credentials.
        url: String,
        /// The error of the parser.
        source: url::ParseError,
    },
    /// A scheme other than http and https.
    #[error("gateway {url:?} has the scheme {scheme:?}: only http and https are spoken")]
    Scheme {
        /// The URL, without credentials.
        url: String,
        /// The scheme.
        scheme: String,
    },
    /// A query or a fragment, which a base URL must not have.
    #[error("gateway {url:?} has {what}, which a gateway's base URL has not: remove it")]
    Extra {
        /// The URL, without credentials.
        url: String,
        /// The name of the part.
        what: &'static str,
    },
    /// The URL of a group rather than of a gateway.
    #[error(
        "gateway {url:?} names a group: give the gateway's base URL alone, \
         the path of the group is made from the grouping key"
    )]
    GroupPath {
        /// The URL, without credentials.
        url: String,
    },
    /// An `@` outside of credentials, which suggests a mistyped URL.
    #[error(
        "gateway {url:?} has an @, but no user and password before its host: is it mistyped? \
         The form is http://USER:PASSWORD@HOST:PORT; elsewhere, and in a password, an @ is %40"
    )]
    StrayAt {
        /// The URL, without credentials.
        url: String,
    },
    /// Credentials that are not UTF-8 once percent-decoded.
    #[error(
        "gateway {url:?} has a user or password that is not UTF-8 once its %-encoding is undone"
    )]
    Credentials {
        /// The URL, without credentials.
        url: String,
    },
}

impl GatewayUrl {
    /// Parses a base URL. Without a scheme it is `http://`. It may have user and password, a path prefix and a slash
    /// at the end.
    ///
    /// # Errors
    ///
    /// Fails for an empty or invalid URL, a scheme other than http and https, a query, a fragment, the path of a
    /// group, an `@` outside of credentials, and credentials that are not UTF-8.
    pub fn parse(text: &str) -> Result<Self, GatewayUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(GatewayUrlError::Empty);
        }
        let shown = || redacted(text);
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let mut url = Url::parse(&with_scheme).map_err(|source| GatewayUrlError::Syntax {
            url: shown(),
            source,
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(GatewayUrlError::Scheme {
                url: shown(),
                scheme: url.scheme().to_owned(),
            });
        }
        let extra = [
            (url.query().is_some(), "a query (?…)"),
            (url.fragment().is_some(), "a fragment (#…)"),
        ];
        if let Some((_, what)) = extra.into_iter().find(|(is_there, _)| *is_there) {
            return Err(GatewayUrlError::Extra { url: shown(), what });
        }
        if url.path().contains("/metrics/job") {
            return Err(GatewayUrlError::GroupPath { url: shown() });
        }
        // Otherwise a password after a mistyped scheme or slash would be part of the path, and shown.
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if text.contains('@') && (!has_credentials || url.path().contains('@')) {
            return Err(GatewayUrlError::StrayAt { url: shown() });
        }
        let credentials = Credentials::take(&mut url)
            .map_err(|NotUtf8| GatewayUrlError::Credentials { url: shown() })?;
        Ok(GatewayUrl {
            base: url.as_str().trim_end_matches('/').to_owned(),
            credentials,
            is_https: url.scheme() == "https",
        })
    }

    /// Returns the URL of `path`, which must start with a slash, below the base; without credentials.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the proxy that the environment sets for this URL.
    pub fn proxy(&self) -> Option<Proxy> {
        call::proxy(&Url::parse(&self.base).ok()?)
    }

    /// Returns true if `NO_PROXY` excepts this URL.
    pub fn is_excepted_from_proxies(&self) -> bool {
        Url::parse(&self.base).is_ok_and(|url| call::is_excepted(&url))
    }

    /// Returns the user and password of the URL.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Returns true if the scheme is https.
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}

/// Writes the URL without credentials.
impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> String {
        GatewayUrl::parse(text).unwrap().to_string()
    }

    #[test]
    fn forms() {
        assert_eq!(base("localhost:9091"), "http://localhost:9091");
        assert_eq!(base("pgw"), "http://pgw");
        assert_eq!(base("[::1]:9091/"), "http://[::1]:9091");
        assert_eq!(base("https://h/pre/fix//"), "https://h/pre/fix");
        assert_eq!(base(" http://h:80 "), "http://h");
        assert_eq!(
            GatewayUrl::parse("h/p").unwrap().join("/metrics/job/a"),
            "http://h/p/metrics/job/a"
        );
    }

    #[test]
    fn credentials_are_kept_apart() {
        let url = GatewayUrl::parse("u%40x:p%2Fw@h:1/p").unwrap();
        assert_eq!(url.to_string(), "http://h:1/p");
        assert_eq!(format!("{url:?}"), "http://h:1/p");
        let credentials = url.credentials().unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("u@x", "p/w"));
        assert!(GatewayUrl::parse("h").unwrap().credentials().is_none());
    }

    #[test]
    fn errors_show_no_secret() {
        for text in [
            "http://user:s3cret@h:notaport",
            "http://user:s3/cret@h",
            "ftp://user:s3cret@h",
            "user:s3cret@h?q",
            "http://user:s3cret@h#f",
            "user:s3cret@h/metrics/job/a",
            "http://user:s3cret%ff@h",
            "user:s3:cret@@h:x",
            "user:s3cret@http://h",
            "u:s3://cret@h",
            "http:/u:s3cret@h",
            "http//u:s3cret@h",
            "http:\\\\u:s3cret@h",
            "http://h/u:s3cret@x",
            "http://u:12/s3cret@h",
            "u:p@h/u:s3cret@x",
        ] {
            let message = GatewayUrl::parse(text).unwrap_err().to_string();
            assert!(
                !message.contains("s3") && !message.contains("cret"),
                "{message}"
            );
        }
        assert_eq!(GatewayUrl::parse(" "), Err(GatewayUrlError::Empty));
    }
}
