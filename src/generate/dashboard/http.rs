//! HTTP services that count their requests as `metricsjob-http` does, and what the programs of `examples/` report
//! besides.

use serde_json::Value as Json;

use super::board::Dashboard;
use super::panel::{Meaning, Panel};
use super::promql::{increase_by, mean_by, quantile_by, rate_by};
use super::variable::DashboardVariable;

const SCOPE: &str = "job=~\"$job\",instance=~\"$instance\"";

const SERVICES: [Meaning; 2] = [(0, "Down", "red"), (1, "Up", "green")];

pub fn http() -> Json {
    Dashboard::new("metricsjob-http", "HTTP services", SCOPE)
        .about("HTTP services with the metrics of metricsjob-http, which servers of metricsjob have too.")
        .from("now-1h")
        .variable(DashboardVariable::new("job", "Job", "http_requests_total", "job").several())
        .variable(
            DashboardVariable::new("instance", "Instance", "http_requests_total{job=~\"$job\"}", "instance")
                .several(),
        )
        .variable(
            DashboardVariable::new(
                "endpoint",
                "Endpoint",
                "http_requests_total{job=~\"$job\",instance=~\"$instance\"}",
                "endpoint",
            )
            .several(),
        )
        .row("Requests", requests())
        .row("Time of a response", latency())
        .row("Other services", services())
        .row("Example: users-api", users_api())
        .row("Example: random-api", [random_api()])
        .row("Example: custom-exporter", custom_exporter())
        .row("Example: stream-collector", stream_collector())
        .into_json()
}

fn requests() -> [Panel; 6] {
    let requests = "http_requests_total{@,endpoint=~\"$endpoint\"}";
    let failed = "http_requests_total{@,endpoint=~\"$endpoint\",status_code=~\"5..\"}";
    let (all, failed) = (rate_by("", requests), rate_by("", failed));
    [
        Panel::bars("Requests by endpoint", "reqps")
            .query(&rate_by("endpoint", requests), "{{endpoint}}")
            .size(8, 8),
        Panel::bars("Requests by status", "reqps")
            .query(&rate_by("status_code", requests), "{{status_code}}")
            .size(8, 8),
        Panel::graph("Requests that the service failed", "percentunit")
            .about("Share of responses with a status from 500 on.")
            .query(&format!("({failed} or 0 * {all}) / {all}"), "failed")
            .size(8, 8),
        Panel::graph("Errors", "ops")
            .about("4xx and 5xx are client_error and server_error; a service may add other kinds.")
            .query(
                &rate_by("type, service", "errors_total{@}"),
                "{{service}} {{type}}",
            )
            .limit(0.1)
            .size(8, 8),
        Panel::graph("Requests in flight", "none")
            .query(
                "sum by (job, instance) (http_requests_in_flight{@})",
                "{{job}} {{instance}}",
            )
            .size(8, 8),
        Panel::graph("Size of a response", "bytes")
            .query(
                &mean_by(
                    "endpoint",
                    "http_response_size_bytes",
                    "{@,endpoint=~\"$endpoint\"}",
                ),
                "{{endpoint}}",
            )
            .size(8, 8),
    ]
}

fn latency() -> [Panel; 3] {
    let buckets = "http_request_duration_seconds_bucket{@,endpoint=~\"$endpoint\"}";
    let quantile = |quantile: f64| quantile_by(quantile, "", buckets);
    [
        Panel::graph("Quantiles", "s")
            .query(&quantile(0.5), "half of all")
            .query(&quantile(0.95), "95 %")
            .query(&quantile(0.99), "99 %")
            .limit(2.0)
            .size(8, 8),
        Panel::graph("By endpoint", "s")
            .about("95 of 100 responses took no longer.")
            .query(&quantile_by(0.95, "endpoint", buckets), "{{endpoint}}")
            .size(8, 8),
        Panel::heatmap("Distribution", "s")
            .query(&rate_by("le", buckets), "{{le}}")
            .size(8, 8),
    ]
}

