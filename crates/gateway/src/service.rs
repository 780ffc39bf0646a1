//! Life cycle of a gateway, from the claim on its state directory to its end.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::{error, info};

use super::app::{App, Options};
use super::expiry::Expiry;
use super::keeper::{Keeper, KeeperThread};
use super::own_metrics::OwnMetrics;
use super::router::{local_router, router};
use metricsjob_state::group_writer::{GroupWriter, Sync};
use metricsjob_state::serving::{ServingLock, lock_for_serving};
use metricsjob_state::{FILE_NAME, State, StateError};
use metricsjob_web::{Server, ServerMetrics};

/// Maximum time to wait for a process that is changing the groups.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time for requests in flight to finish when the gateway ends.
const GRACE: Duration = Duration::from_secs(10);

/// Reason why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(
        "another gateway serves the state directory {} already, or an import is under way: let that one end, or \
         choose another with --state-dir",
        .0.display()
    )]
    Taken(PathBuf),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("could not start a thread: {}", metricsjob_system::reason(.0))]
    Thread(io::Error),
    #[error("could not listen for processes of this machine: {}", metricsjob_system::reason(.0))]
    Listen(io::Error),
}

/// Exclusive right to change the groups of a state directory.
pub struct Claim {
    dir: PathBuf,
    lock: Arc<ServingLock>,
}

impl Claim {
    /// Claims the state directory; waits briefly for a process that is changing something.
    pub fn on(dir: &Path) -> Result<Claim, ServiceError> {
        let start = Instant::now();
        loop {
            match lock_for_serving(dir)? {
                Some(lock) => {
                    return Ok(Claim {
                        dir: dir.to_owned(),
                        lock: Arc::new(lock),
                    });
                }
                None if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
                None => return Err(ServiceError::Taken(dir.to_owned())),
            }
        }
    }
}

/// A gateway that has loaded its groups.
pub struct Service {
    app: Arc<App>,
    http: Arc<ServerMetrics>,
    thread: KeeperThread,
    lock: Arc<ServingLock>,
    socket: UnixListener,
    quit: Arc<Notify>,
    lost: Arc<Notify>,
}

impl Service {
    /// Loads the groups. `runtime` will serve the gateway.
    pub fn open(
        claim: Claim,
        options: Options,
        sync: Sync,
        runtime: Handle,
    ) -> Result<Service, ServiceError> {
        let start = Instant::now();
        let Claim { dir, lock } = claim;
        let (mut state, loaded) = State::open_to_serve(&dir)?;
        if let Some(damage) = state.take_damage() {
            error!(err = %damage, "the state was replaced");
        }
        for problem in &loaded.problems {
            error!(err = %problem, "a group could not be read");
        }
        let (writer, mut store) = GroupWriter::new(lock.clone(), state, loaded, sync)?;
        let took = format!("{:.3}", start.elapsed().as_secs_f64());
        info!(
            groups = store.len(),
            seconds = took,
            database = %dir.join(FILE_NAME).display(),
            "groups are loaded"
        );
        store.set_max_series(options.max_series);
        store.set_aggregation(options.aggregation.clone());
        let own = Arc::new(OwnMetrics::new(options.max_series));
        let expiry = Expiry::new(options.ttl);
        let (quit, lost) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (keeper, thread) = Keeper::start(store, writer, expiry, own.clone(), lost.clone())
            .map_err(ServiceError::Thread)?;
        let http = ServerMetrics::new("gateway");
        let app = App::new(
            options,
            dir,
            keeper,
            runtime,
            http.clone(),
            own,
            quit.clone(),
        );
        Ok(Service {
            socket: lock.listen().map_err(ServiceError::Listen)?,
            app,
            http,
            thread,
            lock,
            quit,
            lost,
        })
    }

    /// Returns the notification that a request asks the gateway to end.
    pub fn quit(&self) -> Arc<Notify> {
        self.quit.clone()
    }

    /// Returns the notification that the state directory has gone, or that the writing thread has panicked.
    pub fn lost(&self) -> Arc<Notify> {
        self.lost.clone()
    }

    /// Serves by `server`, and on the socket for processes of this machine, until `shutdown` is ready.
    pub async fn serve(
        self,
        mut server: Server,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Served {
        server.add_local(self.socket, local_router(self.app.clone()));
        let router = router(self.app);
        server.serve(router, self.http, shutdown, GRACE).await;
        Served {
            thread: self.thread,
            _lock: self.lock,
        }
    }
}

/// A gateway that is no longer being served.
#[must_use]
pub struct Served {
    thread: KeeperThread,
    _lock: Arc<ServingLock>,
}

impl Served {
    /// Writes all remaining changes and gives up the claim. The runtime should have ended by then.
    pub fn end(self) {
        self.thread.end();
        info!("the gateway has ended");
    }
}
