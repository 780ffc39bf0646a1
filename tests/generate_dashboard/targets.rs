//! Targets of Prometheus: gateways, `metricsjob serve` with two jobs, and the programs in `examples/`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use examples_harness::Program;
use nix::sys::signal::Signal;

use crate::common::own_server::{OwnServer, with_jobs};
use crate::common::{Sandbox, Server, send};

/// A script of a job that reports a counter, a gauge and a histogram of its own, and fails every third time.
fn script(name: &str) -> String {
    let own = [
        family(&format!("{name}_rows_total"), "counter", "", "$((3 * n))"),
        family(&format!("{name}_queue"), "gauge", "", "$((n % 5 + 1))"),
        format!(
            "# TYPE {name}_wait_seconds histogram\n{name}_wait_seconds_bucket{{le=\"1\"}} $n\n\
             {name}_wait_seconds_bucket{{le=\"+Inf\"}} $((2 * n))\n{name}_wait_seconds_sum $((3 * n))\n\
             {name}_wait_seconds_count $((2 * n))\n"
        ),
        // Until the runner reports it by itself.
        family(
            "batch_job_anomaly_score",
            "gauge",
            "{metric=\"duration_seconds\"}",
            "1.5",
        ),
    ];
    format!(
        "n=$(($(cat {name}.n 2>/dev/null || echo 0) + 1))\necho $n >{name}.n\n\
         cat >>\"$METRICSJOB_METRICS\" <<END\n{}END\n[ $((n % 3)) -ne 0 ]\n",
        own.concat(),
    )
}

fn family(name: &str, kind: &str, labels: &str, value: &str) -> String {
    format!("# TYPE {name} {kind}\n{name}{labels} {value}\n")
}

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
        let job = |name: &str, head: &str| {
            format!(
                "every = '2s'\nmax_duration = '1ms'\nslo = 0.99\nseverity = 'critical'\nowner = 'ops'\n\
                 runbook = 'https://wiki.example/runbook'\n{head}\ncommand = ['sh', '-c', '''\n{}''']\n\
                 [[expect]]\nmetric = '{name}_queue'\nmax = 2\n",
                script(name)
            )
        };
        let jobs = with_jobs(&[
            ("nightly", job("nightly", "max_age = '1h'")),
            // Late until the next run.
            ("dump", job("dump", "prefix = 'dump'\nmax_age = '1s'")),
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
        let path = ", metrics_path: /custom-metrics";
        let config = [
            "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned(),
            // As if it were two that have the same groups.
            format!(
                "- {{job_name: gateway, honor_labels: true, static_configs: [\
                 {{targets: [\"{0}\"], labels: {{gateway_replica: a}}}}, \
                 {{targets: [\"{0}\"], labels: {{gateway_replica: b}}}}]}}\n",
                self.gateway.address()
            ),
            target("pushgateway", self.pushgateway.address(), honor),
            target("server", self.server.address(), honor),
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

    /// Causes an event on each endpoint that has been asked before.
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
