//! What every server of ours shares: listeners, connections, TLS and users from a web config file,
//! what counts the requests, and the log.
//!
//! It may use [`metricsjob_system::files`] and [`metricsjob_metrics`] only. A [`Server`] is bound first, so that whatever is wrong with an address
//! or the config file is found before anything else is done; then it serves an [`axum::Router`].
//!
//! - `listen`: addresses and sockets of systemd; `descriptors`: how many files may be open.
//! - `server`: from the bound listeners to the end of the last connection; `accept`: the loop that
//!   takes connections.
//! - `pool`: which connections there are, what each waits for, and which ones have to go; `entry` is
//!   one of them.
//! - `connection`: one of them from its handshake on; `stream`: what it is carried by; `tracked`:
//!   what is told to `entry` on the way.
//! - [`content_encoding`]: how a body is compressed; [`pace`]: how fast a body has to come.
//! - [`Known`]: whether it is known who sent a request.
//! - [`origin`]: the names we are reached by, and whose pages may change something; `framing`: heads that are none.
//! - `config`: the web config file; `gate`: what it wants of each request; `users`: who may;
//!   `rate_limit`: how many may.
//! - [`instrumentation`]: metrics of the requests.
//! - [`files`]: a page, and the files that belong to it.
//! - [`log`]: the events of [`tracing`] as lines on stderr.
//! - [`negotiation`]: in which format metrics are wanted; [`sending`]: large answers on their way.

mod accept;
mod access;
pub mod byte_budget;
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
pub mod negotiation;
pub mod observe;
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
pub use instrumentation::HttpMetrics;
pub use listen::ListenError;
pub use server::{Refuse, Server, give_back_memory};

/// What a server is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `HOST:PORT`, where no host means all interfaces and port 0 a free one.
    pub listen_addresses: Vec<String>,
    /// The web config file, in the format of Prometheus' exporter-toolkit.
    pub config_file: Option<PathBuf>,
    /// Takes the listeners from systemd instead.
    pub systemd_socket: bool,
    /// How many connections there may be at once. More wait, and the ones that have waited for
    /// their client for longest are closed for them.
    pub max_connections: usize,
    /// For how long a client may keep us waiting: with the TLS handshake, with the head of a request
    /// from its first byte on, and with taking any more of an answer. Whoever reads a body ends it when its
    /// [`pace`] is so far behind, as a server can answer that.
    pub read_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// Further names that the server is reached by; see [`origin`].
    pub allowed_hosts: Vec<Host>,
    /// The URL under which it is reached from outside.
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

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}
