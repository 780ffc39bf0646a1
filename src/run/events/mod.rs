//! Metrics from inside a running job: the file that it appends to, and its output.
//!
//! - [`Event`]: an event that `metricsjob metric` appends.
//! - `bounded_lines`: lines that come in pieces.
//! - `metrics_file`: the file; `leftovers`: removal of the files of killed runs.
//! - `search`: the output, line by line, for matches of the job's patterns.
//! - `junit`: the JUnit files that it writes.
//! - `collector`: collects the metrics of all of them; `draft`: one metric.

mod bounded_lines;
mod collector;
mod draft;
mod event;
mod junit;
mod leftovers;
mod metrics_file;
mod search;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use prometheus::Registry;

use self::collector::Collector;
use self::junit::{JunitFiles, JunitReading};
use self::metrics_file::{FileReading, MetricsFile, ReadError};
use self::search::{Hit, Search};
use crate::job::builtin::RuleMetrics;
use crate::job::metric_rule::MetricRule;
use crate::job::output_pattern::OutputStream;
use crate::job::{Job, Work};
use metricsjob_client::secrets::Secrets;
use metricsjob_metrics::{Family, registry};

pub use bounded_lines::BoundedLines;
pub use collector::check_names;
pub use event::{Change, Event, EventWriter};
use metricsjob_system::panics::locked;
use metricsjob_system::reason;

/// The environment variable that names the file to which a running job appends its metrics.
pub const METRICS_VARIABLE: &str = "METRICSJOB_METRICS";

/// Takes the lines that a job's command writes. A line that is being rewritten comes in several states.
pub type LineSink = dyn Fn(OutputStream, &[u8]) + Send + Sync;

/// The metrics of a running job, from all places where they come from.
pub struct Events {
    /// Replaced in what the job writes, where that is shown or stored.
    secrets: Secrets,
    /// Receiver of the output, line by line, in place of our own stdout and stderr.
    lines: Option<Arc<LineSink>>,
    /// The rules that read the command's output, or a built-in's document.
    rules: Vec<MetricRule>,
    junit: Option<JunitFiles>,
    /// Registry for the metrics of a built-in.
    registry: Mutex<Registry>,
    /// Searches in the output of the running attempt, one for each stream. Each is locked before `state`.
    searches: Mutex<Vec<Arc<Mutex<Search>>>>,
    state: Mutex<EventsState>,
}

/// A search for metrics in one stream of an attempt's output.
pub struct OutputSearch {
    events: Arc<Events>,
    search: Arc<Mutex<Search>>,
}

struct EventsState {
    collector: Collector,
    /// The metrics file, and how far it was read into `collector`.
    file: Option<(MetricsFile, FileReading)>,
    live: Option<Box<LiveView>>,
    warnings: Warnings,
}

/// The metrics as they are shown while the job is running. They have a reading of the file of their own: a job may
/// write it anew, and in the report only what is there at the end counts.
struct LiveView {
    collector: Collector,
    reading: Option<FileReading>,
}

impl Events {
    /// Events of a run of `job`, none so far. `lines` gets the output of its command, if it is there. None of our
    /// `secrets` is shown.
    pub fn new(job: &Job, lines: Option<Arc<LineSink>>, secrets: Secrets) -> Self {
        let mut warnings = Warnings::default();
        let file = match &job.work {
            Work::Builtin(..) => None,
            Work::Command(_) => MetricsFile::create(job.policy.metrics_limit)
                .map(|file| {
                    let reading = file.reading();
                    (file, reading)
                })
                .map_err(|error| {
                    warnings.add(format!(
                        "could not make a file for the job's metrics: {}; {METRICS_VARIABLE} is not set",
                        reason(&error)
                    ));
                })
                .ok(),
        };
        let reads = |rule: &&MetricRule| rule.source.is_some() || rule.pointer.is_some();
        let rules = job.metrics.iter().filter(reads);
        Events {
            lines,
            secrets: secrets.clone(),
            rules: rules.cloned().collect(),
            junit: JunitFiles::of(&job.work),
            registry: Mutex::new(Registry::new()),
            searches: Mutex::default(),
            state: Mutex::new(EventsState {
                collector: Collector::new(&job.metrics, secrets),
                file,
                live: None,
                warnings,
            }),
        }
    }