/// Services that `probe` jobs and exporters report: the same names from all of them.
fn services() -> [Panel; 2] {
    [
        Panel::states("External services", &SERVICES).query(
            "min by (service, endpoint) (external_service_up)",
            "{{service}} {{endpoint}}",
        ),
        Panel::graph("Latency of external services", "s").query(
            "max by (service, endpoint) (external_service_latency_seconds)",
            "{{service}} {{endpoint}}",
        ),
    ]
}

fn users_api() -> [Panel; 6] {
    [
        Panel::graph("Users", "none")
            .query("sum(active_users)", "active")
            .query(
                "sum(user_registrations_total)",
                "registered since the start",
            )
            .size(8, 8),
        Panel::graph("Connections to the database", "none")
            .query("sum by (instance) (database_connections)", "{{instance}}")
            .size(8, 8),
        Panel::graph("Queue", "none")
            .query("sum by (instance) (queue_size)", "{{instance}}")
            .size(8, 8),
        Panel::graph("Processing time", "s")
            .about("95 of 100 operations took no longer.")
            .query(
                &quantile_by(0.95, "operation", "processing_time_seconds_bucket"),
                "{{operation}}",
            )
            .size(8, 8),
        Panel::bars("Use of features", "ops")
            .query(
                &rate_by("feature, user_type", "feature_usage_total"),
                "{{feature}} {{user_type}}",
            )
            .size(8, 8),
        Panel::graph("Background jobs", "none")
            .query(
                "sum by (job_type, status) (background_jobs)",
                "{{job_type}} {{status}}",
            )
            .size(8, 8),
    ]
}

fn random_api() -> Panel {
    let share = format!(
        "{} / {}",
        rate_by("", "request_error_count_total"),
        rate_by("", "request_count_total")
    );
    Panel::graph("Requests that ended in an error", "percentunit").query(&share, "errors")
}

fn custom_exporter() -> [Panel; 6] {
    [
        Panel::graph("Sales", "none")
            .query(&increase_by("", "business_sales_total"), "sales")
            .size(8, 8),
        Panel::graph("Revenue", "currencyUSD")
            .query("sum(business_revenue_dollars)", "revenue")
            .size(8, 8),
        Panel::graph("Satisfaction of customers", "none")
            .query(
                "avg by (region, product) (business_customer_satisfaction_score)",
                "{{region}} {{product}}",
            )
            .size(8, 8),
        Panel::graph("Memory of the machine", "bytes")
            .query(
                "max by (instance, state) (system_memory_bytes)",
                "{{instance}} {{state}}",
            )
            .size(8, 8),
        Panel::graph("Disks of the machine", "bytes")
            .query(
                "max by (instance, mountpoint, state) (system_disk_bytes)",
                "{{instance}} {{mountpoint}} {{state}}",
            )
            .size(8, 8),
        Panel::graph("Tasks and connections", "none")
            .query("sum by (instance) (system_tasks)", "{{instance}} tasks")
            .query(
                "sum by (instance) (active_connections)",
                "{{instance}} connections",
            )
            .size(8, 8),
    ]
}

fn stream_collector() -> [Panel; 6] {
    [
        Panel::bars("Messages received", "ops")
            .query(
                &rate_by("channel, symbol", "collector_messages_received_total"),
                "{{channel}} {{symbol}}",
            )
            .size(8, 8),
        Panel::bars("Messages published", "ops")
            .query(
                &rate_by("stream, symbol", "collector_messages_published_total"),
                "{{stream}} {{symbol}}",
            )
            .size(8, 8),
        Panel::bars("Errors and reconnections", "ops")
            .query(
                &rate_by("error_type", "collector_errors_total"),
                "{{error_type}}",
            )
            .query(&rate_by("", "collector_reconnects_total"), "reconnections")
            .size(8, 8),
        Panel::heatmap("Time to publish", "s")
            .query(
                &increase_by("le", "collector_publish_latency_seconds_bucket"),
                "{{le}}",
            )
            .size(8, 8),
        Panel::graph("Time since the last message", "s")
            .query(
                "time() - max by (channel, symbol) (collector_last_message_timestamp_seconds)",
                "{{channel}} {{symbol}}",
            )
            .size(8, 8),
        Panel::graph("Messages that wait for Redis", "none")
            .query(
                "sum by (instance) (collector_redis_buffer_messages)",
                "{{instance}}",
            )
            .size(8, 8),
    ]
}
