//! State shared by all requests of a gateway.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::body::{PushLimits, Receiver};
use super::cors::Cors;
use super::keeper::Keeper;
use super::own_metrics::OwnMetrics;
use super::renderings::Renderings;
use metricsjob_metrics::Family;
use metricsjob_metrics::aggregation::Aggregation;
use metricsjob_state::size_family;
use metricsjob_web::ServerMetrics;
use metricsjob_web::observe::ProcessCollector;
use metricsjob_web::sending::Sendings;

/// Options of a gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// Prefix of all paths: empty, or with a slash at its start and none at its end.
    pub route_prefix: String,
    /// Path of the metrics, below the prefix.
    pub telemetry_path: String,
    pub enable_admin_api: bool,
    pub enable_lifecycle: bool,
    /// True if the response to an inconsistent push is the same as to any other. The push is refused
    /// nevertheless.
    pub disable_consistency_check: bool,
    pub ttl: Option<std::time::Duration>,
    /// Series that a scrape shows as their sum.
    pub aggregation: Aggregation,
    pub limits: PushLimits,
    pub cors: Cors,
    /// Maximum number of series in all groups together, including two for the push times of each group.
    pub max_series: usize,
    /// The options of the command line and their values, as shown by the API.
    pub flags: Vec<(String, String)>,
}

/// Options of a gateway without any on its command line.
impl Default for Options {
    fn default() -> Self {
        Options {
            route_prefix: String::new(),
            telemetry_path: "/metrics".into(),
            enable_admin_api: false,
            enable_lifecycle: false,
            disable_consistency_check: false,
            ttl: None,
            aggregation: Aggregation::default(),
            limits: PushLimits::default(),
            cors: Cors::default(),
            max_series: MAX_SERIES,
            flags: Vec::new(),
        }
    }
}

/// Number of series that takes about a gigabyte of memory.
pub const MAX_SERIES: usize = 5_000_000;

/// State shared by all requests of a gateway.
pub struct App {
    options: Options,
    state_dir: PathBuf,
    keeper: Keeper,
    receiver: Receiver,
    large_bodies: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    renderings: Renderings,
    pages: Arc<Semaphore>,
    sendings: Sendings,
    own: Arc<OwnMetrics>,
    http: Arc<ServerMetrics>,
    observer: ProcessCollector,
    start_time: SystemTime,
    quit: Arc<Notify>,
}

/// Maximum number of large bodies read at once: each keeps a processor busy and needs several times its size
/// in memory.
const LARGE_BODIES: usize = 2;

/// Maximum number of scrapes rendered at once.
const SCRAPES: usize = 2;

/// Maximum number of pages that may be in progress; each has a search of its own, so they cannot share a
/// rendering.
const PAGES: usize = 64;

impl App {
    /// Returns the state of a gateway that serves the groups in `state_dir`, with metrics of `runtime` and of
    /// the requests that `http` counts. `quit` is notified when a request asks the gateway to end.
    pub fn new(
        options: Options,
        state_dir: PathBuf,
        keeper: Keeper,
        runtime: Handle,
        http: Arc<ServerMetrics>,
        own: Arc<OwnMetrics>,
        quit: Arc<Notify>,
    ) -> Arc<App> {
        let start_time = SystemTime::now();
        Arc::new(App {
            receiver: Receiver::new(options.limits),
            options,
            state_dir,
            keeper,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            renderings: Renderings::default(),
            pages: Arc::new(Semaphore::new(PAGES)),
            sendings: Sendings::default(),
            own,
            http,
            observer: ProcessCollector::new(start_time, runtime),
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

    /// Waits for permission to read a large body, which belongs to the reading thread: it ends with the work,
    /// and not when the client goes away. Returns `None` if the gateway is ending.
    pub(super) async fn large_body(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large_bodies).acquire_owned().await.ok()
    }

    /// Waits for permission to render all groups, on the terms of [`Self::large_body`].
    pub(super) async fn scrape(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.scrapes).acquire_owned().await.ok()
    }

    /// Reserves a place for a page, if one is free.
    pub(super) fn page(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pages).try_acquire_owned().ok()
    }

    pub(super) fn renderings(&self) -> &Renderings {
        &self.renderings
    }

    pub(super) fn sendings(&self) -> &Sendings {
        &self.sendings
    }

    pub(super) fn own(&self) -> &OwnMetrics {
        &self.own
    }

    /// Returns all current metrics of the gateway itself. It blocks: see [`ProcessCollector::families`].
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self.own.families();
        families.extend(self.http.families());
        families.extend(self.observer.families());
        families.push(size_family(&self.state_dir));
        families
    }

    pub(super) fn start_time(&self) -> SystemTime {
        self.start_time
    }

    pub(super) fn quit(&self) {
        self.quit.notify_one();
    }

    /// Returns the status for an accepted push.
    pub(super) fn pushed_status(&self) -> StatusCode {
        if self.options.disable_consistency_check {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        }
    }

    /// Returns true if the response to an inconsistent push says so.
    pub(super) fn answers_rejections(&self) -> bool {
        !self.options.disable_consistency_check
    }
}
