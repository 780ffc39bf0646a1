//! What a built-in gets while it runs.

use prometheus::core::Collector;
use prometheus::{Counter, Gauge, Registry};

/// A built-in's metrics and its progress.
pub struct Context<'a> {
    prefix: &'a str,
    registry: Registry,
    progress: &'a dyn Progress,
}

/// Shows how far a job is.
pub trait Progress {
    /// `done` of `total` steps of `phase` are done. A `total` of 0 is unknown. Both may go back.
    fn update(&self, phase: &'static str, done: u64, total: u64);
}

/// Shows nothing.
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _phase: &'static str, _done: u64, _total: u64) {}
}

/// Why a built-in failed, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TaskError(pub String);

impl<'a> Context<'a> {
    /// A context whose metrics begin with `prefix`.
    pub fn new(prefix: &'a str, progress: &'a dyn Progress) -> Self {
        Context {
            prefix,
            registry: Registry::new(),
            progress,
        }
    }

    /// A new gauge `PREFIX_name`, 0 so far.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, TaskError> {
        self.register(Gauge::new(self.full_name(name), help))
    }

    /// A new counter `PREFIX_name`, 0 so far.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, TaskError> {
        self.register(Counter::new(self.full_name(name), help))
    }

    /// See [`Progress::update`].
    pub fn progress(&self, phase: &'static str, done: u64, total: u64) {
        self.progress.update(phase, done, total);
    }

    /// What was registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    fn register<M: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<M>,
    ) -> Result<M, TaskError> {
        metric
            .and_then(|metric| {
                self.registry
                    .register(Box::new(metric.clone()))
                    .map(|()| metric)
            })
            .map_err(|error| TaskError(format!("a metric of the built-in is wrong: {error}")))
    }
}
