//! Listeners: bound to addresses of the command line, or passed as sockets by systemd.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use nix::libc;

/// A non-blocking socket that accepts connections.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Returns true if only programs of this machine can reach it, through a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self {
            Listener::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|address| address.ip().to_canonical().is_loopback()),
            Listener::Unix(_) => false,
        }
    }
}

/// Reason why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "{address:?} is not an address to listen on: {reason} \
         (try 127.0.0.1:9091, or :9091 for all interfaces)"
    )]
    Address { address: String, reason: String },
    #[error("there is not an address to listen on")]
    None,
    #[error("could not listen on {address}: {}", explained(.source))]
    Bind { address: String, source: io::Error },
    #[error(
        "systemd has passed no socket (LISTEN_FDS): let a .socket unit start this, or do not ask for one"
    )]
    NoSystemdSocket,
    #[error(
        "socket {number} that systemd has passed is of another kind than ListenStream=: {}",
        metricsjob_system::reason(.source)
    )]
    SystemdSocket { number: usize, source: io::Error },
}

fn explained(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "address already in use by another process".into(),
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address (:PORT listens on all it has)".into()
        }
        ErrorKind::PermissionDenied => {
            "permission denied: ports below 1024 are often for root only".into()
        }
        _ => metricsjob_system::reason(error),
    }
}

/// Listens on each of `addresses`.
pub fn bind(addresses: &[String]) -> Result<Vec<Listener>, ListenError> {
    if addresses.is_empty() {
        return Err(ListenError::None);
    }
    let bound = |address: &String| {
        let listener = bind_one(address)?;
        // The standard library's backlog of 128 fills up quickly when many clients connect at once.
        unsafe { libc::listen(listener.as_raw_fd(), 4096) };
        Ok(Listener::Tcp(listener))
    };
    addresses.iter().map(bound).collect()
}

fn bind_one(address: &str) -> Result<TcpListener, ListenError> {
    let (host, port) = split(address).map_err(|reason| ListenError::Address {
        address: address.into(),
        reason: reason.into(),
    })?;
    let listen = |address: SocketAddr| -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let bound = match host {
        // An IPv6 socket accepts IPv4 connections too, if the system has IPv6 at all.
        "" => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                listen((Ipv4Addr::UNSPECIFIED, port).into())
            }
            bound => bound,
        },
        host => listen(resolve(host, port).map_err(|source| ListenError::Address {
            address: address.into(),
            reason: format!("the name {host:?} is not known: {source}"),
        })?),
    };
    bound.map_err(|source| ListenError::Bind {
        address: address.into(),
        source,
    })
}

/// Splits `address` into the host, without brackets, and the port.
fn split(address: &str) -> Result<(&str, u16), &'static str> {
    if address.contains("://") {
        return Err("it is a URL");
    }
    let (host, port) = address.rsplit_once(':').ok_or("it has no port")?;
    let port = port
        .parse()
        .map_err(|_| "its port is not a number from 0 to 65535")?;
    match host.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => Ok((host, port)),
            _ => Err("the text in its brackets is not an IPv6 address"),
        },
        None if host.contains(':') => Err("an IPv6 address needs brackets around it"),
        None => Ok((host, port)),
    }
}

/// Resolves `host`. If it has several addresses, an IPv4 one is chosen, as other Prometheus servers do.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let all: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    all.iter()
        .find(|address| address.is_ipv4())
        .or(all.first())
        .copied()
        .ok_or_else(|| io::Error::other("it has no address"))
}

/// Returns the sockets that systemd passed, and removes the variables that name them.
pub fn from_systemd() -> Result<Vec<Listener>, ListenError> {
    let mut passed = ListenFd::from_env();
    let listeners: Vec<Listener> = (0..passed.len())
        .map(|number| {
            take(&mut passed, number)
                .map_err(|source| ListenError::SystemdSocket { number, source })
        })
        .collect::<Result<_, _>>()?;
    if listeners.is_empty() {
        Err(ListenError::NoSystemdSocket)
    } else {
        Ok(listeners)
    }
}

fn take(passed: &mut ListenFd, number: usize) -> io::Result<Listener> {
    let taken = || io::Error::other("it is taken already");
    // The first call fails on a Unix socket, but leaves it in place.
    if let Ok(listener) = passed.take_tcp_listener(number) {
        let listener = listener.ok_or_else(taken)?;
        listener.set_nonblocking(true)?;
        return Ok(Listener::Tcp(listener));
    }
    let listener = passed.take_unix_listener(number)?.ok_or_else(taken)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(split(":9091"), Ok(("", 9091)));
        assert_eq!(split("[::1]:0"), Ok(("::1", 0)));
        assert_eq!(split("localhost:80"), Ok(("localhost", 80)));
        let refused = |address: &str| bind_one(address).map(drop).unwrap_err().to_string();
        assert_eq!(
            refused("localhost"),
            "\"localhost\" is not an address to listen on: it has no port \
             (try 127.0.0.1:9091, or :9091 for all interfaces)"
        );
        for (address, reason) in [
            ("http://localhost:80", "it is a URL"),
            ("vsock://:9091", "it is a URL"),
            (":70000", "its port is not a number from 0 to 65535"),
            ("::1:9091", "an IPv6 address needs brackets around it"),
            ("[x]:1", "the text in its brackets is not an IPv6 address"),
            (
                "nowhere.invalid:1",
                "the name \"nowhere.invalid\" is not known",
            ),
        ] {
            assert!(refused(address).contains(reason), "{}", refused(address));
        }
    }

    #[test]
    fn a_taken_address() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert_eq!(
            bind(std::slice::from_ref(&address))
                .map(drop)
                .unwrap_err()
                .to_string(),
            format!("could not listen on {address}: address already in use by another process")
        );
        let error = bind(&["192.0.2.1:0".into()]).map(drop).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("this machine has no such address")
        );
    }

    #[test]
    fn all_interfaces() {
        let listener = bind_one(":0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
