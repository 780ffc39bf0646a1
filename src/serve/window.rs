//! The window log: what happened in the last seconds, in one line.

use metricsjob_instruments::window::{Aggregator, Window, WindowSnapshot};
use serde_json::Value;

use crate::run::Outcome;
use metricsjob_metrics::{Kind, Value as SeriesValue};
use metricsjob_state::history::RecordedRun;

/// Runs and pushes since the window began.
pub struct RunWindow(Window);

impl Default for RunWindow {
    fn default() -> Self {
        let quantiles = [
            (0.5, "run_duration_p50_seconds"),
            (0.95, "run_duration_p95_seconds"),
            (0.99, "run_duration_p99_seconds"),
        ];
        RunWindow(
            Window::new()
                .count("runs")
                .count_by("runs_by_job_and_outcome", &["job", "outcome"])
                .count_by("counters", &["job", "name"])
                .count_by("errors", &["kind"])
                .count("pushes_sent")
                .count("pushes_failed")
                .count("retries")
                .quantiles("run_duration", &quantiles),
        )
    }
}

impl RunWindow {
    /// Window a run that is over, with what the job itself has counted.
    pub fn run(&self, run: &RecordedRun, retries: u32) {
        let job = ("job", run.name.as_str());
        let outcome = run.outcome.as_str();
        self.0.increment("runs", &[], 1.0);
        let labels = [job, ("outcome", outcome)];
        self.0.increment("runs_by_job_and_outcome", &labels, 1.0);
        let [success, .., skipped] = Outcome::NAMES;
        if outcome != success && outcome != skipped {
            self.error(outcome);
        }
        let counters = run.metrics.iter().filter(|f| f.kind == Kind::Counter);
        for family in counters {
            for metric in &family.metrics {
                if let SeriesValue::Number(value) = metric.value {
                    let labels = [job, ("name", family.name.as_str())];
                    self.0.increment("counters", &labels, value);
                }
            }
        }
        if run.attempts > 0 {
            self.0.observe("run_duration", &[], run.duration);
        }
        self.0.increment("retries", &[], f64::from(retries));
    }

    /// Window reports that gateways took, and attempts that failed or were rejected.
    pub fn pushes(&self, sent: u64, failed: u64) {
        self.0.increment("pushes_sent", &[], sent as f64);
        self.0.increment("pushes_failed", &[], failed as f64);
        if failed > 0 {
            self.0
                .increment("errors", &[("kind", "push")], failed as f64);
        }
    }

    /// Window an error that is neither the outcome of a run nor of a push.
    pub fn error(&self, kind: &str) {
        self.0.increment("errors", &[("kind", kind)], 1.0);
    }

    /// Begins a new window, and returns the one that has ended.
    pub fn reset(&self) -> WindowSnapshot {
        self.0.reset()
    }
}

/// Logs a window.
pub fn log(window: &WindowSnapshot) {
    let fields = window.fields();
    let number = |name: &str| fields.get(name).and_then(Value::as_f64);
    let object = |name: &str| fields.get(name).map(Value::to_string).unwrap_or_default();
    tracing::info!(
        window_seconds = number("window_seconds"),
        runs = number("runs"),
        runs_by_job_and_outcome = object("runs_by_job_and_outcome").as_bytes(),
        counters = object("counters").as_bytes(),
        errors = object("errors").as_bytes(),
        pushes_sent = number("pushes_sent"),
        pushes_failed = number("pushes_failed"),
        retries = number("retries"),
        run_duration_p50_seconds = number("run_duration_p50_seconds"),
        run_duration_p95_seconds = number("run_duration_p95_seconds"),
        run_duration_p99_seconds = number("run_duration_p99_seconds"),
        "metrics"
    );
}
