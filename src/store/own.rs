//! The names of a gateway's metrics about itself.
//!
//! No push may use them with another type, as at the Pushgateway. They are here, and not where they are
//! measured, because what `run` leaves in the state while no gateway serves it is served later.

use crate::metrics::Kind;

pub const BUILD_INFO: &str = "pushgateway_build_info";
pub const HTTP_REQUESTS: &str = "pushgateway_http_requests_total";
pub const HTTP_PUSH_DURATION: &str = "pushgateway_http_push_duration_seconds";
pub const HTTP_PUSH_SIZE: &str = "pushgateway_http_push_size_bytes";
pub const GROUPS: &str = "metricsjob_gateway_groups";
pub const SERIES: &str = "metricsjob_gateway_series";
pub const STORE_SIZE: &str = "metricsjob_gateway_store_bytes";
pub const DATABASE_SIZE: &str = "metricsjob_gateway_database_bytes";
pub const EXPIRED_GROUPS: &str = "metricsjob_gateway_expired_groups_total";
pub const REJECTED_PUSHES: &str = "metricsjob_gateway_rejected_pushes_total";
pub const COMMITS: &str = "metricsjob_gateway_commits_total";
pub const COMMIT_FAILURES: &str = "metricsjob_gateway_commit_failures_total";
pub const COMMIT_SECONDS: &str = "metricsjob_gateway_commit_seconds_total";
pub const CPU_SECONDS: &str = "process_cpu_seconds_total";
pub const MAX_FDS: &str = "process_max_fds";
pub const OPEN_FDS: &str = "process_open_fds";
pub const RESIDENT_MEMORY: &str = "process_resident_memory_bytes";
pub const START_TIME: &str = "process_start_time_seconds";
pub const VIRTUAL_MEMORY: &str = "process_virtual_memory_bytes";
pub const VIRTUAL_MEMORY_MAX: &str = "process_virtual_memory_max_bytes";

/// All of them, and the two push times of each group.
pub const FAMILIES: [(&str, Kind); 22] = [
    (crate::metrics::TIME_SERIES[0], Kind::Gauge),
    (crate::metrics::TIME_SERIES[1], Kind::Gauge),
    (BUILD_INFO, Kind::Gauge),
    (HTTP_REQUESTS, Kind::Counter),
    (HTTP_PUSH_DURATION, Kind::Summary),
    (HTTP_PUSH_SIZE, Kind::Summary),
    (GROUPS, Kind::Gauge),
    (SERIES, Kind::Gauge),
    (STORE_SIZE, Kind::Gauge),
    (DATABASE_SIZE, Kind::Gauge),
    (EXPIRED_GROUPS, Kind::Counter),
    (REJECTED_PUSHES, Kind::Counter),
    (COMMITS, Kind::Counter),
    (COMMIT_FAILURES, Kind::Counter),
    (COMMIT_SECONDS, Kind::Counter),
    (CPU_SECONDS, Kind::Counter),
    (MAX_FDS, Kind::Gauge),
    (OPEN_FDS, Kind::Gauge),
    (RESIDENT_MEMORY, Kind::Gauge),
    (START_TIME, Kind::Gauge),
    (VIRTUAL_MEMORY, Kind::Gauge),
    (VIRTUAL_MEMORY_MAX, Kind::Gauge),
];
