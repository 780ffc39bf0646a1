//! Metrics of the gateway itself: names, help and labels are those of the Pushgateway, if it has them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use metricsjob_instruments::{Summary, SummaryOpts, SummaryVec, summary_vec};
use metricsjob_metrics::Family;
use metricsjob_metrics::registry::{Children, gather, register};
use metricsjob_state::store::{Store, own};

/// Distinguishes this implementation from the Pushgateway.
pub const IMPLEMENTATION: &str = "metricsjob";

/// Build information.
pub const BUILD: [(&str, &str); 4] = [
    ("goarch", std::env::consts::ARCH),
    ("goos", std::env::consts::OS),
    ("implementation", IMPLEMENTATION),
    ("version", env!("CARGO_PKG_VERSION")),
];

/// A smaller push does not leave enough memory to be worth giving back.
const LARGE: usize = 64 * 1024;

/// How long a push is part of the quantiles: client_golang's default, which the Pushgateway has.
const PUSH_AGE: Duration = Duration::from_secs(600);

/// Metrics of a gateway. Each number is exact by itself, but two of them may be of different moments.
pub struct OwnMetrics {
    registry: Registry,
    requests: IntCounterVec,
    /// The requests by handler, method and status.
    counted: Children<(&'static str, &'static str, StatusCode), IntCounter>,
    durations: SummaryVec,
    sizes: SummaryVec,
    /// Durations and sizes by method.
    observed: Children<&'static str, [Summary; 2]>,
    rejected: IntCounter,
    groups: IntGauge,
    series: IntGauge,
    store_bytes: IntGauge,
    database_bytes: IntGauge,
    expired_groups: IntCounter,
    commits: IntCounter,
    commit_failures: IntCounter,
    commit_seconds: Counter,
    /// True if the last commit failed.
    pub is_failing: AtomicBool,
    /// Number of bytes of large pushes that were read or dropped since memory was last given back to the
    /// system.
    pub churned: AtomicUsize,
}

impl OwnMetrics {
    /// `max_series` is that of the [`Options`](super::Options).
    pub fn new(max_series: usize) -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let summaries = |name: &str, help: &str| {
            let opts = SummaryOpts::new(name, help)
                .objective(0.1, 0.05)
                .objective(0.5, 0.05)
                .objective(0.9, 0.01)
                .max_age(PUSH_AGE);
            register(&registry, summary_vec(opts, &["method"]))
        };
        let build = Opts::new(
            own::BUILD_INFO,
            "A metric with a constant '1' value labeled by what the gateway was built from.",
        );
        let build = register(
            &registry,
            IntGaugeVec::new(build, &BUILD.map(|(name, _)| name)),
        );
        build
            .with_label_values(&BUILD.map(|(_, value)| value))
            .set(1);
        let requests = Opts::new(
            own::HTTP_REQUESTS,
            "Total HTTP requests processed by the Pushgateway, excluding scrapes.",
        );
        let requests = IntCounterVec::new(requests, &["code", "handler", "method"]);
        let limit = gauge(
            own::SERIES_LIMIT,
            "Series that the groups may have by --storage.max-series, with two for each group.",
        );
        limit.set(integer(max_series));
        let seconds = Counter::new(own::COMMIT_SECONDS, "Time spent writing transactions.");
        OwnMetrics {
            requests: register(&registry, requests),
            counted: Children::default(),
            durations: summaries(
                own::HTTP_PUSH_DURATION,
                "HTTP request duration for pushes to the Pushgateway.",
            ),
            sizes: summaries(
                own::HTTP_PUSH_SIZE,
                "HTTP request size for pushes to the Pushgateway.",
            ),
            observed: Children::default(),
            rejected: counter(
                own::REJECTED_PUSHES,
                "Pushes that were refused because they were inconsistent.",
            ),
            groups: gauge(own::GROUPS, "Groups."),
            series: gauge(own::SERIES, "Series that were pushed."),
            store_bytes: gauge(own::STORE_SIZE, "Text of all groups in memory."),
            database_bytes: gauge(
                own::DATABASE_SIZE,
                "Size of the state database with its log.",
            ),
            expired_groups: counter(
                own::EXPIRED_GROUPS,
                "Groups that were removed because nothing was pushed to them for their time to live.",
            ),
            commits: counter(own::COMMITS, "Transactions that were written."),
            commit_failures: counter(
                own::COMMIT_FAILURES,
                "Transactions that could not be written.",
            ),
            commit_seconds: register(&registry, seconds),
            is_failing: AtomicBool::new(false),
            churned: AtomicUsize::new(0),
            registry,
        }
    }

    /// Counts a response.
    pub fn answered(&self, handler: &'static str, method: &'static str, status: StatusCode) {
        let make = || {
            let labels = [status.as_str(), handler, method];
            self.requests.with_label_values(&labels)
        };
        self.counted.get((handler, method, status), make).inc();
    }

    /// Counts the response to a push of `size` bytes.
    pub fn pushed(&self, method: &'static str, status: StatusCode, took: Duration, size: usize) {
        self.answered("push", method, status);
        let make = || [&self.durations, &self.sizes].map(|all| all.with_label_values(&[method]));
        let [seconds, bytes] = self.observed.get(method, make);
        seconds.observe(took.as_secs_f64());
        bytes.observe(size as f64);
    }

    /// Counts an inconsistent push.
    pub fn rejected(&self) {
        self.rejected.inc();
    }

    pub(super) fn store(&self, store: &Store) {
        self.groups.set(integer(store.len()));
        self.series.set(integer(store.series()));
        self.store_bytes.set(integer(store.bytes()));
    }

    /// Records that a push of `bytes` bytes was read, or that the data of one was dropped.
    pub(super) fn churned(&self, bytes: usize) {
        if bytes > LARGE {
            self.churned.fetch_add(bytes, Relaxed);
        }
    }

    pub(super) fn database_bytes(&self, bytes: u64) {
        self.database_bytes.set(integer(bytes));
    }

    pub(super) fn expired(&self, groups: usize) {
        self.expired_groups.inc_by(groups as u64);
    }

    pub(super) fn committed(&self, took: Duration, is_ok: bool) {
        let counter = if is_ok {
            &self.commits
        } else {
            &self.commit_failures
        };
        counter.inc();
        self.commit_seconds.inc_by(took.as_secs_f64());
        self.is_failing.store(!is_ok, Relaxed);
    }

    /// Returns all current metrics.
    pub fn families(&self) -> Vec<Family> {
        gather(&self.registry)
    }
}

fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::runtime::Handle;

    use super::*;
    use metricsjob_web::observe::ProcessCollector;

    #[tokio::test]
    async fn their_names_are_taken() {
        let own_metrics = OwnMetrics::new(1);
        own_metrics.pushed("put", StatusCode::OK, Duration::from_millis(1), 5);
        let mut families = own_metrics.families();
        // Of the process metrics, only those that the Pushgateway has too.
        families.extend(ProcessCollector::new(SystemTime::now(), Handle::current()).families());
        families.retain(|family| {
            family.name.contains("gateway_")
                || family.name.starts_with("process_") && family.name != "process_threads"
        });
        let mut found: Vec<_> = families
            .iter()
            .map(|family| (family.name.as_str(), family.kind))
            .collect();
        let mut taken = own::FAMILIES[3..].to_vec();
        found.sort_by_key(|(name, _)| *name);
        taken.sort_by_key(|(name, _)| *name);
        assert_eq!(found, taken);
    }
}
