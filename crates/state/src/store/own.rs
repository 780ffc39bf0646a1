//! Names of a gateway's metrics about itself.
//!
//! As at the Pushgateway, no push may use them with another type. They are defined here and not where they are
//! measured, because pushes are also checked while no gateway serves the state.
//!
//! The gateway has more metrics, which all our servers have and the Pushgateway has not. Applications have and push
//! some of them too, above all `http_requests_total`. Such names are not reserved: the gateway's own are left out of
//! a scrape while they conflict with pushed ones.

use metricsjob_metrics::Kind;

pub const BUILD_INFO: &str = "pushgateway_build_info";
pub const HTTP_REQUESTS: &str = "pushgateway_http_requests_total";
pub const HTTP_PUSH_DURATION: &str = "pushgateway_http_push_duration_seconds";
pub const HTTP_PUSH_SIZE: &str = "pushgateway_http_push_size_bytes";
pub const GROUPS: &str = "metricsjob_gateway_groups";
pub const SERIES: &str = "metricsjob_gateway_series";
pub const SERIES_LIMIT: &str = "metricsjob_gateway_series_limit";
pub const STORE_SIZE: &str = "metricsjob_gateway_store_bytes";
pub const DATABASE_SIZE: &str = "metricsjob_gateway_database_bytes";
pub const EXPIRED_GROUPS: &str = "metricsjob_gateway_expired_groups_total";
pub const REJECTED_PUSHES: &str = "metricsjob_gateway_rejected_pushes_total";
pub const COMMITS: &str = "metricsjob_gateway_commits_total";
pub const COMMIT_FAILURES: &str = "metricsjob_gateway_commit_failures_total";
pub const COMMIT_SECONDS: &str = "metricsjob_gateway_commit_seconds_total";

/// Returns true if the name is in [`FAMILIES`].
pub fn is_reserved(name: &str) -> bool {
    FAMILIES.iter().any(|(reserved, _)| *reserved == name)
}

/// Reserved families: the gateway's own, and those that it adds to each group.
pub const FAMILIES: [(&str, Kind); 24] = [
    (metricsjob_metrics::TIME_SERIES[0], Kind::Gauge),
    (metricsjob_metrics::TIME_SERIES[1], Kind::Gauge),
    (metricsjob_metrics::TTL_SERIES, Kind::Gauge),
    (BUILD_INFO, Kind::Gauge),
    (HTTP_REQUESTS, Kind::Counter),
    (HTTP_PUSH_DURATION, Kind::Summary),
    (HTTP_PUSH_SIZE, Kind::Summary),
    (GROUPS, Kind::Gauge),
    (SERIES, Kind::Gauge),
    (SERIES_LIMIT, Kind::Gauge),
    (STORE_SIZE, Kind::Gauge),
    (DATABASE_SIZE, Kind::Gauge),
    (EXPIRED_GROUPS, Kind::Counter),
    (REJECTED_PUSHES, Kind::Counter),
    (COMMITS, Kind::Counter),
    (COMMIT_FAILURES, Kind::Counter),
    (COMMIT_SECONDS, Kind::Counter),
    ("process_cpu_seconds_total", Kind::Counter),
    ("process_max_fds", Kind::Gauge),
    ("process_open_fds", Kind::Gauge),
    ("process_resident_memory_bytes", Kind::Gauge),
    ("process_start_time_seconds", Kind::Gauge),
    ("process_virtual_memory_bytes", Kind::Gauge),
    ("process_virtual_memory_max_bytes", Kind::Gauge),
];
