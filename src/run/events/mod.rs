//! Metrics from inside a running job: the file that it appends to, and its output.
//!
//! - [`Event`]: what `metricsjob metric` appends.
//! - `collector`: what all of them come to.

mod collector;
mod event;
mod metrics_file;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::Registry;

use self::collector::Collector;
use self::metrics_file::MetricsFile;
use crate::job::metric_rule::{MetricRule, OutputStream};
use crate::job::{Job, Work};
use crate::metrics::{Family, registry};

pub use collector::check_names;
pub use event::{Change, Event};

/// The environment variable that names the file to which a running job appends its metrics.
pub const METRICS_VARIABLE: &str = "METRICSJOB_METRICS";

/// Takes the lines that a job's command writes.
pub type LineSink = dyn Fn(OutputStream, &[u8]) + Send + Sync;

/// The metrics of a running job, from all places where they come from.
pub struct Events {
    /// Who gets the output, line by line, in place of our own stdout and stderr.
    lines: Option<Arc<LineSink>>,
    /// The rules that read the command's output.
    rules: Vec<MetricRule>,
    /// What a built-in registers.
    registry: Mutex<Registry>,
    state: Mutex<State>,
}

struct State {
    collector: Collector,
    file: Option<MetricsFile>,
    warnings: Warnings,
}

impl Events {
    /// None so far, of a run of `job`. `lines` gets what its command writes, if it is there.
    pub fn new(job: &Job, lines: Option<Arc<LineSink>>) -> Self {
        let mut warnings = Warnings::default();
        let file = match &job.work {
            Work::Builtin(..) => None,
            Work::Command(_) => MetricsFile::create()
                .map_err(|error| {
                    warnings.add(format!(
                        "could not make a file for the job's metrics: {error}; {METRICS_VARIABLE} is not set"
                    ));
                })
                .ok(),
        };
        let rules = job.metrics.iter().filter(|rule| rule.source.is_some());
        Events {
            lines,
            rules: rules.cloned().collect(),
            registry: Mutex::new(Registry::new()),
            state: Mutex::new(State {
                collector: Collector::new(&job.metrics),
                file,
                warnings,
            }),
        }
    }

    /// Where an attempt of a built-in registers its metrics, in place of those of the one before.
    pub fn new_registry(&self) -> Registry {
        let registry = Registry::new();
        *self.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry.clone();
        registry
    }

    /// The file to which the job appends its metrics, if it could be made.
    pub fn with_path<T>(&self, use_path: impl FnOnce(&Path) -> T) -> Option<T> {
        self.state().file.as_ref().map(|file| use_path(file.path()))
    }

    /// Whether anybody reads `stream`.
    pub fn reads(&self, stream: OutputStream) -> bool {
        let mut sources = self.rules.iter().filter_map(|rule| rule.source.as_ref());
        self.takes_lines() || sources.any(|source| source.stream.includes(stream))
    }

    /// Whether somebody gets the output in place of our own stdout and stderr.
    pub fn takes_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Looks for metrics in a line that the job wrote to `stream`.
    pub fn output_line(&self, stream: OutputStream, line: &[u8]) {
        if let Some(take) = &self.lines {
            take(stream, line);
        }
        for rule in &self.rules {
            let Some(source) = &rule.source else { continue };
            if !source.stream.includes(stream) {
                continue;
            }
            for captures in source.pattern.captures_iter(line) {
                let mut state = self.state();
                if let Err(problem) = state.collector.matched(rule, &captures) {
                    let name = &rule.name;
                    state.warnings.add(format!(
                        "a match of {name} in the output is left out: {problem}"
                    ));
                }
            }
        }
    }

    /// All metrics so far, sorted by name for each place they come from.
    pub fn families(&self) -> Vec<Family> {
        self.gather(false).0
    }

    /// All metrics of the job, which has ended, and what is to be warned about.
    pub fn finish(&self) -> (Vec<Family>, Vec<String>) {
        let (families, mut state) = self.gather(true);
        (families, std::mem::take(&mut state.warnings).into_lines())
    }

    /// Notes what the user is to be warned about.
    pub fn warn(&self, warning: String) {
        self.state().warnings.add(warning);
    }

    fn gather(&self, is_final: bool) -> (Vec<Family>, MutexGuard<'_, State>) {
        let registry = self.registry.lock();
        let mut families = registry::gather(&registry.unwrap_or_else(PoisonError::into_inner));
        let mut state = self.state();
        state.read_file(is_final);
        families.extend(state.collector.families());
        (families, state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked had not begun to change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read_file(&mut self, is_final: bool) {
        let State {
            collector,
            file,
            warnings,
        } = self;
        let Some(file) = file else { return };
        let result = file.read(is_final, |number, line| {
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
        if let (Err(error), true) = (result, is_final) {
            warnings.add(format!("could not read the job's metrics: {error}"));
        }
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