    /// Where an attempt of a built-in registers its metrics, in place of those of the one before.
    pub fn new_registry(&self) -> Registry {
        let registry = Registry::new();
        *locked(&self.registry) = registry.clone();
        registry
    }

    /// The file to which the job appends its metrics, if it could be made.
    pub fn with_path<T>(&self, use_path: impl FnOnce(&Path) -> T) -> Option<T> {
        self.state()
            .file
            .as_ref()
            .map(|(file, _)| use_path(file.path()))
    }

    /// Returns true if `stream` is read.
    pub fn reads(&self, stream: OutputStream) -> bool {
        let mut sources = self.rules.iter().filter_map(|rule| rule.source.as_ref());
        self.takes_lines() || sources.any(|source| source.stream.includes(stream))
    }

    /// Returns true if a sink gets the output in place of our own stdout and stderr.
    pub fn takes_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Gets the output, line by line, in place of our own stdout and stderr.
    pub fn line_sink(&self) -> Option<Arc<LineSink>> {
        self.lines.clone()
    }

    /// Our own secrets, which the job may write.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Learns that an attempt of a command begins: only files that it writes are its results.
    pub fn attempt_begins(&self) {
        if let Some(junit) = &self.junit {
            junit.attempt_begins();
        }
    }

    /// Begins to search `stream` of a new attempt.
    pub fn search(self: &Arc<Self>, stream: OutputStream) -> OutputSearch {
        let search = Arc::new(Mutex::new(Search::new(stream, &self.rules)));
        let mut searches = locked(&self.searches);
        searches.retain(|other| locked(other).stream != stream);
        searches.push(Arc::clone(&search));
        OutputSearch {
            events: Arc::clone(self),
            search,
        }
    }

    /// All metrics so far, sorted by name for each place they come from. The file is read for the report too.
    pub fn families(&self) -> Vec<Family> {
        self.gather(|state| state.read_file(false, || true)).0
    }

    /// All metrics so far, in the same order. It leaves the report as it is; reading the job's file, which may be
    /// large, stops at `until`, and the next call continues from there.
    pub fn so_far(&self, until: Instant) -> Vec<Family> {
        self.gather(|state| state.read_live(until)).0
    }

    /// All metrics of the job, which has ended, and the warnings. Reading its file stops once `goes_on` returns
    /// false.
    pub fn finish(&self, goes_on: impl Fn() -> bool) -> (Vec<Family>, Vec<String>) {
        let junit = self.junit.as_ref().map(|junit| junit.read(&goes_on));
        let (families, mut state) = self.gather(|state| {
            state.read_file(true, goes_on);
            state.take_junit(junit.unwrap_or_default())
        });
        let warnings = std::mem::take(&mut state.warnings).into_lines();
        let redact = |warning| self.secrets.redact_text(warning);
        (families, warnings.into_iter().map(redact).collect())
    }

    /// Adds a warning for the user.
    pub fn warn(&self, warning: String) {
        self.state().warnings.add(warning);
    }

    /// All metrics, of which those that no registry has are in the collector that `read` brings up to date.
    fn gather(
        &self,
        read: impl FnOnce(&mut EventsState) -> &Collector,
    ) -> (Vec<Family>, MutexGuard<'_, EventsState>) {
        let mut families = registry::gather(&locked(&self.registry));
        let searches = locked(&self.searches).clone();
        let mut searches: Vec<_> = searches.iter().map(|search| locked(search)).collect();
        searches.retain(|search| search.has_unfinished());
        let mut state = self.state();
        let collector = read(&mut state);
        if searches.is_empty() {
            families.extend(collector.families());
        } else {
            // A match in a line that has not ended counts for now. It is found again when the line ends.
            let mut so_far = collector.clone();
            for search in &mut searches {
                search.peek(|found| {
                    let _ = so_far.matched(&found);
                });
            }
            families.extend(so_far.families());
        }
        (families, state)
    }

