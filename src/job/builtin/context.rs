//! Context of a running built-in: its metrics, its progress and the request to end.

use std::pin::pin;
use std::thread::sleep;
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{Counter, CounterVec, Gauge, HistogramOpts, HistogramVec, Opts, Registry};

use crate::job::metric_rule::MetricRule;

/// A built-in's metrics and its progress.
pub struct Context<'a> {
    prefix: &'a str,
    registry: Registry,
    own: &'a dyn RuleMetrics,
    progress: &'a dyn Progress,
    is_interrupted: &'a dyn Fn() -> bool,
}

/// How often a waiting task shows its progress and looks whether it is to end.
const TICK: Duration = Duration::from_millis(20);

/// Metrics of the job for which its definition has rules.
pub trait RuleMetrics {
    /// The rules that read something.
    fn rules(&self) -> &[MetricRule];

    /// Takes the present value of a metric.
    ///
    /// # Errors
    ///
    /// The metric cannot have it.
    fn report(&self, rule: &MetricRule, value: f64) -> Result<(), String>;
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
    /// A context whose metrics begin with `prefix` and are registered in `registry`, but for those that `own` has
    /// rules for. The task is asked to end once `is_interrupted`.
    pub fn new(
        prefix: &'a str,
        registry: Registry,
        own: &'a dyn RuleMetrics,
        progress: &'a dyn Progress,
        is_interrupted: &'a dyn Fn() -> bool,
    ) -> Self {
        Context {
            prefix,
            registry,
            own,
            progress,
            is_interrupted,
        }
    }

    /// The rules of the job's metrics that read something.
    pub fn rules(&self) -> &[MetricRule] {
        self.own.rules()
    }

    /// See [`RuleMetrics::report`].
    pub fn report(&self, rule: &MetricRule, value: f64) -> Result<(), String> {
        self.own.report(rule, value)
    }

    /// A new gauge `PREFIX_name`, 0 so far.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, TaskError> {
        self.register(Gauge::new(self.full_name(name), help))
    }

    /// A new counter `PREFIX_name`, 0 so far.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, TaskError> {
        self.register(Counter::new(self.full_name(name), help))
    }

    /// A new counter `PREFIX_name` for each combination of the values of `labels`; none so far.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, TaskError> {
        let opts = Opts::new(self.full_name(name), help);
        self.register(CounterVec::new(opts, labels))
    }

    /// A new histogram `PREFIX_name` with the upper bounds `buckets` for each combination of the
    /// values of `labels`; none so far.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, TaskError> {
        let opts = HistogramOpts::new(self.full_name(name), help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels))
    }

    /// A new gauge with the labels `labels`, 0 so far. `name` is its full name, without the prefix:
    /// for metrics that have the same name in all jobs.
    pub fn labelled_gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Gauge, TaskError> {
        let labels = labels.iter();
        let labels = labels.map(|(label, value)| (String::from(*label), String::from(*value)));
        let opts = Opts::new(name, help).const_labels(labels.collect());
        self.register(Gauge::with_opts(opts))
    }

    /// See [`Progress::update`]. It fails once the task is to end.
    pub fn progress(&self, phase: &'static str, done: u64, total: u64) -> Result<(), TaskError> {
        self.progress.update(phase, done, total);
        if (self.is_interrupted)() {
            Err(TaskError("it was interrupted".into()))
        } else {
            Ok(())
        }
    }

    /// Waits for `duration`, and now and then does `meanwhile` with the time that has gone by; its
    /// error ends the waiting.
    pub fn wait(
        &self,
        duration: Duration,
        mut meanwhile: impl FnMut(Duration) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let start = Instant::now();
        loop {
            let elapsed = start.elapsed();
            meanwhile(elapsed.min(duration))?;
            if elapsed >= duration {
                return Ok(());
            }
            sleep(TICK.min(duration - elapsed));
        }
    }

    /// Waits for `work`, for `limit` at most: then it is dropped, and there is `None`. Now and then
    /// does `meanwhile` with the time that has gone by; its error ends the waiting too.
    ///
    /// It needs a runtime of tokio with time.
    pub async fn wait_for<T>(
        &self,
        work: impl Future<Output = T>,
        limit: Duration,
        mut meanwhile: impl FnMut(Duration) -> Result<(), TaskError>,
    ) -> Result<Option<T>, TaskError> {
        let mut work = pin!(work);
        let start = Instant::now();
        loop {
            let elapsed = start.elapsed();
            meanwhile(elapsed.min(limit))?;
            if elapsed >= limit {
                return Ok(None);
            }
            let tick = TICK.min(limit - elapsed);
            if let Ok(done) = tokio::time::timeout(tick, work.as_mut()).await {
                return Ok(Some(done));
            }
        }
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
