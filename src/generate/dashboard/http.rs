//! HTTP services that count their requests as `metricsjob-http` does, and what the programs of `examples/` report
//! besides.

use serde_json::Value as Json;

use super::board::Dashboard;
use super::panel::{Meaning, Panel};
use super::variable::DashboardVariable;

const SCOPE: &str = "job=~\"$job\",instance=~\"$instance\"";

const SERVICES: [Meaning; 2] = [(0, "Down", "red"), (1, "Up", "green")];

pub fn http() -> Json {
    Dashboard::new("metricsjob-http", "HTTP services", SCOPE)
        .about("HTTP services with the metrics of metricsjob-http: servers of metricsjob, and the programs in examples/.")
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
    let of_endpoint = |more: &str| {
        format!(
            "sum(rate(http_requests_total{{@,endpoint=~\"$endpoint\"{more}}}[$__rate_interval]))"
        )
    };
    let (all, failed) = (of_endpoint(""), of_endpoint(",status_code=~\"5..\""));
    [
        Panel::bars("Requests by endpoint", "reqps")
            .query("sum by (endpoint) (rate(http_requests_total{@,endpoint=~\"$endpoint\"}[$__rate_interval]))", "{{endpoint}}")
            .size(8, 8),
        Panel::bars("Requests by status", "reqps")
            .query("sum by (status_code) (rate(http_requests_total{@,endpoint=~\"$endpoint\"}[$__rate_interval]))", "{{status_code}}")
            .size(8, 8),
        Panel::graph("Requests that the service failed", "percentunit")
            .about("Share of responses with a status from 500 on.")
            .query(&format!("({failed} or 0 * {all}) / {all}"), "failed")
            .size(8, 8),
        Panel::graph("Errors", "ops")
            .about("By their kind, which a service may add to: 4xx and 5xx are client_error and server_error.")
            .query("sum by (type, service) (rate(errors_total{@}[$__rate_interval]))", "{{service}} {{type}}")
            .limit(0.1)
            .size(8, 8),
        Panel::graph("Requests in flight", "none")
            .query("sum by (job, instance) (http_requests_in_flight{@})", "{{job}} {{instance}}")
            .size(8, 8),
        Panel::graph("Size of a response", "bytes")
            .query("sum by (endpoint) (rate(http_response_size_bytes_sum{@,endpoint=~\"$endpoint\"}[$__rate_interval])) / sum by (endpoint) (rate(http_response_size_bytes_count{@,endpoint=~\"$endpoint\"}[$__rate_interval]))", "{{endpoint}}")
            .size(8, 8),
    ]
}

fn latency() -> [Panel; 3] {
    let rate =
        "rate(http_request_duration_seconds_bucket{@,endpoint=~\"$endpoint\"}[$__rate_interval])";
    let quantile = |quantile: &str| format!("histogram_quantile({quantile}, sum by (le) ({rate}))");
    [
        Panel::graph("Quantiles", "s")
            .query(&quantile("0.5"), "half of all")
            .query(&quantile("0.95"), "95 %")
            .query(&quantile("0.99"), "99 %")
            .limit(2.0)
            .size(8, 8),
        Panel::graph("By endpoint", "s")
            .about("95 of 100 responses took no longer.")
            .query(
                &format!("histogram_quantile(0.95, sum by (le, endpoint) ({rate}))"),
                "{{endpoint}}",
            )
            .size(8, 8),
        Panel::heatmap("Distribution", "s")
            .query(&format!("sum by (le) ({rate})"), "{{le}}")
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
            .query("sum(user_registrations_total)", "registered since the start")
            .size(8, 8),
        Panel::graph("Connections to the database", "none")
            .query("sum by (instance) (database_connections)", "{{instance}}")
            .size(8, 8),
        Panel::graph("Queue", "none").query("sum by (instance) (queue_size)", "{{instance}}").size(8, 8),
        Panel::graph("Processing time", "s")
            .about("95 of 100 operations took no longer.")
            .query("histogram_quantile(0.95, sum by (le, operation) (rate(processing_time_seconds_bucket[$__rate_interval])))", "{{operation}}")
            .size(8, 8),
        Panel::bars("Use of features", "ops")
            .query("sum by (feature, user_type) (rate(feature_usage_total[$__rate_interval]))", "{{feature}} {{user_type}}")
            .size(8, 8),
        Panel::graph("Background jobs", "none")
            .query("sum by (job_type, status) (background_jobs)", "{{job_type}} {{status}}")
            .size(8, 8),
    ]
}

fn random_api() -> Panel {
    Panel::graph("Requests that ended in an error", "percentunit")
        .query("sum(rate(request_error_count_total[$__rate_interval])) / sum(rate(request_count_total[$__rate_interval]))", "errors")
}

fn custom_exporter() -> [Panel; 6] {
    [
        Panel::graph("Sales", "none")
            .query(
                "sum(increase(business_sales_total[$__rate_interval]))",
                "sales",
            )
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
            .query("sum by (channel, symbol) (rate(collector_messages_received_total[$__rate_interval]))", "{{channel}} {{symbol}}")
            .size(8, 8),
        Panel::bars("Messages published", "ops")
            .query("sum by (stream, symbol) (rate(collector_messages_published_total[$__rate_interval]))", "{{stream}} {{symbol}}")
            .size(8, 8),
        Panel::bars("Errors and reconnections", "ops")
            .query("sum by (error_type) (rate(collector_errors_total[$__rate_interval]))", "{{error_type}}")
            .query("sum(rate(collector_reconnects_total[$__rate_interval]))", "reconnections")
            .size(8, 8),
        Panel::heatmap("Time to publish", "s")
            .query("sum by (le) (increase(collector_publish_latency_seconds_bucket[$__rate_interval]))", "{{le}}")
            .size(8, 8),
        Panel::graph("Time since the last message", "s")
            .query("time() - max by (channel, symbol) (collector_last_message_timestamp_seconds)", "{{channel}} {{symbol}}")
            .size(8, 8),
        Panel::graph("Messages that wait for Redis", "none")
            .query("sum by (instance) (collector_redis_buffer_messages)", "{{instance}}")
            .size(8, 8),
    ]
}
