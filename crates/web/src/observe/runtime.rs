//! Metrics of the runtime that serves requests.

use tokio::runtime::Handle;

use metricsjob_metrics::Family;

/// Returns the metrics that tokio provides without `--cfg tokio_unstable`.
pub fn families(runtime: &Handle) -> [Family; 2] {
    let metrics = runtime.metrics();
    [
        Family::gauge(
            "tokio_workers",
            "Number of threads that serve.",
            metrics.num_workers() as f64,
        ),
        Family::gauge(
            "tokio_alive_tasks",
            "Number of tasks that have not ended, about one for each connection.",
            metrics.num_alive_tasks() as f64,
        ),
    ]
}
