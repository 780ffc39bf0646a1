//! What Prometheus scrapes: gateways, `metricsjob serve` with two jobs, and the programs in `examples/`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use examples_harness::Program;
use nix::sys::signal::Signal;

use crate::common::own_server::{OwnServer, with_jobs};
use crate::common::{Sandbox, Server, send};

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
pub struct Targets {
    /// The first to end.
    _traffic: Traffic,
    gateway: Server,
    pub pushgateway: Server,
    server: OwnServer,
    users: Program,
    random: Program,
    exporter: Program,
    collector: Program,
    host: Sandbox,
    _jobs: Sandbox,
}

impl Targets {
    pub fn start() -> Self {
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

    /// A Prometheus that scrapes them.
    pub fn prometheus(&self) -> Server {
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
    pub fn stir(&self) {
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
