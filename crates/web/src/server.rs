//! Life cycle of a server, from the bound listeners to the end of the last connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::accept::{Acceptor, accept};
use super::config::Config;
use super::connection::Site;
use super::instrumentation::ServerMetrics;
use super::listen::{self, Listener};
use super::origin::OriginPolicy;
use super::pool::{Pool, PoolTimeouts};
use super::{Settings, WebError, descriptors};
use metricsjob_system::panics::restarting_async;

/// Maximum number of concurrent connections of the local sockets. They have places of their own, so that
/// clients on the network cannot lock them out.
pub const LOCAL_CONNECTIONS: usize = 256;

/// Makes the response to a request that does not reach the application, from its status and the reason.
pub type Refuse = fn(StatusCode, String) -> Response;

/// A server that is bound but does not accept connections yet.
pub struct Server {
    /// The listeners, each with the rules for its requests.
    listeners: Vec<(Listener, OriginPolicy)>,
    addresses: Vec<SocketAddr>,
    config: Option<Arc<Config>>,
    max_connections: usize,
    wanted_connections: usize,
    timeouts: PoolTimeouts,
    local: Vec<(UnixListener, Router)>,
    refuse: Refuse,
}

impl Server {
    /// Reads the config file and binds all listeners. It needs no runtime, and raises the process's limit of
    /// open files as far as necessary.
    pub fn bind(settings: &Settings) -> Result<Server, WebError> {
        let config = match &settings.config_file {
            Some(path) => Some(Arc::new(Config::read(path)?)),
            None => None,
        };
        let listeners = if settings.systemd_socket {
            listen::from_systemd()?
        } else {
            listen::bind(&settings.listen_addresses)?
        };
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        };
        let addresses = listeners.iter().filter_map(address).collect();
        let with_policy = |listener: Listener| {
            let policy = OriginPolicy::new(settings, listener.is_loopback());
            (listener, policy)
        };
        Ok(Server {
            addresses,
            listeners: listeners.into_iter().map(with_policy).collect(),
            config,
            max_connections: descriptors::connections(settings.max_connections),
            wanted_connections: settings.max_connections,
            timeouts: PoolTimeouts {
                read: settings.read_timeout,
                idle: settings.idle_timeout,
            },
            local: Vec::new(),
            refuse: |status, why| (status, why + "\n").into_response(),
        })
    }

    /// Returns the addresses that the server listens on, with the actual port for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn is_tls(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.is_tls())
    }

    /// Returns true if no other machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        let is_of_this_machine =
            |listener: &Listener| listener.is_loopback() || matches!(listener, Listener::Unix(_));
        let mut listeners = self.listeners.iter().map(|(listener, _)| listener);
        listeners.all(is_of_this_machine)
    }

    /// Sets the form of the responses that refuse a request, so that they look like the application's own
    /// errors; the default is plain text.
    pub fn refuse_by(&mut self, refuse: Refuse) {
        self.refuse = refuse;
    }

    /// Serves `app` on a Unix socket too, without the rules of the web config file: the permissions of the
    /// socket's file decide who may connect.
    pub fn add_local(&mut self, listener: UnixListener, app: Router) {
        self.local.push((listener, app));
    }

    /// Serves `app` until `shutdown` is ready. Then it stops accepting, waits at most `grace` for the
    /// requests in flight, and returns. `http` counts the requests, including those on local sockets.
    pub async fn serve(
        self,
        app: Router,
        http: Arc<ServerMetrics>,
        shutdown: impl Future<Output = ()> + Send,
        grace: Duration,
    ) {
        if self.max_connections < self.wanted_connections {
            warn!(
                wanted = self.wanted_connections,
                max = self.max_connections,
                "The limit of open files (ulimit -n) does not allow for --web.max-connections"
            );
        }
        self.announce();
        let public = Arc::new(Pool::new(self.max_connections, self.timeouts));
        let local = Arc::new(Pool::new(LOCAL_CONNECTIONS, self.timeouts));
        // Dropping it ends its tasks.
        let mut tasks = JoinSet::new();
        if let Some(config) = &self.config {
            tasks.spawn(Arc::clone(config).watch());
        }
        let mut start = |site: &Arc<Site>, listener| match registered(listener) {
            Ok(acceptor) => {
                let site = Arc::clone(site);
                // It restarts after a panic, because nobody would notice that it has ended.
                tasks.spawn(async move {
                    restarting_async("accept", || accept(&site, &acceptor)).await;
                });
            }
            Err(error) => error!(
                err = metricsjob_system::reason(&error),
                "Could not serve a listener"
            ),
        };
        for (listener, policy) in self.listeners {
            let pool = Arc::clone(&public);
            let mut site = Site::new(app.clone(), &http, policy, pool, self.refuse);
            site.config = self.config.clone();
            start(&Arc::new(site), listener);
        }
        for (listener, app) in self.local {
            let (policy, pool) = (OriginPolicy::local(), Arc::clone(&local));
            let site = Site::new(app, &http, policy, pool, self.refuse);
            start(&Arc::new(site), Listener::Unix(listener));
        }
        shutdown.await;
        tasks.shutdown().await;
        let (cut, local_cut) = tokio::join!(public.drain(grace), local.drain(grace));
        if cut + local_cut > 0 {
            warn!(
                connections = cut + local_cut,
                "Cut off connections that were not done in time"
            );
        }
    }

    fn announce(&self) {
        let message = if self.is_tls() {
            "TLS is enabled."
        } else {
            "TLS is disabled."
        };
        for (listener, _) in &self.listeners {
            let address = match listener {
                Listener::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
                Listener::Unix(listener) => listener.local_addr().map(|address| {
                    let path = address.as_pathname().map(|path| path.display().to_string());
                    format!("unix:{}", path.unwrap_or_default())
                }),
            };
            let address = address.unwrap_or_default();
            info!(address, "Listening on");
            info!(http2 = false, address, "{message}");
        }
    }
}

/// Registers the listener with the runtime.
fn registered(listener: Listener) -> io::Result<Acceptor> {
    Ok(match listener {
        Listener::Tcp(listener) => Acceptor::Tcp(tokio::net::TcpListener::from_std(listener)?),
        Listener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            Acceptor::Unix(tokio::net::UnixListener::from_std(listener)?)
        }
    })
}
