//! Endpoints that a probe can check.

use std::fmt;

use url::{Host, Url};

use crate::job::builtin::http_target::HttpTarget;

/// An endpoint of a service.
pub enum ProbeTarget {
    Http(HttpTarget),
    Tcp { host: Host, port: u16 },
}

/// An endpoint, and the name that its service has in the metrics.
pub struct NamedEndpoint {
    pub service: String,
    pub endpoint: ProbeTarget,
}

impl NamedEndpoint {
    /// Reads `NAME=ENDPOINT`. The error follows the value in a message, and shows nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((service, endpoint)) if !service.is_empty() && !service.contains("://") => {
                Ok(NamedEndpoint {
                    service: service.to_owned(),
                    endpoint: ProbeTarget::parse(endpoint)?,
                })
            }
            _ => Err(
                "has no name of a service in front of it (for example shop=https://shop.example/health)"
                    .into(),
            ),
        }
    }
}

/// How every error about a scheme ends.
const FORMS: &str = "an endpoint is http://…, https://… or tcp://HOST:PORT \
                     (for example https://shop.example/health)";

impl ProbeTarget {
    /// Reads `http://…`, `https://…` or `tcp://HOST:PORT`. The error follows the value in a message,
    /// and shows nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(format!("has no scheme: {FORMS}"));
        };
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(&*scheme, "http" | "https" | "tcp") {
            // What stands there may be anything, credentials included.
            return Err(format!("has an unknown scheme: {FORMS}"));
        }
        let example = match &*scheme {
            "tcp" => "tcp://db.example:5432",
            _ => "https://shop.example/health",
        };
        let no_url = |error| format!("is not a URL: {error} (for example {example})");
        let url = Url::parse(text).map_err(no_url)?;
        if url.port() == Some(0) {
            return Err(format!(
                "has the port 0, on which nothing listens (for example {example})"
            ));
        }
        match &*scheme {
            "tcp" => {
                let host = Host::parse(url.host_str().unwrap_or_default()).map_err(no_url)?;
                tcp(&url, host)
            }
            _ => HttpTarget::new(url).map(ProbeTarget::Http),
        }
    }

    pub fn is_tcp(&self) -> bool {
        matches!(self, ProbeTarget::Tcp { .. })
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> String {
        match self {
            ProbeTarget::Http(target) => match target.url.host() {
                Some(host) => plain(&host.to_owned()),
                None => String::new(),
            },
            ProbeTarget::Tcp { host, .. } => plain(host),
        }
    }
}

/// The URL without credentials.
impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeTarget::Http(target) => target.url.fmt(f),
            ProbeTarget::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

fn plain(host: &Host) -> String {
    match host {
        Host::Ipv6(address) => address.to_string(),
        other => other.to_string(),
    }
}

fn tcp(url: &Url, host: Host) -> Result<ProbeTarget, String> {
    let extra = [
        (
            !url.username().is_empty() || url.password().is_some(),
            "a user or password",
        ),
        (!matches!(url.path(), "" | "/"), "a path"),
        (url.query().is_some(), "a query (?…)"),
        (url.fragment().is_some(), "a fragment (#…)"),
    ];
    if let Some((_, what)) = extra.into_iter().find(|(is_there, _)| *is_there) {
        return Err(format!(
            "has {what}, which a TCP endpoint has not (for example tcp://db.example:5432)"
        ));
    }
    match url.port() {
        Some(port) => Ok(ProbeTarget::Tcp { host, port }),
        None => Err("has no port (for example tcp://db.example:5432)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_and_url(text: &str) -> (String, String) {
        let endpoint = ProbeTarget::parse(text).unwrap();
        (endpoint.host(), endpoint.to_string())
    }

    #[test]
    fn forms() {
        for (text, host, url) in [
            ("http://h", "h", "http://h/"),
            (" HTTP://H:80/a?b=c ", "h", "http://h/a?b=c"),
            (
                "https://[::1]:8443/-/ready",
                "::1",
                "https://[::1]:8443/-/ready",
            ),
            ("tcp://H:80", "h", "tcp://h:80"),
            ("tcp://[::1]:5432/", "::1", "tcp://[::1]:5432"),
            ("tcp://127.1:9", "127.0.0.1", "tcp://127.0.0.1:9"),
            (
                "tcp://bücher.example:9",
                "xn--bcher-kva.example",
                "tcp://xn--bcher-kva.example:9",
            ),
        ] {
            assert_eq!(host_and_url(text), (host.into(), url.into()), "{text}");
        }
    }

    #[test]
    fn credentials_are_kept_apart() {
        let endpoint = ProbeTarget::parse("https://u%40x:p%2Fw@h:1/p").unwrap();
        assert_eq!(endpoint.to_string(), "https://h:1/p");
        let ProbeTarget::Http(target) = endpoint else {
            panic!("no HTTP");
        };
        let credentials = target.credentials.unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("u@x", "p/w"));
    }

    #[test]
    fn errors_show_no_secret() {
        for text in [
            "http://user:s3cret@h:notaport",
            "http://user:s3/cret@h",
            "ftp://user:s3cret@h",
            "user:s3cret@h",
            "s3cret://h",
            "http://user:s3cret@h#f",
            "http://user:s3cret%ff@h",
            "tcp://user:s3cret@h:1",
        ] {
            let message = ProbeTarget::parse(text).err().unwrap();
            assert!(
                !message.contains("s3") && !message.contains("cret"),
                "{message}"
            );
        }
    }
}
