//! Metrics of the API.

use metricsjob_http::{AccessLog, HttpMetric, HttpMetrics, Manager};
use prometheus::{
    DEFAULT_BUCKETS, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

/// Metrics of the API. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    /// The layer that counts all requests.
    pub http: HttpMetrics,
    /// `errors_total{type,service}`: HTTP errors are counted by the layer, others by the endpoints.
    pub errors: IntCounterVec,
    pub registrations: IntCounter,
    pub active_users: IntGauge,
    pub database_connections: IntGauge,
    pub processing_time: HistogramVec,
    pub queue_size: IntGauge,
    pub feature_usage: IntCounterVec,
    pub background_jobs: IntGaugeVec,
}

impl Metrics {
    pub fn new(manager: &Manager, log: impl AccessLog + 'static) -> prometheus::Result<Metrics> {
        // Requests, durations and response sizes; the sizes' default buckets are 100 to 1,000,000 by ten.
        let http = HttpMetrics::builder()
            .duration_buckets(DEFAULT_BUCKETS)
            .omit(HttpMetric::RequestSizes)
            .help(
                HttpMetric::Errors,
                "Errors by their type and where they are from.",
            )
            .access_log(log);
        let http = manager.register_http(http)?;
        let counter = |name: &str, help: &str| manager.register(IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| manager.register(IntGauge::new(name, help)?);
        let processing_time = HistogramOpts::new("processing_time_seconds", "Time of operations.")
            .buckets(vec![0.1, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let processing_time = HistogramVec::new(processing_time, &["operation", "status"])?;
        let feature_usage = Opts::new("feature_usage_total", "Uses of each feature.");
        let feature_usage = IntCounterVec::new(feature_usage, &["feature", "user_type"])?;
        let background_jobs = Opts::new("background_jobs", "Background jobs by their state.");
        let background_jobs = IntGaugeVec::new(background_jobs, &["job_type", "status"])?;
        Ok(Metrics {
            errors: http.errors().clone(),
            http,
            registrations: counter("user_registrations_total", "Users that were created.")?,
            active_users: gauge("active_users", "Users whose status is active.")?,
            database_connections: gauge("database_connections", "Open database connections.")?,
            processing_time: manager.register(processing_time)?,
            queue_size: gauge("queue_size", "Background jobs that wait for their turn.")?,
            feature_usage: manager.register(feature_usage)?,
            background_jobs: manager.register(background_jobs)?,
        })
    }

    /// Counts an error of the API that is more than its HTTP status.
    pub fn error(&self, kind: &str, service: &str) {
        self.errors.with_label_values(&[kind, service]).inc();
    }

    /// Counts the use of a feature.
    pub fn used(&self, feature: &str, user_type: &str) {
        self.feature_usage
            .with_label_values(&[feature, user_type])
            .inc();
    }
}
