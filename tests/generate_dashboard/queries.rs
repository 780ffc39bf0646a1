//! Every query of every dashboard on a real Prometheus, which has scraped gateways, `serve` and the programs in
//! `examples/` after some runs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use examples_harness::Program;
use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::grafana::{SentQuery, choices, queries};
use super::{NAMES, dashboard};
use crate::common::own_server::{OwnServer, with_jobs};
use crate::common::{Sandbox, Server, awaited, send};

/// Time until every query has data, from the start of all servers on.
const PATIENCE: Duration = Duration::from_secs(180);

/// How far back the queries look.
const RANGE: u64 = 120;

/// Counters of what does not happen here: their rates are 0.
const STILL: [&str; 3] = [
    "metricsjob_gateway_commit_failures_total",
    "metricsjob_gateway_expired_groups_total",
    "metricsjob_missed_runs_total",
];

/// Metrics that a Pushgateway lacks.
const NOT_OF_PUSHGATEWAY: [&str; 4] = ["metricsjob_", "http_request", "errors_total", "system_"];

/// Queries and their values once the variables have all values.
const AT_FIRST: [(&str, &str); 4] = [
    ("count(up == 1)", "7"),
    // Both jobs, of the server and through the gateway; both have failed.
    ("count(batch_job_duration_seconds)", "4"),
    (
        "count(max_over_time(batch_job_runs_total{outcome=\"failure\"}[10m]) > 0)",
        "4",
    ),
    (
        "count(count by (endpoint) (http_requests_total{job=\"users-api\"}))",
        "4",
    ),
];

/// A script of a job that reports a counter, a gauge and a histogram of its own, and fails every third time.
fn script(name: &str, deadline: i32) -> String {
    let own = [
        family(&format!("{name}_rows_total"), "counter", "", "$((3 * n))"),
        family(&format!("{name}_queue"), "gauge", "", "$((n % 5 + 1))"),
        format!(
            "# TYPE {name}_wait_seconds histogram\n{name}_wait_seconds_bucket{{le=\"1\"}} $n\n\
             {name}_wait_seconds_bucket{{le=\"+Inf\"}} $((2 * n))\n{name}_wait_seconds_sum $((3 * n))\n\
             {name}_wait_seconds_count $((2 * n))\n"
        ),
    ];
    format!(
        "n=$(($(cat {name}.n 2>/dev/null || echo 0) + 1))\necho $n >{name}.n\nnow=$(date +%s)\n\
         cat >>\"$METRICSJOB_METRICS\" <<END\n{}{}{}END\n[ $((n % 3)) -ne 0 ]\n",
        own.concat(),
        expected(deadline),
        if name == "dump" {
            of_all_jobs()
        } else {
            String::new()
        },
    )
}

fn family(name: &str, kind: &str, labels: &str, value: &str) -> String {
    format!("# TYPE {name} {kind}\n{name}{labels} {value}\n")
}

// Families that the runner is to report by itself: of what is expected of a job, and, for jobs with a prefix of their
// own, under the names of all jobs. Until it does, the jobs here report them.
// BEGIN of what goes then, with its two calls above.

/// `deadline` is in seconds from now.
fn expected(deadline: i32) -> String {
    let alerting = "{severity=\"critical\",owner=\"ops\",runbook=\"https://wiki.example/runbook\"}";
    [
        (
            "deadline_timestamp_seconds",
            "",
            format!("$((now + {deadline}))"),
        ),
        ("max_duration_seconds", "", "0.001".into()),
        ("expectation_met", "{metric=\"rows\"}", "$((n % 2))".into()),
        ("slo_ratio", "", "0.99".into()),
        ("alerting_info", alerting, "1".into()),
        (
            "anomaly_score",
            "{metric=\"duration_seconds\"}",
            "1.5".into(),
        ),
    ]
    .map(|(name, labels, value)| family(&format!("batch_job_{name}"), "gauge", labels, &value))
    .concat()
}

fn of_all_jobs() -> String {
    let gauges = [
        ("success", "", "$((n % 3 != 0))"),
        ("last_success_timestamp_seconds", "", "$now"),
        ("last_completion_timestamp_seconds", "", "$now"),
        ("duration_seconds", "", "0.5"),
        ("info", "{host=\"web1\",version=\"0.1.0\"}", "1"),
    ];
    let gauges = gauges
        .map(|(name, labels, value)| family(&format!("batch_job_{name}"), "gauge", labels, value));
    let runs = "# TYPE batch_job_runs_total counter\nbatch_job_runs_total{outcome=\"success\"} $((n - n / 3))\n\
        batch_job_runs_total{outcome=\"failure\"} $((n / 3))\n";
    gauges.concat() + runs
}

