//! `--to remote-write:URL`: reports as samples, by Prometheus' remote write.

use crate::common::{FakeServer, Sandbox};

fn to(server: &FakeServer) -> String {
    format!("remote-write:{}/api/v1/write", server.url())
}

#[test]
fn the_request() {
    let (sandbox, server) = (Sandbox::new(), FakeServer::status("204 No Content", ""));
    let to = format!(
        "remote-write:http://user:s3cret@{}/api/v1/write",
        server.address()
    );
    let run = sandbox.run(&format!("run backup --set duration=0s --to {to}"));
    run.code(0).out(&format!(
        "  reported to remote-write:{}/api/v1/write, {{job=",
        server.url()
    ));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /api/v1/write HTTP/1.1");
    for header in [
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
        "authorization: Basic dXNlcjpzM2NyZXQ=",
    ] {
        assert!(
            requests[0].headers.contains(&header.to_owned()),
            "{:?}",
            requests[0].headers
        );
    }
    // The embedded gateway is only for who names nothing else.
    assert_eq!(sandbox.value("db_backup", "db_backup_success"), None);
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn a_dry_run_shows_it() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("run random --set iterations=1 --set interval=0s --dry-run --to remote-write:http://u:s3cret@h/w");
    run.code(0)
        .out("POST http://h/w\n\n")
        .out("\nbatch_count_total{job=\"my_batch_job\"} 1\n");
    assert!(!run.stdout().contains("s3cret"));
}

#[test]
fn failures_that_pass_wait_and_others_are_rejected() {
    let sandbox = Sandbox::new();
    for (status, is_rejected) in [
        ("503 Down", false),
        ("429 Slowly", false),
        ("401 Who", false),
        ("400 Bad Request", true),
        ("422 Unprocessable", true),
    ] {
        let server = FakeServer::status(status, "out of order sample");
        let options = format!("--job j --to {} --push-retry-window 0s", to(&server));
        sandbox
            .exec(&options, "true")
            .code(0)
            .err(&format!(" responded with {} ", &status[..3]));
        // A server that refuses one sample has taken the others: there is nothing to find out by parts.
        assert_eq!(server.requests().len(), 1, "{status}");
        let entry = sandbox.outbox().pop().unwrap();
        assert_eq!(entry["is_rejected"], is_rejected, "{status}");
    }
    assert_eq!(sandbox.outbox_len(), 5);
}

