//! Common base of all our servers: listeners, connections, TLS and users from a web config file, request
//! metrics, and the log.
//!
//! It may use [`metricsjob_system::files`], [`metricsjob_http`] and [`metricsjob_metrics`] only. A [`Server`] is bound first, so
//! that an invalid address or config file is found before anything else is done; then it serves an
//! [`axum::Router`].
//!
//! - `listen`: addresses, and sockets passed by systemd; `descriptors`: the limit of open files.
//! - `server`: from the bound listeners to the end of the last connection; `accept`: the loop that accepts
//!   connections.
//! - `pool`: the open connections, and which have to make way; `entry`: the state of one of them, and how long
//!   it may wait for its client.
//! - `connection`: one connection from its handshake on; `stream`: its transport; `tracked` and `observed`: how
//!   its stream and its bodies report their progress to `entry`.
//! - [`certificate`]: names and validity of a certificate.
//! - [`content_encoding`]: the compression of a request body; [`pace`]: the minimum speed of a body.
//! - [`Known`]: marks requests whose sender is known.
//! - [`origin`]: the names that a server is reached by, and the sites whose pages may change something;
//!   `framing`: invalid request heads.
//! - `config`: the web config file; `gate`: its rules for requests; `users`: authentication; `rate_limit`:
//!   the rate limit.
//! - [`instrumentation`]: metrics of the requests, which [`metricsjob_http`] counts.
//! - [`files`]: responses with a page, and with the files that belong to it.
//! - [`log`]: the events of [`tracing`] as lines on stderr.
//! - [`negotiation`]: the format in which a client wants metrics; [`sending`]: large responses in flight.

mod accept;
mod access;
pub mod byte_budget;
pub mod certificate;
mod config;
mod connection;
pub mod content_encoding;
mod descriptors;
mod entry;
pub mod files;
mod framing;
mod gate;
pub mod instrumentation;
mod listen;
pub mod log;
pub mod observe;
mod observed;
pub mod origin;
pub mod pace;
pub mod page;
mod pool;
mod rate_limit;
pub mod sending;
mod server;
mod stream;
mod tracked;
mod turns;
mod users;

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

pub use access::Known;
pub use config::{ConfigError, Problem as ConfigProblem};
pub use descriptors::make_room;
pub use instrumentation::ServerMetrics;
pub use listen::ListenError;
pub use metricsjob_http::negotiation;
pub use server::{Refuse, Server};

/// Options of a server on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `HOST:PORT`; without a host it means all interfaces, and port 0 means any free port.
    pub listen_addresses: Vec<String>,
    /// The web config file, in the format of Prometheus' exporter-toolkit.
    pub config_file: Option<PathBuf>,
    /// Takes the listeners from systemd instead.
    pub systemd_socket: bool,
    /// Maximum number of concurrent connections. Further ones wait, and the connections that have been
    /// waiting for their clients for the longest are closed to make room.
    pub max_connections: usize,
    /// Maximum time that a client may keep the server waiting: for the TLS handshake, for a request head
    /// after its first byte, and for accepting more of a response. For a request body, the code that reads it
    /// enforces this limit as soon as the [`pace`] is that far behind, because it can still send an error
    /// response.
    pub read_timeout: Duration,
    /// Maximum time that a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// Further names that the server is reached by; see [`origin`].
    pub allowed_hosts: Vec<Host>,
    /// The URL under which the server is reached from outside.
    pub external_url: Option<Url>,
}

#[cfg(test)]
impl Settings {
    fn on(address: &str) -> Self {
        Settings {
            listen_addresses: vec![address.into()],
            config_file: None,
            systemd_socket: false,
            max_connections: 100,
            read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            allowed_hosts: Vec::new(),
            external_url: None,
        }
    }
}

/// Reason why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}
