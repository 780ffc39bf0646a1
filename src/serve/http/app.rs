//! State that all requests of a server share.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::health::Health;
use super::permission::Permission;
use crate::job::catalog::{Catalog, CatalogError};
use crate::job::{DefinedIn, Job};
use crate::push::self_report;
use crate::serve::loading::Reloaded;
use crate::serve::scheduler::Scheduler;
use metricsjob_metrics::Family;
use metricsjob_state::size_family;
use metricsjob_web::instrumentation::ServerMetrics;
use metricsjob_web::observe::ProcessCollector;
use metricsjob_web::sending::Sendings;

/// How many responses with all metrics are rendered at once.
const SCRAPES: usize = 2;

/// State that all requests of a server share.
pub struct ServeApp {
    pub scheduler: Arc<Scheduler>,
    pub health: Health,
    pub permission: Permission,
    /// How long a body may take to come.
    pub read_timeout: Duration,
    /// The command line's options and their values.
    pub flags: Vec<(String, String)>,
    pub start_time: SystemTime,
    pub started: Instant,
    pub sendings: Sendings,
    pub scrapes: Arc<Semaphore>,
    catalog: Catalog,
    with_demos: bool,
    http: Arc<ServerMetrics>,
    observer: ProcessCollector,
}

/// Parts of a [`ServeApp`].
pub struct Parts {
    pub scheduler: Arc<Scheduler>,
    pub catalog: Catalog,
    pub with_demos: bool,
    pub permission: Permission,
    pub read_timeout: Duration,
    pub flags: Vec<(String, String)>,
    pub http: Arc<ServerMetrics>,
    pub runtime: tokio::runtime::Handle,
}

impl ServeApp {
    pub fn new(parts: Parts) -> Arc<ServeApp> {
        let start_time = SystemTime::now();
        Arc::new(ServeApp {
            health: Health::default(),
            permission: parts.permission,
            read_timeout: parts.read_timeout,
            flags: parts.flags,
            start_time,
            started: Instant::now(),
            sendings: Sendings::default(),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            catalog: parts.catalog,
            with_demos: parts.with_demos,
            observer: ProcessCollector::new(start_time, parts.runtime),
            http: parts.http,
            scheduler: parts.scheduler,
        })
    }

    /// Returns true if runs of the job may be requested: it is of a job file, or shown on purpose.
    pub fn offers(&self, job: &Job) -> bool {
        self.with_demos || job.defined_in != DefinedIn::CompiledIn
    }

    /// Reads the job files again. It may take a while.
    pub fn reload(&self) -> Result<Reloaded, CatalogError> {
        let reloaded = self.scheduler.reload(&self.catalog, self.with_demos);
        if let Err(error) = self.scheduler.deliver_everywhere() {
            let err = metricsjob_system::reason(&error);
            tracing::error!(err, "reports for some gateways are not delivered");
        }
        match &reloaded {
            Ok(Reloaded { jobs, problems }) => {
                for problem in problems {
                    tracing::error!(err = problem, "a job file could not be loaded");
                }
                tracing::info!(jobs, problems = problems.len(), "job files are loaded");
            }
            Err(error) => tracing::error!(err = %error, "job files could not be loaded"),
        }
        reloaded
    }

    /// The metrics of the server itself. It may take a while.
    pub fn own_families(&self) -> Vec<Family> {
        let mut families = self.observer.families();
        families.extend(self.http.families());
        let runner = self.scheduler.runner();
        families.push(size_family(runner.state_dir()));
        let pushing = runner.read(|state| Ok((state.push_attempts()?, state.outbox_size()?)));
        // Where the state cannot be read, the health says so.
        if let Ok((attempts, outbox)) = pushing {
            families.extend(self_report::families(&attempts, &outbox));
        }
        families
    }
}