#[test]
fn each_run_is_a_request_of_its_own() {
    let server = FakeServer::statuses(&["503 Down", "503 Down", "503 Down", "200 OK"]);
    let sandbox = Sandbox::new();
    let options = format!("--job j --to {} --push-retry-window 0s", to(&server));
    for _ in 0..2 {
        sandbox.exec(&options, "true").code(0).err("503");
    }
    assert_eq!(sandbox.outbox_len(), 2);
    sandbox
        .run("outbox flush --push-retry-window 1s")
        .code(0)
        .out("delivered 2 reports to remote-write:");
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn credentials_of_a_gateway_are_sent_along() {
    let (sandbox, server) = (Sandbox::new(), FakeServer::status("200 OK", ""));
    sandbox.write("token", "t0ken");
    let options = format!("--job j --to {} --bearer-token-file token", to(&server));
    sandbox.exec(&options, "true").code(0);
    let headers = &server.requests()[0].headers;
    assert!(
        headers.contains(&"authorization: Bearer t0ken".to_owned()),
        "{headers:?}"
    );
}

#[cfg(feature = "real-servers")]
mod real {
    use std::collections::BTreeMap;
    use std::process::Command;

    use serde_json::Value as Json;

    use super::*;
    use crate::common::process::{PATIENCE, Process};
    use crate::common::{Server, awaited};

    /// The values of an instant query, by the labels of their series.
    fn query(server: &Process, query: &str) -> BTreeMap<String, Vec<f64>> {
        let path = format!(
            "/api/v1/query?query={}",
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC)
        );
        let answer = server.exchange("GET", &path, &[], "");
        let json: Json = serde_json::from_str(&answer.body).unwrap();
        let results = json["data"]["result"]
            .as_array()
            .unwrap_or_else(|| panic!("{json}"));
        let values = |result: &Json| {
            let one = result["value"]
                .as_array()
                .map(|value| vec![Json::Array(value.clone())]);
            let all = one
                .or_else(|| result["values"].as_array().cloned())
                .unwrap();
            let numbers = all
                .iter()
                .map(|pair| pair[1].as_str().unwrap().parse().unwrap());
            numbers.collect()
        };
        let results = results.iter();
        results
            .map(|result| (result["metric"].to_string(), values(result)))
            .collect()
    }

    fn prometheus(sandbox: &Sandbox) -> Server {
        let config = sandbox.write("prometheus.yml", "global: {}\n");
        Server::prometheus_with(&config, &["--web.enable-remote-write-receiver"])
    }

    fn victoria(sandbox: &Sandbox) -> (Process, String) {
        let address = crate::gateway_clients::free_address();
        let data = sandbox.path().join("data");
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-httpListenAddr={address}"))
            .arg(format!("-storageDataPath={}", data.display()))
            .args(["-search.latencyOffset=0s", "-memory.allowedPercent=10"]);
        (Process::spawn(&mut command), address)
    }

    const TEXT: &str = "# HELP h Sizes.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\n\
        h_count 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n# TYPE c_total counter\nc_total 7\n\
        # TYPE g gauge\ng{l=\"ä\\\"\\n\",empty=\"\"} -1.5e-9\ni +Inf\n";

    /// Each series that `TEXT` has, as the server must know it.
    fn check(query: impl Fn(&str) -> BTreeMap<String, Vec<f64>>) {
        for (metric, expected) in [
            (
                "h_bucket",
                "{\"__name__\":\"h_bucket\",\"db\":\"a\",\"job\":\"j\",\"le\":\"+Inf\"} [2.0]",
            ),
            (
                "h_bucket",
                "{\"__name__\":\"h_bucket\",\"db\":\"a\",\"job\":\"j\",\"le\":\"1\"} [1.0]",
            ),
            (
                "h_sum",
                "{\"__name__\":\"h_sum\",\"db\":\"a\",\"job\":\"j\"} [3.0]",
            ),
            (
                "h_count",
                "{\"__name__\":\"h_count\",\"db\":\"a\",\"job\":\"j\"} [2.0]",
            ),
            (
                "s",
                "{\"__name__\":\"s\",\"db\":\"a\",\"job\":\"j\",\"quantile\":\"0.5\"} [1.0]",
            ),
            (
                "s_count",
                "{\"__name__\":\"s_count\",\"db\":\"a\",\"job\":\"j\"} [2.0]",
            ),
            (
                "c_total",
                "{\"__name__\":\"c_total\",\"db\":\"a\",\"job\":\"j\"} [7.0]",
            ),
            (
                "g",
                "{\"__name__\":\"g\",\"db\":\"a\",\"job\":\"j\",\"l\":\"ä\\\"\\n\"} [-1.5e-9]",
            ),
            ("i", "{\"__name__\":\"i\",\"db\":\"a\",\"job\":\"j\"} [inf]"),
        ] {
            awaited(PATIENCE, || {
                let found = query(metric);
                let shown: Vec<String> = found
                    .iter()
                    .map(|(labels, values)| format!("{labels} {values:?}"))
                    .collect();
                shown
                    .contains(&expected.to_owned())
                    .then_some(())
                    .ok_or(format!("{expected}: {shown:?}"))
            });
        }
    }

    #[test]
    fn prometheus_takes_all_types() {
        let sandbox = Sandbox::new();
        let server = prometheus(&sandbox);
        let to = format!("remote-write:{}/api/v1/write", server.url());
        sandbox
            .run_with_input(&format!("push --job j -g db=a --to {to}"), TEXT)
            .code(0);
        check(|metric| query(&server, metric));
    }

    #[test]
    fn victoria_metrics_takes_all_types() {
        let sandbox = Sandbox::new();
        let (server, address) = victoria(&sandbox);
        let _ = &server;
        let to = format!("remote-write:http://{address}/api/v1/write");
        sandbox
            .run_with_input(
                &format!("push --job j -g db=a --to {to} --push-retry-window 30s"),
                TEXT,
            )
            .code(0);
        check(|metric| {
            let query = crate::common::curl::curl(&[
                "-sG",
                "--data-urlencode",
                &format!("query={metric}"),
                &format!("http://{address}/api/v1/query"),
            ]);
            let json: Json = serde_json::from_str(&query.stdout()).unwrap();
            let results = json["data"]["result"].as_array().unwrap().clone();
            let value = |result: &Json| vec![result["value"][1].as_str().unwrap().parse().unwrap()];
            results
                .iter()
                .map(|result| (result["metric"].to_string(), value(result)))
                .collect()
        });
    }

    #[test]
    fn each_run_is_a_sample_of_its_own_time() {
        let sandbox = Sandbox::new();
        let server = prometheus(&sandbox);
        let gone = "remote-write:http://127.0.0.1:1/api/v1/write";
        let to = format!("remote-write:{}/api/v1/write", server.url());
        for _ in 0..3 {
            sandbox
                .exec(&format!("--job j --to {gone}"), "true")
                .code(0);
        }
        sandbox.redirect_outbox(gone, &to);
        sandbox.exec(&format!("--job j --to {to}"), "true").code(0);
        let runs = query(&server, "batch_job_runs_total{outcome=\"success\"}[1h]");
        let values: Vec<&Vec<f64>> = runs.values().collect();
        assert_eq!(values, [&vec![1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(sandbox.outbox_len(), 0);
    }

    /// Five minutes after its sample a series is stale, and its value no current one.
    #[test]
    fn rules_see_the_last_report() {
        let sandbox = Sandbox::new();
        let server = prometheus(&sandbox);
        let gone = "remote-write:http://127.0.0.1:1/api/v1/write";
        sandbox
            .exec(&format!("--job j --to {gone}"), "false")
            .code(1);
        let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
        database
            .execute("UPDATE outbox SET produced_at = produced_at - 600", [])
            .unwrap();
        crate::common::stamp(&database);
        let to = format!("remote-write:{}/api/v1/write", server.url());
        sandbox.redirect_outbox(gone, &to);
        sandbox.run("outbox flush").code(0);
        assert!(query(&server, "batch_job_success == 0").is_empty());
        let rules = sandbox
            .run("generate rules --destination remote-write")
            .stdout();
        let expr = "last_over_time(batch_job_success[35d]) == 0";
        assert!(rules.contains(expr));
        assert_eq!(query(&server, expr).len(), 1);
    }

    #[test]
    fn a_sample_that_is_out_of_order_is_rejected() {
        let sandbox = Sandbox::new();
        let server = prometheus(&sandbox);
        let gone = "remote-write:http://127.0.0.1:1/api/v1/write";
        let to = format!("remote-write:{}/api/v1/write", server.url());
        sandbox
            .exec(&format!("--job j --to {gone}"), "true")
            .code(0);
        sandbox.exec(&format!("--job j --to {to}"), "true").code(0);
        sandbox.redirect_outbox(gone, &to);
        sandbox
            .run("outbox flush")
            .code(69)
            .err("rejected 1 report");
        let entry = sandbox.outbox().pop().unwrap();
        assert!(
            entry["error"].as_str().unwrap().contains("out of order"),
            "{entry}"
        );
    }
}