// END

/// A program of `examples/`, which `cargo test --workspace` has built beside these tests.
fn start(name: &str, arguments: &[&str]) -> Program {
    let tests = std::env::current_exe().unwrap();
    let path: PathBuf = tests.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "build it first: cargo build -p {name}");
    Program::start(path.to_str().unwrap(), arguments)
}

/// Requests to `users-api`, until it is dropped.
struct Traffic(Child);

impl Drop for Traffic {
    fn drop(&mut self) {
        send(self.0.id(), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// All that Prometheus scrapes.
struct Targets {
    /// The first to end.
    _traffic: Traffic,
    gateway: Server,
    pushgateway: Server,
    server: OwnServer,
    users: Program,
    random: Program,
    exporter: Program,
    collector: Program,
    host: Sandbox,
    _jobs: Sandbox,
}

impl Targets {
    fn start() -> Self {
        let gateway = Server::gateway(&[]);
        let job = |head: &str, script: &str| {
            format!("every = '2s'\n{head}\ncommand = ['sh', '-c', '''\n{script}''']\n")
        };
        let jobs = with_jobs(&[
            ("nightly", job("", &script("nightly", 3600))),
            // Late.
            ("dump", job("prefix = 'dump'", &script("dump", -60))),
        ]);
        let server = OwnServer::start(&jobs, &format!("--gateway {}", gateway.url()));
        let users = start("users-api", &[]);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let traffic = Command::new(root.join("scripts/examples/traffic"))
            .args(["--url", &users.url(), "--rate", "30"])
            .stdout(Stdio::null())
            .spawn();
        Targets {
            pushgateway: Server::pushgateway(&[]),
            random: start("random-api", &[]),
            exporter: start("custom-exporter", &["--every-scale", "0.01"]),
            collector: start(
                "stream-collector",
                &["--exchange-drops", "0.02", "--exchange-broken", "0.2"],
            ),
            host: Sandbox::new(),
            _traffic: Traffic(traffic.unwrap()),
            gateway,
            server,
            users,
            _jobs: jobs,
        }
    }

    fn prometheus(&self) -> Server {
        let target = |job: &str, address: &str, more: &str| {
            format!("- {{job_name: {job}, static_configs: [{{targets: [\"{address}\"]}}]{more}}}\n")
        };
        let honor = ", honor_labels: true";
        // Jobs have the same label here as through a gateway.
        let renamed = ", honor_labels: true, metric_relabel_configs: \
            [{source_labels: [job_name], regex: '(.+)', target_label: job}]";
        let path = ", metrics_path: /custom-metrics";
        let config = [
            "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned(),
            target("gateway", self.gateway.address(), honor),
            target("pushgateway", self.pushgateway.address(), honor),
            target("server", self.server.address(), renamed),
            target("users-api", &self.users.address().to_string(), ""),
            target("random-api", &self.random.address().to_string(), ""),
            target(
                "custom-exporter",
                &self.exporter.address().to_string(),
                path,
            ),
            target(
                "stream-collector",
                &self.collector.address().to_string(),
                "",
            ),
        ];
        Server::prometheus(&self.host.write("prometheus.yml", config.concat()))
    }

    /// Has something happen on each endpoint that has been asked before.
    fn stir(&self) {
        for server in [&self.gateway, &self.pushgateway] {
            server.request("GET", "/-/ready", "");
            server.request("DELETE", "/metrics/job/none", "");
            server.request("POST", "/metrics/job/other", "# TYPE rows gauge\nrows 1\n");
            // Refused, since the type is another.
            server.request(
                "POST",
                "/metrics/job/refused",
                "# TYPE rows counter\nrows 1\n",
            );
            server.request("GET", "/no/such/path", "");
        }
        for path in ["/-/ready", "/no/such/path"] {
            self.server.get(path);
        }
        self.random.get("/");
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The data of Prometheus's response.
#[track_caller]
fn data(prometheus: &Server, path: &str) -> Json {
    let (status, body) = prometheus.request("GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str::<Json>(&body).unwrap()["data"].take()
}

fn label_values(prometheus: &Server, selector: &str, label: &str) -> Vec<String> {
    let from = now() - RANGE;
    let path = format!(
        "/api/v1/label/{label}/values?start={from}&match[]={}",
        encoded(selector)
    );
    let values = data(prometheus, &path);
    let values = values.as_array().unwrap().iter();
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// The numbers that a query returns.
fn numbers(prometheus: &Server, query: &SentQuery) -> Vec<f64> {
    let expression = encoded(&query.expression);
    let path = if query.is_instant {
        format!("/api/v1/query?query={expression}")
    } else {
        // Grafana moves both ends to a multiple of the step.
        let aligned = |time: u64| time / query.step * query.step;
        let (start, end) = (aligned(now() - RANGE.max(query.step)), aligned(now()));
        format!(
            "/api/v1/query_range?query={expression}&start={start}&end={end}&step={}",
            query.step
        )
    };
    let data = data(prometheus, &path);
    let mut numbers = Vec::new();
    for series in data["result"].as_array().unwrap() {
        let points = series["values"].as_array().into_iter().flatten();
        let values = points
            .chain([&series["value"]])
            .filter_map(|point| point[1].as_str());
        numbers.extend(values.map(|value| value.parse::<f64>().unwrap()));
    }
    numbers.retain(|number| number.is_finite());
    numbers
}

#[test]
fn every_query_has_data_for_each_value_of_each_variable() {
    let targets = Targets::start();
    let prometheus = targets.prometheus();
    for (query, wanted) in AT_FIRST {
        awaited(PATIENCE, || {
            targets.stir();
            let path = format!("/api/v1/query?query={}", encoded(query));
            let result = data(&prometheus, &path)["result"].take();
            let is_there = result[0]["value"][1] == wanted;
            is_there.then_some(()).ok_or(format!("{query}: {result}"))
        });
    }

    let mut sent: BTreeMap<(String, String), SentQuery> = BTreeMap::new();
    for name in NAMES {
        let dashboard = dashboard(name);
        let look_up = |selector: &str, label: &str| label_values(&prometheus, selector, label);
        let all = choices(&dashboard, &look_up);
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let variable_name = variable["name"].as_str().unwrap();
            let has_values = all
                .iter()
                .any(|choices| choices.contains_key(variable_name));
            assert!(
                has_values || variable["type"] != "query",
                "{name}: {variable}"
            );
        }
        let of_pushgateway = format!("{:?}", "pushgateway");
        let mut places = BTreeSet::new();
        for choices in all {
            let chosen = format!("{choices:?}");
            let is_pushgateway = chosen.contains(&format!("One({of_pushgateway})"))
                || chosen.contains(&format!("One({:?})", targets.pushgateway.address()));
            for query in queries(&dashboard, &choices) {
                places.insert(query.place.clone());
                let is_ours = NOT_OF_PUSHGATEWAY
                    .iter()
                    .any(|name| query.expression.contains(name));
                if !(is_pushgateway && is_ours) {
                    sent.insert((query.place.clone(), query.expression.clone()), query);
                }
            }
        }
        let written: usize = dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|panel| panel["targets"].as_array().map_or(0, Vec::len))
            .sum();
        assert!(written > 20);
        assert_eq!(places.len(), written, "{name}: {places:#?}");
    }
    assert!(sent.len() > 300, "{}", sent.len());

    let (with_data, moving) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::new()));
    awaited(PATIENCE, || {
        targets.stir();
        sent.retain(|_, query| {
            let numbers = numbers(&prometheus, query);
            let place = &query.place;
            if !numbers.is_empty() {
                with_data.borrow_mut().insert(place.clone());
            }
            if numbers.iter().any(|number| *number != 0.0) {
                moving.borrow_mut().insert(place.clone());
            }
            let has_data =
                !numbers.is_empty() || query.may_be_empty && with_data.borrow().contains(place);
            // What counts events has counted some for one choice at least.
            let counts =
                query.expression.contains("increase(") || query.expression.contains("rate(");
            let is_still = STILL.iter().any(|name| query.expression.contains(name));
            !(has_data && (!counts || is_still || moving.borrow().contains(place)))
        });
        let left: Vec<String> = sent
            .values()
            .map(|query| format!("{}: {}", query.place, query.expression))
            .collect();
        left.is_empty()
            .then_some(())
            .ok_or(format!("{} without data: {left:#?}", left.len()))
    });
}
