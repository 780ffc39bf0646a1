//! Gateways: pushes, what they keep, what it costs. A Pushgateway has the metrics of pushes and of the process too.

use serde_json::Value as Json;

use super::board::Dashboard;
use super::panel::Panel;
use super::promql::{mean_by, quantile_by, rate_by};
use super::variable::DashboardVariable;

const SCOPE: &str = "job=~\"$job\",instance=~\"$instance\"";

pub fn gateway() -> Json {
    Dashboard::new("metricsjob-gateway", "Gateways of batch jobs", SCOPE)
        .about(
            "Gateways of metricsjob and Pushgateways. What only the former have is under its name.",
        )
        .variable(DashboardVariable::new("job", "Job", "pushgateway_build_info", "job").several())
        .variable(
            DashboardVariable::new(
                "instance",
                "Instance",
                "pushgateway_build_info{job=~\"$job\"}",
                "instance",
            )
            .several(),
        )
        .row("Now", now())
        .row("Pushes", pushes())
        .row("Groups", groups())
        .row("Process", process())
        .row("Storage of metricsjob", storage())
        .row("Requests to metricsjob", requests())
        .row("Machine of metricsjob", machine())
        .into_json()
}

fn now() -> [Panel; 7] {
    [
        Panel::stat("Uptime", "s").query("time() - process_start_time_seconds{@}", "{{instance}}"),
        // Each group has a push time.
        Panel::stat("Groups", "none").query(
            "count by (gateway_replica) (push_time_seconds)",
            "{{gateway_replica}}",
        ),
        Panel::stat("Groups with a refused push", "none")
            .about(
                "The last push to the group was refused, for example because it was inconsistent.",
            )
            .query(
                "count by (gateway_replica) (push_failure_time_seconds > push_time_seconds)",
                "{{gateway_replica}}",
            )
            .or_else("0")
            .steps("green", &[(1.0, "red")]),
        Panel::stat("Series", "none").query("metricsjob_gateway_series{@}", "{{instance}}"),
        Panel::stat("Series of those allowed", "percentunit")
            .query(
                "metricsjob_gateway_series{@} / metricsjob_gateway_series_limit{@}",
                "{{instance}}",
            )
            .steps("green", &[(0.7, "orange"), (0.9, "red")]),
        Panel::stat("Commits that failed", "none")
            .about("Pushes that could not be written to the disk, in the time range.")
            .query(
                "sum(increase(metricsjob_gateway_commit_failures_total{@}[$__range]))",
                "",
            )
            .steps("green", &[(1.0, "red")]),
        Panel::table("Versions")
            .label("job")
            .label("instance")
            .labels(
                "pushgateway_build_info{@}",
                &[("implementation", "Implementation"), ("version", "Version")],
            )
            .size(24, 5),
    ]
}

fn pushes() -> [Panel; 4] {
    [
        Panel::bars("Pushes", "reqps")
            .query(
                &rate_by("method, code", "pushgateway_http_requests_total{@,handler=\"push\"}"),
                "{{method}} {{code}}",
            ),
        Panel::graph("Time of a push", "s")
            .about("Over the last ten minutes: nine of ten pushes took no longer.")
            .query(
                "max by (method, quantile) (pushgateway_http_push_duration_seconds{@,quantile=~\"0.5|0.9\"})",
                "{{method}} {{quantile}}",
            ),
        Panel::graph("Size of a push", "bytes")
            .query(&mean_by("method", "pushgateway_http_push_size_bytes", "{@}"), "{{method}}"),
        Panel::bars("Other requests", "reqps")
            .query(
                &rate_by("handler, code", "pushgateway_http_requests_total{@,handler!=\"push\"}"),
                "{{handler}} {{code}}",
            ),
    ]
}

fn groups() -> [Panel; 2] {
    [
        Panel::table("Groups with a refused push")
            .label("job")
            .column(
                "Refused",
                "dateTimeFromNow",
                "(push_failure_time_seconds > push_time_seconds) * 1000",
            )
            .or_else("No push was refused")
            .size(12, 8),
        Panel::table("Groups without a push for the longest time")
            .label("job")
            .column(
                "Last push",
                "dateTimeFromNow",
                "bottomk(20, push_time_seconds > 0) * 1000",
            )
            .size(12, 8),
    ]
}

