//! Names that a listener is reached by, and sites whose pages may change something.
//!
//! Browsers send requests on behalf of any page that they show. A page of another site is recognized by its
//! `Origin`, and one that reaches the server by a domain name of its own, rebound to the server's address, by
//! its `Host`.

use std::sync::Arc;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use url::{Host, Url};

use super::Settings;

/// Rules for `Host` and `Origin` on one listener.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    /// Hosts allowed in addition to loopback names and the host of the external URL; `None` if every name is
    /// allowed.
    allowed_hosts: Option<Arc<[Host]>>,
    external_url: Option<Url>,
}

/// A request refused because it may come from a page of another site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    #[error(
        "this server is not reached by the name {0:?}: call it localhost or 127.0.0.1, or allow the name by \
         --web.allowed-hosts"
    )]
    Host(String),
    #[error("pages of other sites may not do this (Origin {0:?})")]
    Origin(String),
}

impl Foreign {
    pub fn status(&self) -> StatusCode {
        StatusCode::FORBIDDEN
    }
}

impl OriginPolicy {
    /// Returns the rules for a listener, depending on whether it is reached by loopback addresses alone.
    pub fn new(settings: &Settings, is_loopback: bool) -> Self {
        let allowed = &settings.allowed_hosts;
        // By which names any other listener is reached cannot be known.
        let is_checked = is_loopback || !allowed.is_empty();
        OriginPolicy {
            allowed_hosts: is_checked.then(|| allowed.as_slice().into()),
            external_url: settings.external_url.clone(),
        }
    }

    /// Returns the rules for a socket that no browser can open.
    pub fn local() -> Self {
        OriginPolicy {
            allowed_hosts: None,
            external_url: None,
        }
    }

    /// Checks the `Host` and the `Origin` of a request.
    ///
    /// # Errors
    ///
    /// The `Host` is not a name of this server, or the request would change something on behalf of a page of
    /// another site.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let host = match uri.authority() {
            // It takes precedence over the header (RFC 9112, section 3.2.2).
            Some(authority) => Some(authority.as_str().as_bytes()),
            // Only programs leave it out, and only in HTTP/1.0.
            None => headers.get(HOST).map(|host| host.as_bytes()),
        };
        if let (Some(allowed), Some(host)) = (&self.allowed_hosts, host)
            && !self.is_ours(allowed, host)
        {
            return Err(Foreign::Host(String::from_utf8_lossy(host).into_owned()));
        }
        if method.is_safe() {
            return Ok(());
        }
        let host = host.map_or("", |host| str::from_utf8(host).unwrap_or_default());
        for origin in headers.get_all(ORIGIN) {
            let is_own = |origin: &str| {
                let page = Url::parse(origin).ok().filter(Url::has_host);
                page.is_some_and(|page| self.is_own_page(&page, host))
            };
            if !origin.to_str().is_ok_and(is_own) {
                let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
                return Err(Foreign::Origin(origin));
            }
        }
        Ok(())
    }

    fn is_ours(&self, allowed: &[Host], host: &[u8]) -> bool {
        let Ok(host) = str::from_utf8(host) else {
            return false;
        };
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        // Nearly all requests use one of these names, which need no parsing.
        if matches!(name, "127.0.0.1" | "localhost")
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return true;
        }
        let Some(host) = host_of(host) else {
            return false;
        };
        let external = self.external_url.as_ref().and_then(Url::host);
        is_loopback(&host)
            || allowed.contains(&host)
            || external.is_some_and(|external| external.to_owned() == host)
    }

    /// Returns true if the page was served by `host`, or by the URL under which the server is reached from
    /// outside.
    fn is_own_page(&self, page: &Url, host: &str) -> bool {
        if !matches!(page.scheme(), "http" | "https") {
            return false;
        }
        let origin = page.origin();
        let external = self.external_url.as_ref();
        // The page's scheme is assumed, because a proxy in front of the server may speak TLS.
        let ours = Url::parse(&format!("{}://{host}/", page.scheme()));
        ours.is_ok_and(|ours| ours.origin() == origin)
            || external.is_some_and(|external| external.origin() == origin)
    }
}

/// Returns the host named by a `Host` header.
fn host_of(header: &str) -> Option<Host> {
    // Neither browsers nor programs send user information in it.
    if header.contains('@') {
        return None;
    }
    let authority = header.parse::<Authority>().ok()?;
    let port = header.strip_prefix(authority.host())?;
    let port = port.strip_prefix(':').unwrap_or(port);
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        parse(authority.host())
    } else {
        None
    }
}

