//! From the bound listeners to the end of the last connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::accept::{Acceptor, accept};
use super::config::Config;
use super::connection::Site;
use super::instrumentation::HttpMetrics;
use super::listen::{self, Listener};
use super::origin::OriginPolicy;
use super::pool::{Pool, PoolTimeouts};
use super::{Settings, WebError, descriptors};
use metricsjob_system::panics::{point, restarting_async};

/// How many connections the local sockets may have at once. They have places of their own, so that
/// the network cannot lock them out.
pub const LOCAL_CONNECTIONS: usize = 256;

/// The response to a request that does not get as far as the application, with the reason for it.
pub type Refuse = fn(StatusCode, String) -> Response;

/// A server that listens, and does not accept anything yet.
pub struct Server {
    /// With the rules for their requests.
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
    /// Reads the config file and binds everything. It needs no runtime, and raises the process's
    /// limit of open files as far as it needs.
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

    /// Where it listens on the network, with the real port for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn is_tls(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.is_tls())
    }

    /// Returns true if no other machine can reach it.
    pub fn is_loopback(&self) -> bool {
        let is_of_this_machine =
            |listener: &Listener| listener.is_loopback() || matches!(listener, Listener::Unix(_));
        let mut listeners = self.listeners.iter().map(|(listener, _)| listener);
        listeners.all(is_of_this_machine)
    }

    /// Has requests refused in the form that the application's own errors have; as text by default.
    pub fn refuse_by(&mut self, refuse: Refuse) {
        self.refuse = refuse;
    }

    /// Serves `app` on a Unix socket too, without what the web config file says: who may open it is
    /// decided by its file's permissions.
    pub fn add_local(&mut self, listener: UnixListener, app: Router) {
        self.local.push((listener, app));
    }

    /// Serves `app` until `shutdown` is ready. Then it stops accepting, lets requests in flight end
    /// for at most `grace`, and returns. `http` counts the requests, those on local sockets too.
    pub async fn serve(
        self,
        app: Router,
        http: Arc<HttpMetrics>,
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
        // Dropped, it ends the tasks in it.
        let mut tasks = JoinSet::new();
        // Nobody would notice the end of one of them.
        for pool in [&public, &local] {
            let pool = Arc::clone(pool);
            tasks.spawn(async move { restarting_async("sweep", || sweep(&pool)).await });
        }
        if let Some(config) = &self.config {
            tasks.spawn(Arc::clone(config).watch());
        }
        let mut start = |site: &Arc<Site>, listener| match registered(listener) {
            Ok(acceptor) => {
                let site = Arc::clone(site);
                tasks.spawn(async move {
                    restarting_async("accept", || accept(&site, &acceptor)).await;
                });
            }
            Err(error) => error!(err = %error, "Could not serve a listener"),
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

async fn sweep(pool: &Pool) {
    let mut ticks = interval(pool.sweep_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut parked = 0;
    loop {
        ticks.tick().await;
        // The ones of the last sweep have freed their memory meanwhile.
        if parked >= MANY_PARKED {
            give_back_memory();
            parked = 0;
        }
        point("sweep");
        parked += pool.sweep();
    }
}

/// So many connections hold about 16 MiB for HTTP.
const MANY_PARKED: usize = 1000;

/// Gives memory back to the system that is free between blocks in use, which only this does.
pub fn give_back_memory() {
    // SAFETY: malloc_trim(3) may be called at any time, and touches free memory only.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// The listener within the runtime.
fn registered(listener: Listener) -> io::Result<Acceptor> {
    Ok(match listener {
        Listener::Tcp(listener) => Acceptor::Tcp(tokio::net::TcpListener::from_std(listener)?),
        Listener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            Acceptor::Unix(tokio::net::UnixListener::from_std(listener)?)
        }
    })
}
