//! Batch jobs that report their own runs.
//!
//! - [`Job`]: the job and its settings; `environment`: those that it finds in variables.
//! - [`Run`]: one run, and the metrics that it records.
//! - [`Report`]: the metrics of a run that is over; `destination`: the gateways and the file that it goes to.
//! - `progress`: the pushes during a run.

mod destination;
mod environment;
mod error;
mod progress;
mod report;
mod run;
mod unwinding;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use metricsjob_metrics::Method;
use prometheus::Registry;

use crate::Connection;
use destination::Destination;
use progress::ProgressPusher;
use unwinding::CatchUnwind;

pub use error::JobError;
pub use report::Report;
pub use run::Run;

/// A batch job that reports its runs to a Pushgateway.
///
/// ```no_run
/// use metricsjob_client::Job;
///
/// # fn back_up() -> Result<u64, std::io::Error> { Ok(42) }
/// let job = Job::new("db_backup")
///     .gateway("http://pushgateway:9091")
///     .grouping("db", "customers");
/// let result = job.run(|run| {
///     let records = run.counter("db_backup_records_total", "Records.", &[]);
///     records.inc_by(back_up()? as f64);
///     Ok::<(), std::io::Error>(())
/// });
/// ```
///
/// A run reports under the job's prefix (`batch_job` by default) `_duration_seconds`, `_start_timestamp_seconds`,
/// `_last_completion_timestamp_seconds`, `_success` (1 or 0) and, only if it succeeded,
/// `_last_success_timestamp_seconds`, together with what it [records](Run). It is pushed by POST unless
/// [`method`](Self::method) says otherwise, so that the time of the last success outlives a failed run.
///
/// Nothing about the report changes the job: a gateway that is down, a bad URL or an invalid metric is logged, by
/// [`tracing`] if the program has a subscriber, else as a line on stderr.
///
/// # Environment
///
/// These variables are read when a run begins. A setting in the code takes precedence. Grouping labels are merged; of
/// two with the same name, that of the code is used. Values of grouping labels in variables can hold `${hostname}`,
/// `${user}`, `${task}` (the number of a task in a [job array](crate::grouping)) and `${env:NAME}`, and a plain `${` is
/// written `$${`; one that cannot be replaced is a problem, and its label is left out. In the code, values are taken as
/// they are.
///
/// | variable | setting |
/// | --- | --- |
/// | `METRICSJOB_GATEWAY` | [`gateway`](Self::gateway); several have commas or blanks between them |
/// | `METRICSJOB_GROUPING` | [`grouping`](Self::grouping): `NAME=VALUE`; several have commas or blanks between them |
/// | `METRICSJOB_INSTANCE` | the grouping label `instance`: `true` for this host's name, or a name; `false` for none |
/// | `METRICSJOB_METHOD` | [`method`](Self::method): `put` or `post` |
/// | `METRICSJOB_PREFIX` | [`prefix`](Self::prefix) |
/// | `METRICSJOB_PUSH_DEADLINE` | [`deadline`](Self::deadline), such as `10s` |
/// | `METRICSJOB_BASIC_AUTH`, `METRICSJOB_BASIC_AUTH_FILE` | `user:password`, or a file with it |
/// | `METRICSJOB_BEARER_TOKEN`, `METRICSJOB_BEARER_TOKEN_FILE` | a bearer token, or a file with it |
/// | `METRICSJOB_CA_FILE` | trusted authorities, as PEM |
/// | `METRICSJOB_CLIENT_CERT`, `METRICSJOB_CLIENT_KEY` | a client certificate and its key, as PEM |
/// | `METRICSJOB_CONNECT_TIMEOUT`, `METRICSJOB_PUSH_TIMEOUT` | timeouts of a request |
/// | `METRICSJOB_COMPRESS`, `METRICSJOB_FORMAT` | `gzip`; `protobuf` |
/// | `METRICSJOB_METRICS` | set by `metricsjob run` and `metricsjob exec` for their commands |
///
/// With `METRICSJOB_METRICS` the program is itself the command of a run. It then hands the metrics that it records to
/// that run, which reports them with its own, and pushes nothing.
#[derive(Debug, Clone)]
#[must_use = "a job does nothing until it is run"]
pub struct Job {
    name: String,
    gateways: Vec<String>,
    grouping: Vec<(String, String)>,
    method: Option<Method>,
    prefix: Option<String>,
    deadline: Option<Duration>,
    connection: Option<Connection>,
    registries: Vec<Registry>,
    is_start_pushed: bool,
    interval: Option<Duration>,
}

