//! Who may change something over HTTP: start a run, or have the job files read again.

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderName};
use url::{Host, Url};

use crate::web::Known;

/// What decides who may change something.
pub struct Permission {
    /// Whether the command line allows it to everybody.
    is_allowed: bool,
    /// Whether no other machine can reach the server.
    is_loopback: bool,
}

impl Permission {
    pub fn new(is_allowed: bool, is_loopback: bool) -> Self {
        Permission {
            is_allowed,
            is_loopback,
        }
    }

    /// Who may change something by requests like the one with these extensions.
    pub fn granted_to(&self, extensions: &Extensions) -> Granted {
        let is_known = extensions.get::<Known>().is_some();
        Granted::to(self.is_allowed, is_known, self.is_loopback)
    }
}

/// Who may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// Whoever gets here: it was allowed, or they have shown who they are.
    Everybody,
    /// Programs of this machine. A page in a browser here is none, whatever name it is reached by.
    ThisMachine,
    Nobody,
}

impl Granted {
    /// `is_allowed` on the command line; `is_known` if they have shown who they are; `is_loopback` if no other
    /// machine gets here.
    fn to(is_allowed: bool, is_known: bool, is_loopback: bool) -> Self {
        match (is_allowed || is_known, is_loopback) {
            (true, _) => Granted::Everybody,
            (false, true) => Granted::ThisMachine,
            (false, false) => Granted::Nobody,
        }
    }

    /// Whether a request with these headers may change something.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(self, headers: &HeaderMap) -> Result<(), String> {
        if self == Granted::Nobody {
            return Err(
                "it is not allowed, because other machines reach this server: allow it by \
                        --web.enable-lifecycle, or have users log in by --web.config.file"
                    .into(),
            );
        }
        let host = text(headers, &HOST).unwrap_or_default();
        // A name that another site has given to this address would make its pages ours.
        if self == Granted::ThisMachine && !is_of_this_machine(host) {
            return Err(format!(
                "it is allowed to programs of this machine only, which call it localhost or 127.0.0.1, and not \
                 {host:?}: --web.enable-lifecycle allows it to others"
            ));
        }
        match text(headers, &ORIGIN) {
            Some(origin) if !is_origin_of(origin, host) => Err(format!(
                "it is not allowed to pages of other sites (Origin {origin:?})"
            )),
            None if headers.contains_key(ORIGIN) => Err("the Origin is not text".into()),
            _ => Ok(()),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_of_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    // No browser and no program sends a user there.
    if host.contains('@') {
        return false;
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    match Host::parse(name) {
        _ if name == "::1" => true,
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        _ => false,
    }
}

/// Whether the page of `origin` (RFC 6454) was served by `host`.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let of_page = Url::parse(origin);
    let Ok(of_page) = of_page else { return false };
    // With the same scheme, so that default ports are the same.
    let ours = Url::parse(&format!("{}://{host}/", of_page.scheme()));
    let is_same = |ours: Url| {
        let pairs = (of_page.host(), of_page.port_or_known_default());
        pairs == (ours.host(), ours.port_or_known_default()) && of_page.has_host()
    };
    matches!(of_page.scheme(), "http" | "https") && ours.is_ok_and(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(granted: Granted, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        granted.check(&headers).is_ok()
    }

    #[test]
    fn who_may() {
        assert_eq!(Granted::to(false, false, false), Granted::Nobody);
        assert_eq!(Granted::to(false, false, true), Granted::ThisMachine);
        assert_eq!(Granted::to(true, false, false), Granted::Everybody);
        assert_eq!(Granted::to(false, true, true), Granted::Everybody);
        assert!(!allowed(Granted::Nobody, "127.0.0.1", None));
    }

    #[test]
    fn names_of_this_machine() {
        for host in [
            "127.0.0.1:9464",
            "127.1.2.3",
            "localhost:1",
            "a.localhost",
            "[::1]:9464",
        ] {
            assert!(allowed(Granted::ThisMachine, host, None), "{host}");
        }
        for host in [
            "evil.example:9464",
            "192.0.2.1",
            "localhost.evil.example",
            "evil.example@127.0.0.1",
            "",
            "a b",
        ] {
            assert!(!allowed(Granted::ThisMachine, host, None), "{host}");
            assert!(allowed(Granted::Everybody, host, None), "{host}");
        }
    }

    #[test]
    fn pages_of_others() {
        let may = |host, origin| allowed(Granted::Everybody, host, Some(origin));
        assert!(may("a.example:9464", "http://a.example:9464"));
        assert!(may("a.example", "https://A.example"));
        assert!(may("[::1]:9464", "http://[::1]:9464"));
        for origin in [
            "http://b.example:9464",
            "http://a.example",
            "http://a.example:9465",
            "null",
            "",
            "file:///a",
            "data:a",
            "http://a.example.evil.example:9464",
        ] {
            assert!(!may("a.example:9464", origin), "{origin}");
        }
    }
}