    fn found(&self, found: &Hit<'_>) {
        let mut state = self.state();
        if let Some(live) = &mut state.live {
            // The report warns of what is wrong.
            let _ = live.collector.matched(found);
        }
        if let Err(problem) = state.collector.matched(found) {
            let name = &found.rule.name;
            state.warnings.add(format!(
                "a match of {name} in the output is left out: {problem}"
            ));
        }
    }

    fn state(&self) -> MutexGuard<'_, EventsState> {
        locked(&self.state)
    }
}

impl RuleMetrics for Events {
    fn rules(&self) -> &[MetricRule] {
        &self.rules
    }

    fn report(&self, rule: &MetricRule, value: f64) -> Result<(), String> {
        let mut state = self.state();
        if let Some(live) = &mut state.live {
            let _ = live.collector.set(&rule.name, &rule.labels, value);
        }
        state.collector.set(&rule.name, &rule.labels, value)
    }
}

impl OutputSearch {
    /// Takes the next output of the command.
    pub fn feed(&self, bytes: &[u8]) {
        locked(&self.search).feed(bytes, |found| self.events.found(&found));
    }

    /// Takes the end of the stream.
    pub fn end(&self) {
        locked(&self.search).finish(|found| self.events.found(&found));
    }
}

impl EventsState {
    /// Reads the file for the report.
    fn read_file(&mut self, is_final: bool, goes_on: impl Fn() -> bool) -> &Collector {
        let EventsState {
            collector,
            file,
            warnings,
            ..
        } = self;
        let Some((file, reading)) = file else {
            return collector;
        };
        let result = reading.read(file.path(), is_final, goes_on, |number, line| {
            let result = match line {
                Some(line) => collector.line(line),
                None => Err("it is too long".into()),
            };
            if let Err(problem) = result {
                warnings.add(format!(
                    "line {number} of the job's metrics is left out: {problem}"
                ));
            }
        });
        match result {
            Err(ReadError::Io(error)) if is_final => {
                warnings.add(format!(
                    "could not read the job's metrics: {}",
                    reason(&error)
                ));
            }
            Err(error) if is_final => warnings.add(format!("the job's metrics: {error}")),
            _ => {}
        }
        collector
    }

    /// Takes the results of the job's tests.
    fn take_junit(&mut self, reading: JunitReading) -> &Collector {
        for warning in reading.warnings {
            self.warnings.add(warning);
        }
        for (suite, counts) in &reading.suites {
            if let Err(problem) = self.collector.suite(suite, counts) {
                let warning = format!("the test suite {suite:?} is left out: {problem}");
                self.warnings.add(warning);
            }
        }
        &self.collector
    }

    /// Reads the file to be shown, until `until`.
    fn read_live(&mut self, until: Instant) -> &Collector {
        let EventsState {
            collector,
            file,
            live,
            ..
        } = self;
        let live = live.get_or_insert_with(|| {
            Box::new(LiveView {
                collector: collector.clone(),
                reading: file.as_ref().map(|(_, reading)| reading.clone()),
            })
        });
        let LiveView { collector, reading } = &mut **live;
        if let (Some((file, _)), Some(reading)) = (file, reading) {
            let goes_on = || Instant::now() < until;
            // The report warns of what is wrong.
            let _ = reading.read(file.path(), false, goes_on, |_, line| {
                let _ = line.map(|line| collector.line(line));
            });
        }
        collector
    }
}

/// Warnings, the first of them in full.
#[derive(Default)]
struct Warnings {
    lines: Vec<String>,
    further: usize,
}

impl Warnings {
    const SHOWN: usize = 20;

    fn add(&mut self, line: String) {
        if self.lines.len() < Self::SHOWN {
            self.lines.push(line);
        } else {
            self.further += 1;
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.further > 0 {
            self.lines
                .push(format!("{} further ones like these", self.further));
        }
        self.lines
    }
}