impl Job {
    /// Creates a job. Its name is the grouping label `job`.
    pub fn new(name: impl Into<String>) -> Self {
        Job {
            name: name.into(),
            gateways: Vec::new(),
            grouping: Vec::new(),
            method: None,
            prefix: None,
            deadline: None,
            connection: None,
            registries: Vec::new(),
            is_start_pushed: false,
            interval: None,
        }
    }

    /// Adds a gateway, such as `http://pushgateway:9091`. Each gateway receives every report.
    pub fn gateway(mut self, url: impl Into<String>) -> Self {
        self.gateways.push(url.into());
        self
    }

    /// Adds a grouping label, which the gateway sets on all series of the group.
    pub fn grouping(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.grouping.push((name.into(), value.into()));
        self
    }

    /// Sets how the report changes the group: PUT replaces it, POST (the default) only the metrics of the same names.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the prefix of the metrics of a run; `batch_job` by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Limits the time for a report, retries included; 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets credentials, TLS, timeouts, format and compression, in place of all that the environment says of them.
    pub fn connection(mut self, connection: Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Adds a registry, whose metrics are gathered for each report.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Also pushes when a run begins: `_running` is 1 then, and 0 in the report at the end.
    pub fn push_start(mut self) -> Self {
        self.is_start_pushed = true;
        self
    }

    /// Also pushes the metrics so far at this interval, from a thread of its own, with `_running` as 1.
    pub fn push_interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Runs `work` and reports it: as a success if it returns `Ok`, as a failure if it returns `Err` or panics.
    /// Returns its result once the report is delivered, or cannot be.
    ///
    /// # Panics
    ///
    /// If `work` does, after the report.
    pub fn run<T, E>(&self, work: impl FnOnce(&Run) -> Result<T, E>) -> Result<T, E> {
        let run = self.start();
        let result = catch_unwind(AssertUnwindSafe(|| work(&run)));
        let report = run.finish(matches!(result, Ok(Ok(_))));
        logged(report.push());
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `work` as [`run`](Self::run) does, without blocking the thread during the report.
    ///
    /// The runtime must be tokio's, with I/O and time enabled. A future that is dropped before it is done is reported
    /// as a failure, which blocks its thread until the report is delivered or the deadline has passed.
    ///
    /// ```no_run
    /// # use metricsjob_client::Job;
    /// # async fn import() -> Result<u64, std::io::Error> { Ok(42) }
    /// # async fn example() -> Result<u64, std::io::Error> {
    /// Job::new("import").run_async(async |run| {
    ///     let rows = import().await?;
    ///     run.gauge("import_rows", "Rows.", &[]).set(rows as f64);
    ///     Ok(rows)
    /// }).await
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `work` does, after the report.
    pub async fn run_async<T, E>(
        &self,
        work: impl AsyncFnOnce(&Run) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut unfinished = Unfinished(Some(self.start()));
        let result = match &unfinished.0 {
            Some(run) => CatchUnwind(Box::pin(work(run))).await,
            None => unreachable!("only the end of this function takes it"),
        };
        if let Some(run) = unfinished.0.take() {
            let report = run.finish(matches!(result, Ok(Ok(_))));
            logged(report.push_async().await);
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Begins a run whose end the caller [says](Run::finish), for jobs that are not one function.
    pub fn start(&self) -> Run {
        let (destination, problems) = Destination::of(self);
        for problem in problems {
            log(&problem.to_string());
        }
        let is_live = self.is_start_pushed || self.interval.is_some();
        let run = Run::begin(destination, &self.registries, is_live);
        if !is_live {
            return run;
        }
        run.with_progress(|state| ProgressPusher::start(state, self.is_start_pushed, self.interval))
    }

    /// Checks the settings of the code and of the environment, which are otherwise logged when they cannot be used.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that cannot be used, or if there is no gateway.
    pub fn check(&self) -> Result<(), JobError> {
        let (_, problems) = Destination::of(self);
        problems.into_iter().next().map_or(Ok(()), Err)
    }
}

/// A run that is reported as a failure if it is dropped.
struct Unfinished(Option<Run>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            logged(run.finish(false).push());
        }
    }
}

fn logged(result: Result<(), JobError>) {
    if let Err(error) = result {
        log(&error.to_string());
    }
}

/// Logs a problem of the report by [`tracing`], or on stderr in a program that has no subscriber.
fn log(problem: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::warn!("{problem}");
    } else {
        eprintln!("metricsjob: {problem}");
    }
}