/// Parses a name, which is returned in lower case and without a trailing dot, or an address; IPv6 in
/// brackets.
fn parse(text: &str) -> Option<Host> {
    match Host::parse(text).ok()? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            (!name.is_empty()).then(|| Host::Domain(name.to_owned()))
        }
        address => Some(address),
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

/// Parses an entry of `--web.allowed-hosts`: a name or an address, without a port.
pub fn parse_allowed_host(text: &str) -> Result<Host, String> {
    if let Ok(address) = text.parse() {
        return Ok(Host::Ipv6(address));
    }
    // Patterns are not supported.
    if let Some(host) = parse(text).filter(|_| !text.contains('*')) {
        return Ok(host);
    }
    Err(
        "it is no name and no address, without scheme and port (for example metrics.example)"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allowed: &[&str], external: Option<&str>, is_loopback: bool) -> OriginPolicy {
        let allowed_hosts = allowed.iter().map(|host| parse_allowed_host(host).unwrap());
        let settings = Settings {
            allowed_hosts: allowed_hosts.collect(),
            external_url: external.map(|url| url.parse().unwrap()),
            ..Settings::on("127.0.0.1:0")
        };
        OriginPolicy::new(&settings, is_loopback)
    }

    fn check(
        policy: &OriginPolicy,
        method: Method,
        host: &str,
        origin: Option<&str>,
    ) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        policy.check(&method, &Uri::from_static("/"), &headers)
    }

    #[test]
    fn hosts_of_loopback_listeners() {
        let ours = policy(
            &["A.example", "192.0.2.7", "::2"],
            Some("https://b.example/x"),
            true,
        );
        let elsewhere = policy(&[], Some("https://b.example/x"), false);
        let taken = |policy: &OriginPolicy, host: &str| check(policy, Method::GET, host, None);
        for host in [
            "127.0.0.1:9464",
            "127.1.2.3",
            "localhost:1",
            "LOCALHOST.",
            "x.localhost",
            "[::1]:9464",
            "[::ffff:127.0.0.1]",
            "a.example:9091",
            "a.EXAMPLE.",
            "b.example",
            "192.0.2.7:1",
            "[::2]",
        ] {
            assert_eq!(taken(&ours, host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:9464",
            "x.a.example",
            "192.0.2.1",
            "localhost.evil.example",
            "evil.example@127.0.0.1",
            "evil.example:80@127.0.0.1:1",
            "localhost:localhost",
            "",
            ":80",
            ".",
            "a b",
            "\u{e4}",
        ] {
            let refused = taken(&ours, host);
            assert_eq!(refused, Err(Foreign::Host(host.into())), "{host}");
            assert_eq!(taken(&elsewhere, host), Ok(()), "{host}");
        }
    }

    #[test]
    fn an_absolute_target_goes_before_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        let target = Uri::from_static("http://evil.example/");
        let refused = policy(&[], None, true).check(&Method::GET, &target, &headers);
        assert!(refused.is_err());
        let none = policy(&[], None, true);
        let head = HeaderMap::new();
        assert_eq!(
            none.check(&Method::PUT, &Uri::from_static("/"), &head),
            Ok(())
        );
    }

    #[test]
    fn pages_of_others() {
        let policy = policy(&[], Some("https://out.example/x"), false);
        let may = |method: Method, host, origin| check(&policy, method, host, Some(origin)).is_ok();
        for (host, origin) in [
            ("a.example:9464", "http://a.example:9464"),
            ("a.example", "https://A.example"),
            ("[::1]:9464", "http://[::1]:9464"),
            ("127.0.0.1:9091", "https://out.example"),
        ] {
            assert!(may(Method::POST, host, origin), "{origin}");
        }
        for origin in [
            "http://b.example:9464",
            "http://a.example",
            "http://a.example:9465",
            "null",
            "",
            "file:///a",
            "data:a",
            "ftp://a.example:9464",
            "http://out.example",
            "http://a.example.evil.example:9464",
            "\u{e4}",
        ] {
            for method in [
                Method::POST,
                Method::PUT,
                Method::DELETE,
                Method::from_bytes(b"X").unwrap(),
            ] {
                assert!(!may(method, "a.example:9464", origin), "{origin}");
            }
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                assert!(may(method, "a.example:9464", origin), "{origin}");
            }
        }
    }

    #[test]
    fn allowed_hosts() {
        for wrong in [
            "",
            "http://a.example",
            "a.example:80",
            "a b",
            "[::1]:80",
            "*",
        ] {
            assert!(parse_allowed_host(wrong).is_err(), "{wrong}");
        }
    }
}
