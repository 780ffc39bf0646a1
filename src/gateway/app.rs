//! What all requests of a gateway share.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::body::{Limits, Receiver};
use super::cors::Cors;
use super::keeper::Keeper;
use super::own_metrics::OwnMetrics;
use super::stats::Stats;
use crate::metrics::Family;
use crate::observe::Observer;
use crate::web::HttpMetrics;
use crate::web::sending::Sendings;

/// How a gateway behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Below which path everything is: empty, or with a slash at its start and none at its end.
    pub route_prefix: String,
    /// Where the metrics are, below the prefix.
    pub telemetry_path: String,
    pub enable_admin_api: bool,
    pub enable_lifecycle: bool,
    /// Whether an inconsistent push is answered like any other. It is refused all the same.
    pub disable_consistency_check: bool,
    pub ttl: Option<std::time::Duration>,
    pub limits: Limits,
    pub cors: Cors,
    /// The command line's options and their values, as the API shows them.
    pub flags: Vec<(String, String)>,
}

/// Those of a gateway that is told nothing.
impl Default for Options {
    fn default() -> Self {
        Options {
            route_prefix: String::new(),
            telemetry_path: "/metrics".into(),
            enable_admin_api: false,
            enable_lifecycle: false,
            disable_consistency_check: false,
            ttl: None,
            limits: Limits::default(),
            cors: Cors::default(),
            flags: Vec::new(),
        }
    }
}

/// What all requests of a gateway share.
pub struct App {
    options: Options,
    keeper: Keeper,
    receiver: Receiver,
    large_bodies: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    sendings: Sendings,
    own: OwnMetrics,
    http: Arc<HttpMetrics>,
    observer: Observer,
    stats: Arc<Stats>,
    start_time: SystemTime,
    quit: Arc<Notify>,
}

/// How many large bodies are read at once: each keeps a processor busy and needs several times its size.
const LARGE_BODIES: usize = 2;

/// How many scrapes are rendered at once.
const SCRAPES: usize = 2;

impl App {
    /// For a gateway that serves in `runtime` and whose requests `http` counts. `quit` is notified when it was
    /// asked to end.
    pub fn new(
        options: Options,
        keeper: Keeper,
        runtime: Handle,
        http: Arc<HttpMetrics>,
        stats: Arc<Stats>,
        quit: Arc<Notify>,
    ) -> Arc<App> {
        let start_time = SystemTime::now();
        Arc::new(App {
            receiver: Receiver::new(options.limits),
            options,
            keeper,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            sendings: Sendings::default(),
            own: OwnMetrics::new(),
            http,
            observer: Observer::new(start_time, runtime),
            stats,
            start_time,
            quit,
        })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(super) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Waits for the turn of a large body. It belongs to the thread that reads it: it is not over when the
    /// client goes away, but when the work is done. `None` if the gateway is ending.
    pub(super) async fn large_body(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large_bodies).acquire_owned().await.ok()
    }

    /// The same for an answer with all groups.
    pub(super) async fn scrape(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.scrapes).acquire_owned().await.ok()
    }

    pub(super) fn sendings(&self) -> &Sendings {
        &self.sendings
    }

    pub(super) fn own(&self) -> &OwnMetrics {
        &self.own
    }

    /// Everything that the gateway says of itself, now. It blocks: see [`Observer::families`].
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self.own.families(&self.stats);
        families.extend(self.http.families());
        families.extend(self.observer.families());
        families
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) fn start_time(&self) -> SystemTime {
        self.start_time
    }

    pub(super) fn quit(&self) {
        self.quit.notify_one();
    }

    /// The status of a push that was taken.
    pub(super) fn pushed_status(&self) -> StatusCode {
        match self.options.disable_consistency_check {
            true => StatusCode::ACCEPTED,
            false => StatusCode::OK,
        }
    }

    /// Whether an inconsistent push is told so.
    pub(super) fn answers_rejections(&self) -> bool {
        !self.options.disable_consistency_check
    }
}
