//! The window log: what happened in the last seconds, in one line.

use std::collections::BTreeMap;
use std::time::Instant;

use sketches_ddsketch::{Config, DDSketch};

use metricsjob_state::history::RecordedRun;

/// Events since the window began.
pub struct Window {
    since: Instant,
    /// By job, and then by outcome.
    runs: BTreeMap<String, BTreeMap<String, u64>>,
    durations: DDSketch,
    /// How often runs were tried again.
    retries: u64,
    /// Reports that gateways took.
    pub pushes_sent: u64,
    /// Attempts that failed, and reports that were rejected.
    pub pushes_failed: u64,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            since: Instant::now(),
            runs: BTreeMap::new(),
            durations: DDSketch::new(Config::defaults()),
            retries: 0,
            pushes_sent: 0,
            pushes_failed: 0,
        }
    }
}

impl Window {
    /// Counts a run that is over.
    pub fn run(&mut self, run: &RecordedRun, retries: u32) {
        let outcomes = self.runs.entry(run.name.clone()).or_default();
        *outcomes.entry(run.outcome.clone()).or_default() += 1;
        if run.attempts > 0 {
            self.durations.add(run.duration);
        }
        self.retries += u64::from(retries);
    }

    /// Logs the window; later events belong to another one.
    pub fn log(self) {
        let all: u64 = self.runs.values().flat_map(BTreeMap::values).sum();
        let by_job = serde_json::to_string(&self.runs).unwrap_or_default();
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|quantile| {
            let value = self.durations.quantile(quantile).ok().flatten();
            value.map(|seconds| (seconds * 1e6).round() / 1e6)
        });
        let window = (self.since.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        tracing::info!(
            window_seconds = window,
            runs = all,
            runs_by_job_and_outcome = by_job,
            pushes_sent = self.pushes_sent,
            pushes_failed = self.pushes_failed,
            retries = self.retries,
            run_duration_p50_seconds = p50,
            run_duration_p95_seconds = p95,
            run_duration_p99_seconds = p99,
            "metrics"
        );
    }
}
