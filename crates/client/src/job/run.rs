//! One run, and the metrics that it records.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use metricsjob_instruments::{Summary, SummaryOpts, summary_vec};
use metricsjob_metrics::registry::gather;
use metricsjob_metrics::{Family, Method, under_default_prefix, unix_seconds};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, Opts, Registry,
};

use super::destination::{Destination, ReportFamilies};
use super::progress::ProgressPusher;
use super::{JobError, Report, log};
use crate::Stop;

/// A run of a [`Job`](super::Job), which records metrics.
///
/// An instrument is created by its first use, and found again by its name and labels. One that cannot be (an invalid
/// name, other label names than before) is logged and not reported; it can be used all the same.
///
/// ```
/// # use metricsjob_client::Job;
/// # let run = Job::new("import").start();
/// for region in ["eu", "us"] {
///     run.counter("orders_total", "Orders.", &[("region", region)]).inc_by(5.0);
/// }
/// run.gauge("queue_size", "Orders that wait.", &[]).set(17.0);
/// run.histogram("row_size_bytes", "Size of a row.", &[100.0, 1e4, 1e6], &[]).observe(512.0);
/// run.summary("row_seconds", "Time for a row.", &[]).observe(0.002);
/// ```
pub struct Run {
    state: Arc<RunState>,
    progress: Option<ProgressPusher>,
    instruments: Mutex<HashMap<String, Box<dyn Any + Send>>>,
}

/// State of a run that is shared with its [`ProgressPusher`].
pub struct RunState {
    destination: Destination,
    /// Registries of the program, and then that of the run.
    registries: Vec<Registry>,
    recorded: Registry,
    began_at: SystemTime,
    began: Instant,
    is_live: bool,
}

impl Run {
    pub(super) fn begin(destination: Destination, registries: &[Registry], is_live: bool) -> Self {
        let state = RunState {
            destination,
            registries: registries.to_vec(),
            recorded: Registry::new(),
            began_at: SystemTime::now(),
            began: Instant::now(),
            is_live,
        };
        Run {
            state: Arc::new(state),
            progress: None,
            instruments: Mutex::default(),
        }
    }

    pub(super) fn with_progress(
        mut self,
        start: impl FnOnce(Arc<RunState>) -> ProgressPusher,
    ) -> Self {
        self.progress = Some(start(Arc::clone(&self.state)));
        self
    }

