//! The programs under `examples/`, all together and under traffic, as a real Prometheus sees them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use examples_harness::Program;
use serde_json::Value as Json;

use crate::common::{Sandbox, Server};

/// The path of a program, which `cargo test --workspace` has built beside these tests.
fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "build it first: cargo build -p {name}");
    path
}

fn start(name: &str, arguments: &[&str]) -> Program {
    Program::start(program(name).to_str().unwrap(), arguments)
}

/// A `redis-server`, at a Unix socket in `directory`.
struct Redis(Child);

impl Redis {
    fn start(directory: &Path) -> Self {
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .spawn();
        Redis(server.expect("redis-server is installed"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `promtool check metrics` on a program's exposition.
fn check(program: &Program, path: &str) {
    let text = program.get(path).text();
    let sandbox = Sandbox::new();
    let file = std::fs::File::open(sandbox.write("metrics", text)).unwrap();
    let mut promtool = Command::new("promtool");
    let checked = promtool
        .args(["check", "metrics"])
        .stdin(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && said.is_empty(),
        "{path}: {said}"
    );
}

/// Waits until Prometheus has a sample for `query`.
fn await_series(prometheus: &Server, query: &str) {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    prometheus.wait_for(&format!("/api/v1/query?query={encoded}"), |body| {
        let answer: Json = serde_json::from_str(body).unwrap();
        let result = answer["data"]["result"].as_array();
        result.is_some_and(|series| !series.is_empty())
    });
}

#[test]
fn prometheus_has_every_series() {
    let gateway = Server::pushgateway(&[]);
    let random = start("random-api", &[]);
    let users = start("users-api", &[]);
    let exporter = start("custom-exporter", &["--every-scale", "0.01"]);
    let sandbox = Sandbox::new();
    // The collector tries again until it is there.
    let _redis = Redis::start(sandbox.path());
    let socket = format!("redis+unix://{}/redis.sock", sandbox.path().display());
    let collector = start(
        "stream-collector",
        &[
            "--redis",
            &socket,
            "--exchange-drops",
            "0.02",
            "--exchange-broken",
            "0.2",
        ],
    );
    let target = |job: &str, address: &str, path: &str, honor: bool| {
        format!(
            "  - {{job_name: {job}, metrics_path: {path}, honor_labels: {honor}, \
             static_configs: [{{targets: [\"{address}\"]}}]}}\n"
        )
    };
    let config = [
        "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned(),
        target("pushgateway", gateway.address(), "/metrics", true),
        target(
            "random-api",
            &random.address().to_string(),
            "/metrics",
            false,
        ),
        target("users-api", &users.address().to_string(), "/metrics", false),
        target(
            "exporter",
            &exporter.address().to_string(),
            "/custom-metrics",
            false,
        ),
        target(
            "collector",
            &collector.address().to_string(),
            "/metrics",
            false,
        ),
    ];
    let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config.concat()));

    // 1. Batch jobs, until a backup of the orders has succeeded.
    let last_success = "db_backup_last_success_timestamp_seconds{db=\"orders\"}";
    while gateway.value("db_backup", last_success).is_none() {
        let jobs = Command::new(program("batch-job"))
            .arg(gateway.url())
            .output()
            .unwrap();
        assert!(jobs.status.success() && jobs.stderr.is_empty(), "{jobs:?}");
    }
    // 2. An API with random responses.
    for _ in 0..60 {
        assert_eq!(random.get("/").status, 200);
    }
    // 3. An API of users.
    let traffic = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/examples/traffic");
    let traffic = Command::new(traffic)
        .args(["--url", &users.url(), "--rate", "60", "--for", "4"])
        .output()
        .unwrap();
    assert!(
        traffic.status.success(),
        "{}",
        String::from_utf8_lossy(&traffic.stderr)
    );

    for query in SERIES.lines() {
        await_series(&prometheus, query);
    }
    check(&random, "/metrics");
    check(&users, "/metrics");
    check(&exporter, "/custom-metrics");
    check(&collector, "/metrics");
    for program in [random, users, exporter, collector] {
        program.terminate();
    }
}

/// Series of each program, by a query that has a result if they are there.
const SERIES: &str = r#"db_backup_success{job="db_backup",db="customers"} == 1
db_backup_last_success_timestamp_seconds{db="producers"}
db_backup_records_processed{db="orders"} == 42
db_backup_duration_seconds
batch_count_total{job="my_batch_job"} == 100
batch_ok_count_total + batch_normal_count_total + batch_error_count_total == 100
batch_running == 0
request_count_total{job="random-api"} == 60
request_error_count_total{job="random-api"} > 0
http_requests_total{method="GET",endpoint="/api/v1/users",status_code="200"}
http_requests_total{method="POST",endpoint="/api/v1/users",status_code="201"}
http_requests_total{method="GET",endpoint="/api/v1/users/{id}",status_code="404"}
http_request_duration_seconds_bucket{method="GET",endpoint="/api/v1/users",le="0.25"}
http_response_size_bytes_bucket{method="POST",endpoint="/api/v1/users",le="1000"}
user_registrations_total > 0
active_users > 2
database_connections >= 5 and database_connections <= 14
errors_total{type="client_error",service="http"} > 0
errors_total{type="server_error",service="http"}
errors_total{type="validation_error",service="user_service"} > 0
errors_total{type="not_found",service="user_service"} > 0
errors_total{type="health_check_failed",service="system"}
processing_time_seconds_bucket{operation="list_users",status="success",le="10"}
processing_time_seconds_bucket{operation="create_user",status="error"}
processing_time_seconds_bucket{operation="get_user",status="error"}
processing_time_seconds_count{operation="health_check"}
queue_size
feature_usage_total{user_type="api"} > 0
feature_usage_total{user_type="system"} > 0
background_jobs
app_info{name="custom-exporter"} == 1
app_uptime_seconds
system_cpu_usage_ratio
system_memory_bytes
system_tasks
system_disk_bytes{mountpoint="/"}
business_sales_total > 0
business_revenue_dollars >= 100000 and business_revenue_dollars <= 150000
business_customer_satisfaction_score{region="us-west",product="basic"}
count(business_customer_satisfaction_score) == 12
count(external_service_up) == 4
external_service_up{service="database"}
external_service_latency_seconds{service="payment-gateway"} > 0
active_connections
collector_messages_received_total{channel="ticker",symbol="BTC-USD"}
collector_messages_received_total{channel="book",symbol="BTC-USD"}
collector_messages_received_total{channel="trades",symbol="ETH-USD"}
collector_messages_published_total{symbol="ETH-USD"} > 0
collector_errors_total{error_type="parse_error"} > 0
collector_errors_total{error_type="publish_error"}
collector_errors_total{error_type="api_error"}
collector_reconnects_total > 0
collector_publish_latency_seconds_bucket{symbol="BTC-USD",le="0.005"}
collector_message_size_bytes_sum
collector_last_message_timestamp_seconds > 1.7e9
collector_redis_buffer_messages"#;
