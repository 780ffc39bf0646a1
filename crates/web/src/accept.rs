//! Accept loop of a listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::net::{TcpListener, UnixListener};
use tracing::{Level, enabled, error};

use super::connection::{self, Peer, Site};
use super::stream::Stream;
use metricsjob_system::panics::point;
use metricsjob_system::reason;

/// A listener registered with the runtime.
pub enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                // A response is a single write. The call fails if the connection is already closed.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(client)))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

/// Pause after a failed accept, such as for too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two log lines about connections that cannot be accepted.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Accepts connections until the future is dropped.
pub async fn accept(site: &Arc<Site>, acceptor: &Acceptor) {
    let mut said: Option<Instant> = None;
    loop {
        let (stream, client) = match acceptor.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                    said = Some(Instant::now());
                    error!(err = reason(&error), "Could not accept a connection");
                }
                site.pool.evict();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let client = Peer {
            address: client.map(|client| client.ip()),
            // Shown by the debug log only.
            socket: client.filter(|_| enabled!(Level::DEBUG)),
        };
        let place = site.pool.enter().await;
        point("accept");
        tokio::spawn(connection::serve(Arc::clone(site), place, stream, client));
    }
}

/// Returns true for errors that accept(2) passes on from a single connection: that one is over, but the next
/// may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(
        number,
        Some(
            Errno::ECONNABORTED
                | Errno::ECONNRESET
                | Errno::EINTR
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENONET
                | Errno::ENOPROTOOPT
                | Errno::EOPNOTSUPP
        )
    )
}