    /// Returns a counter.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        self.instrument(name, labels, |name, labels| {
            CounterVec::new(Opts::new(name, help), labels)
        })
        .unwrap_or_else(|| detached(Counter::new(DETACHED, DETACHED)))
    }

    /// Returns a gauge.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        self.instrument(name, labels, |name, labels| {
            GaugeVec::new(Opts::new(name, help), labels)
        })
        .unwrap_or_else(|| detached(Gauge::new(DETACHED, DETACHED)))
    }

    /// Returns a histogram. `buckets` are its upper bounds in ascending order, which [`prometheus::linear_buckets`] and
    /// [`prometheus::exponential_buckets`] compute; without any, they are from 5 ms to 10 s.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[(&str, &str)],
    ) -> Histogram {
        self.instrument(name, labels, |name, labels| {
            let mut options = HistogramOpts::new(name, help);
            if !buckets.is_empty() {
                options = options.buckets(buckets.to_vec());
            }
            HistogramVec::new(options, labels)
        })
        .unwrap_or_else(|| {
            let options = HistogramOpts::new(DETACHED, DETACHED);
            detached(Histogram::with_opts(options))
        })
    }

    /// Returns a summary, with the quantiles 0.5, 0.9 and 0.99 of the whole run.
    pub fn summary(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Summary {
        self.instrument(name, labels, |name, labels| {
            summary_vec(SummaryOpts::new(name, help), labels)
        })
        .unwrap_or_else(|| detached(Summary::new(SummaryOpts::new(DETACHED, DETACHED))))
    }

    /// Returns the registry of the run, for [collectors](Collector) of the program's own, and for metrics that come and
    /// go.
    pub fn registry(&self) -> &Registry {
        &self.state.recorded
    }

    /// Ends the run, and returns its report.
    pub fn finish(self, is_success: bool) -> Report {
        // First, so that no push of its progress comes after the report.
        drop(self.progress);
        let duration = self.state.began.elapsed();
        let mut families = self.state.families();
        let prefix = &self.state.destination.prefix;
        let gauge = |name: &str, help: &str, value: f64| {
            Family::gauge(format!("{prefix}_{name}"), help, value)
        };
        // The clock may have been set, which must not make the run end before it began.
        let ended_at = unix_seconds(self.state.began_at + duration);
        families.run.extend([
            gauge(
                "duration_seconds",
                "How long the last run took.",
                duration.as_secs_f64(),
            ),
            gauge(
                "last_completion_timestamp_seconds",
                "When the last run ended, well or not.",
                ended_at,
            ),
            gauge(
                "success",
                "Whether the last run succeeded (1) or not (0).",
                f64::from(is_success),
            ),
        ]);
        if is_success {
            families.run.push(gauge(
                "last_success_timestamp_seconds",
                "When the last run that succeeded ended.",
                ended_at,
            ));
        }
        let common = under_default_prefix(&families.run, prefix);
        families.run.extend(common);
        if self.state.is_live {
            families.run.push(self.state.running(false));
        }
        Report::new(self.state.destination.clone(), families)
    }

    fn instrument<B>(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        create: impl FnOnce(&str, &[&str]) -> prometheus::Result<MetricVec<B>>,
    ) -> Option<B::M>
    where
        B: MetricVecBuilder + 'static,
        MetricVec<B>: Collector,
    {
        let known = self.instruments.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(name) {
            let label_names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
            let created = create(name, &label_names).and_then(|created| {
                self.state.recorded.register(Box::new(created.clone()))?;
                Ok(created)
            });
            let entry: Box<dyn Any + Send> = match created {
                Ok(created) => Box::new(created),
                Err(error) => {
                    log(&format!(
                        "the metric {name:?} is not reported: {}",
                        reason(error)
                    ));
                    Box::new(Unreported)
                }
            };
            known.insert(name.to_owned(), entry);
        }
        let entry = known.get(name)?;
        if entry.is::<Unreported>() {
            return None;
        }
        let labels: HashMap<&str, &str> = labels.iter().copied().collect();
        let problem = match entry.downcast_ref::<MetricVec<B>>() {
            Some(instrument) => match instrument.get_metric_with(&labels) {
                Ok(child) => return Some(child),
                Err(error) => reason(error),
            },
            None => "it has another type elsewhere in this run".to_owned(),
        };
        log(&format!(
            "a series of the metric {name:?} is not reported: {problem}"
        ));
        None
    }
}

impl RunState {
    /// Pushes the metrics so far, unless `stop` is wanted.
    pub fn push_progress(&self, stop: &Stop) -> Result<(), JobError> {
        let mut families = self.families();
        families.run.push(self.running(true));
        // A PUT would take away the time of the last success.
        self.destination.deliver(Method::Post, families, stop)
    }

    fn families(&self) -> ReportFamilies {
        let prefix = &self.destination.prefix;
        let start = Family::gauge(
            format!("{prefix}_start_timestamp_seconds"),
            "When the last run started.",
            unix_seconds(self.began_at),
        );
        let registries = self.registries.iter().chain([&self.recorded]);
        ReportFamilies {
            run: vec![start],
            recorded: registries.flat_map(gather).collect(),
        }
    }

    fn running(&self, is_running: bool) -> Family {
        Family::gauge(
            format!("{}_running", self.destination.prefix),
            "1 during a run, else 0.",
            f64::from(is_running),
        )
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("destination", &self.state.destination)
            .field("began_at", &self.state.began_at)
            .finish_non_exhaustive()
    }
}

/// Marks a name whose instrument could not be created.
struct Unreported;

/// Name and help text of instruments that are not reported.
const DETACHED: &str = "unreported";

fn detached<I>(instrument: prometheus::Result<I>) -> I {
    instrument.expect("constants")
}

/// Returns the message of `error`, which `Display` would put behind `Error: `.
fn reason(error: prometheus::Error) -> String {
    match error {
        prometheus::Error::Msg(reason) => reason,
        other => other.to_string(),
    }
}
