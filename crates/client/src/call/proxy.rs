//! Proxies from the environment.

use std::env;
use std::net::IpAddr;

use url::{Host, Url};

use super::Credentials;

/// A proxy set by an environment variable.
pub struct Proxy {
    /// The name of the variable.
    pub variable: &'static str,
    /// True if the connection to the proxy itself uses TLS.
    pub is_tls: bool,
    /// The user and password for the proxy, from its URL.
    pub credentials: Option<Credentials>,
}

/// Returns the proxy that reqwest takes from the environment for `url`, which must be http or https. Messages should
/// name the variable, because its value may contain a password.
pub fn proxy(url: &Url) -> Option<Proxy> {
    let variables = match url.scheme() {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let (variable, value) = first_set(variables)?;
    (!is_excepted(url)).then(|| Proxy {
        variable,
        is_tls: value
            .get(..8)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")),
        // A value without a scheme means http.
        credentials: [value.clone(), format!("http://{value}")]
            .iter()
            .find_map(|url| Credentials::take(&mut Url::parse(url).ok()?).ok()?),
    })
}

/// Returns true if `NO_PROXY` excepts `url` from all proxies. reqwest reads it too, but takes `*` for names only, and
/// supports neither ports nor blanks between entries.
pub fn is_excepted(url: &Url) -> bool {
    let list = first_set(["NO_PROXY", "no_proxy"]);
    let list = list.map(|(_, list)| list).unwrap_or_default();
    excepts(&list, url)
}

fn first_set<const N: usize>(variables: [&'static str; N]) -> Option<(&'static str, String)> {
    variables.into_iter().find_map(|variable| {
        let value = env::var(variable).ok().filter(|value| !value.is_empty())?;
        Some((variable, value))
    })
}

/// Returns true if an entry of `list`, separated by commas or blanks, matches `url`.
fn excepts(list: &str, url: &Url) -> bool {
    let Some(host) = url.host() else {
        return false;
    };
    let host = host.to_owned();
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    let mut entries = entries.filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let (name, port) = without_port(entry);
        port.is_none_or(|port| Some(port) == url.port_or_known_default()) && is_for(name, &host)
    })
}

/// Splits `host:port` and `[address]:port`; an IPv6 address without brackets has no port.
fn without_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Returns true if `name` matches `host`: `*` matches all, an IP address itself, a network in CIDR notation its
/// addresses, and a domain, with or without `.` or `*.` before it, itself and its subdomains.
fn is_for(name: &str, host: &Host) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name == "*" {
        return true;
    }
    let address = match host {
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
        Host::Domain(domain) => {
            let domain = domain.trim_end_matches('.').to_ascii_lowercase();
            let name = name.trim_start_matches('*').trim_start_matches('.');
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let rest = domain.strip_suffix(&name);
            return !name.is_empty() && rest.is_some_and(|r| r.is_empty() || r.ends_with('.'));
        }
    };
    match name.split_once('/') {
        None => name.parse() == Ok(address),
        Some((network, length)) => match (network.parse(), length.parse()) {
            (Ok(network), Ok(length)) => is_within(address, network, length),
            _ => false,
        },
    }
}

fn is_within(address: IpAddr, network: IpAddr, length: u32) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (a.to_bits().into(), n.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128_u32),
        _ => return false,
    };
    let differing: u128 = address ^ network;
    let rest = width.saturating_sub(length);
    length <= width && differing.checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_excepted_by(list: &str, url: &str) -> bool {
        excepts(list, &Url::parse(url).unwrap())
    }

    #[test]
    fn what_is_excepted() {
        for (list, url) in [
            ("*", "http://127.0.0.1:9091"),
            ("*", "http://[::1]"),
            ("a, *", "http://h"),
            ("127.0.0.1", "http://127.0.0.1:9091"),
            ("a b\t127.0.0.1", "http://127.0.0.1:9091"),
            ("127.0.0.1:9091", "http://127.0.0.1:9091"),
            ("h:80", "http://h"),
            ("h:443", "https://h"),
            ("[::1]:9091", "http://[::1]:9091"),
            ("::1", "http://[0:0::1]:9091"),
            ("10.0.0.0/8", "http://10.1.2.3"),
            ("0.0.0.0/0", "http://10.1.2.3"),
            ("fd00::/8", "http://[fd12::1]"),
            ("Example.com", "http://a.example.com"),
            (".example.com", "http://example.com"),
            ("*.example.com.", "http://a.b.EXAMPLE.com."),
        ] {
            assert!(is_excepted_by(list, url), "{list} {url}");
        }
    }

    #[test]
    fn what_is_not() {
        for (list, url) in [
            ("", "http://h"),
            (" , ", "http://h"),
            ("127.0.0.1:9092", "http://127.0.0.1:9091"),
            ("h:80", "https://h"),
            ("example.com", "http://notexample.com"),
            ("a.example.com", "http://example.com"),
            ("10.0.0.0/8", "http://11.1.2.3"),
            ("10.0.0.0/33", "http://10.0.0.0"),
            ("10.0.0.0/8", "http://[::ffff:10.0.0.1]"),
            ("127.0.0.1", "http://127.0.0.10"),
            (".", "http://h"),
        ] {
            assert!(!is_excepted_by(list, url), "{list} {url}");
        }
    }
}