fn process() -> [Panel; 3] {
    [
        Panel::graph("Processors", "percentunit")
            .about("1 is one processor that is never idle.")
            .query(
                "rate(process_cpu_seconds_total{@}[$__rate_interval])",
                "{{instance}}",
            )
            .size(8, 8),
        Panel::graph("Memory", "bytes")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .size(8, 8),
        Panel::graph("Open files", "percentunit")
            .about("Share of the file descriptors that the process may have.")
            .query("process_open_fds{@} / process_max_fds{@}", "{{instance}}")
            .size(8, 8),
    ]
}

/// Mean of a commit since the point before.
const COMMIT_TIME: &str = "rate(metricsjob_gateway_commit_seconds_total{@}[$__rate_interval]) \
     / rate(metricsjob_gateway_commits_total{@}[$__rate_interval])";

fn storage() -> [Panel; 6] {
    [
        Panel::graph("Time of a commit", "s")
            .query(COMMIT_TIME, "{{instance}}")
            .size(8, 8),
        Panel::bars("Commits", "ops")
            .about("Pushes that arrive together are written together.")
            .query(
                "rate(metricsjob_gateway_commits_total{@}[$__rate_interval])",
                "{{instance}}",
            )
            .query(
                "rate(metricsjob_gateway_commit_failures_total{@}[$__rate_interval])",
                "{{instance}} failed",
            )
            .size(8, 8),
        Panel::bars("Refused and expired", "none")
            .query(
                "increase(metricsjob_gateway_rejected_pushes_total{@}[$__rate_interval])",
                "{{instance}} inconsistent pushes",
            )
            .query(
                "increase(metricsjob_gateway_expired_groups_total{@}[$__rate_interval])",
                "{{instance}} expired groups",
            )
            .size(8, 8),
        Panel::graph("Groups", "none")
            .query("metricsjob_gateway_groups{@}", "{{instance}}")
            .size(8, 8),
        Panel::graph("Series", "none")
            .query("metricsjob_gateway_series{@}", "{{instance}}")
            .size(8, 8),
        Panel::graph("Size", "bytes")
            .query(
                "metricsjob_gateway_database_bytes{@}",
                "{{instance}} database",
            )
            .query(
                "metricsjob_gateway_store_bytes{@}",
                "{{instance}} groups in memory",
            )
            .size(8, 8),
    ]
}

fn requests() -> [Panel; 3] {
    [
        Panel::bars("Requests by endpoint", "reqps")
            .query(
                &rate_by("endpoint", "http_requests_total{@}"),
                "{{endpoint}}",
            )
            .size(8, 8),
        Panel::graph("Time of a response", "s")
            .about("95 of 100 responses took no longer.")
            .query(
                &quantile_by(0.95, "endpoint", "http_request_duration_seconds_bucket{@}"),
                "{{endpoint}}",
            )
            .size(8, 8),
        Panel::bars("Errors", "reqps")
            .query(&rate_by("type", "errors_total{@}"), "{{type}}")
            .size(8, 8),
    ]
}

fn machine() -> [Panel; 4] {
    [
        Panel::graph("Processors", "percentunit")
            .query("system_cpu_usage_ratio{@}", "{{instance}}")
            .size(6, 8),
        Panel::graph("Memory", "percentunit")
            .query(
                "system_memory_usage_bytes{@} / system_memory_total_bytes{@}",
                "{{instance}}",
            )
            .size(6, 8),
        Panel::graph("Disks", "percentunit")
            .query(
                "system_disk_usage_bytes{@} / system_disk_total_bytes{@}",
                "{{instance}} {{mount_point}}",
            )
            .size(6, 8),
        Panel::graph("TCP connections", "none")
            .query(
                "sum by (instance, state) (system_tcp_connections{@})",
                "{{instance}} {{state}}",
            )
            .size(6, 8),
    ]
}
