//! What all requests of a gateway share.

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
use super::stats::Stats;
use metricsjob_metrics::Family;
use metricsjob_state::size_family;
use metricsjob_web::HttpMetrics;
use metricsjob_web::observe::ProcessCollector;
use metricsjob_web::sending::Sendings;

/// How a gateway behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Below which path everything is: empty, or with a slash at its start and none at its end.
    pub route_prefix: String,
    /// Where the metrics are, below the prefix.
    pub telemetry_path: String,
    pub enable_admin_api: bool,
    pub enable_lifecycle: bool,
    /// True if an inconsistent push is answered like any other. It is refused all the same.
    pub disable_consistency_check: bool,
    pub ttl: Option<std::time::Duration>,
    pub limits: PushLimits,
    pub cors: Cors,
    /// How many series all groups may have, with two for the push times of each.
    pub max_series: usize,
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
            limits: PushLimits::default(),
            cors: Cors::default(),
            max_series: MAX_SERIES,
            flags: Vec::new(),
        }
    }
}

/// About a gigabyte of memory.
pub const MAX_SERIES: usize = 5_000_000;

/// What all requests of a gateway share.
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
    own: OwnMetrics,
    http: Arc<HttpMetrics>,
    observer: ProcessCollector,
    stats: Arc<Stats>,
    start_time: SystemTime,
    quit: Arc<Notify>,
}

/// How many large bodies are read at once: each keeps a processor busy and needs several times its size.
const LARGE_BODIES: usize = 2;

/// How many scrapes are rendered at once.
const SCRAPES: usize = 2;

/// How many pages may wait for their turn; each has a search of its own, so they share nothing.
const PAGES: usize = 64;

impl App {
    /// For a gateway that serves the groups in `state_dir` by `runtime` and whose requests `http` counts. `quit` is
    /// notified when it was asked to end.
    pub fn new(
        options: Options,
        state_dir: PathBuf,
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
            state_dir,
            keeper,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            renderings: Renderings::default(),
            pages: Arc::new(Semaphore::new(PAGES)),
            sendings: Sendings::default(),
            own: OwnMetrics::new(),
            http,
            observer: ProcessCollector::new(start_time, runtime),
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

    /// A place among the pages that wait, if there is one.
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

    /// Everything that the gateway says of itself, now. It blocks: see [`ProcessCollector::families`].
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self.own.families(&self.stats);
        families.extend(self.http.families());
        families.extend(self.observer.families());
        families.push(size_family(&self.state_dir));
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
        if self.options.disable_consistency_check {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        }
    }

    /// Returns true if an inconsistent push is told so.
    pub(super) fn answers_rejections(&self) -> bool {
        !self.options.disable_consistency_check
    }
}
