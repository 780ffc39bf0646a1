//! Ports of 127.0.0.1: one that stays ours while nobody listens on it, and those of servers in the tests' own process.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt,
    socket, sockopt,
};

/// A port of 127.0.0.1. A socket that never listens is bound to it: connections are refused, nobody
/// gets it from the system, and whoever sets `SO_REUSEADDR`, as servers do, can listen on it.
pub struct Port {
    number: u16,
    _holder: OwnedFd,
}

impl Port {
    pub fn reserve() -> Self {
        let (number, holder) = bound(0);
        Port {
            number,
            _holder: holder,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    pub fn listen(&self) -> TcpListener {
        let (_, listener) = bound(self.number);
        listen(&listener, Backlog::new(128).unwrap()).unwrap();
        listener.into()
    }
}

fn bound(port: u16) -> (u16, OwnedFd) {
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Stream, flags, None).unwrap();
    setsockopt(&socket, sockopt::ReuseAddr, &true).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
    let address: SockaddrIn = getsockname(socket.as_raw_fd()).unwrap();
    (address.port(), socket)
}

/// The port of a server that has each connection served by a thread of its own, as long as the test's process goes on.
pub fn served(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    port
}
