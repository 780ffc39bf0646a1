//! Three set-ups as a new user makes them, from nothing to the values in a real Prometheus: a nightly dump, a CI step
//! that counts its test results, and cron jobs on ten hosts with one Pushgateway.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use crate::common::own_server::wrapped;
use crate::common::{Sandbox, Server};

/// A Pushgateway, and a Prometheus that scrapes it.
struct Monitoring {
    gateway: Server,
    prometheus: Server,
    _files: Sandbox,
}

impl Monitoring {
    fn start() -> Self {
        let gateway = Server::pushgateway(&[]);
        let files = Sandbox::new();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
             - {{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: [\"{}\"]}}]}}\n",
            gateway.address()
        );
        let prometheus = Server::prometheus(&files.write("prometheus.yml", config));
        Monitoring {
            gateway,
            prometheus,
            _files: files,
        }
    }

    /// Waits until a query has `count` results; returns their labels and values.
    fn results(&self, query: &str, count: usize) -> Vec<(Json, f64)> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let found = RefCell::new(Vec::new());
        self.prometheus
            .wait_for(&format!("/api/v1/query?query={encoded}"), |body| {
                let answer: Json = serde_json::from_str(body).unwrap();
                let results = answer["data"]["result"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let value = |result: &Json| result["value"][1].as_str().unwrap().parse().unwrap();
                let pairs = results.iter();
                let pairs = pairs.map(|result| (result["metric"].clone(), value(result)));
                found.replace(pairs.collect());
                found.borrow().len() == count
            });
        found.into_inner()
    }
}

#[test]
fn a_nightly_dump() {
    let monitoring = Monitoring::start();
    let host = Sandbox::new();
    let file = ".config/metricsjob/metricsjob.toml";
    host.run(&format!("config init {file}"))
        .code(0)
        .out("wrote ");
    let path = host.path().join(file);
    let template = fs::read_to_string(&path).unwrap();
    let gateway = format!("gateway = \"{}\"", monitoring.gateway.url());
    let edited = template.replace("# gateway = \"http://pushgateway:9091\"", &gateway);
    assert_ne!(edited, template);
    fs::write(&path, edited).unwrap();
    let database = "CREATE TABLE t (a); INSERT INTO t VALUES (1);";
    let made = Command::new("python3")
        .args([
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])",
        ])
        .arg(host.path().join("shop.db"))
        .arg(database)
        .status();
    assert!(made.unwrap().success());
    host.run("run backup --set source=shop.db --set dest=copy.db -g db=shop")
        .code(0)
        .quiet_stderr();
    assert!(host.path().join("copy.db").exists());
    let name = nix::unistd::gethostname().unwrap();
    let labels = format!("{{db=\"shop\",instance=\"{}\"}}", name.to_string_lossy());
    let success = monitoring.results(&format!("db_backup_success{labels}"), 1);
    assert_eq!(success[0].1, 1.0);
    monitoring.results(
        &format!("time() - db_backup_last_success_timestamp_seconds{labels} < 600"),
        1,
    );
}

/// Results of a test runner, from the step's own report.
#[test]
fn a_ci_step() {
    let monitoring = Monitoring::start();
    let runner = Sandbox::new().variable("METRICSJOB_GATEWAY", monitoring.gateway.url());
    let script = "mkdir -p target && cat >target/junit.xml <<'END'\n\
        <testsuites><testsuite name=\"unit\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.5\">\
        <testcase name=\"a\"/><testcase name=\"b\"><failure/></testcase><testcase name=\"c\"><skipped/></testcase>\
        </testsuite></testsuites>\nEND\nexit 1";
    runner
        .exec("--job ci -g branch=main --junit target/*.xml", script)
        .code(1);
    for (metric, value) in [
        ("junit_tests", 3.0),
        ("junit_failures", 1.0),
        ("batch_job_success", 0.0),
    ] {
        let results = monitoring.results(&format!("{metric}{{job=\"ci\",branch=\"main\"}}"), 1);
        assert_eq!(results[0].1, value, "{metric}");
    }
}

/// Ten hosts with the same file and the same crontab lines: none takes the place of another.
#[test]
fn ten_hosts_as_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let monitoring = Monitoring::start();
    let config = format!(
        "gateway = '{}'\ninstance = true\n[grouping]\nsite = 'berlin'",
        monitoring.gateway.url()
    );
    for number in 0..10 {
        let host = Sandbox::new();
        host.write(".config/metricsjob/metricsjob.toml", &config);
        for job in ["dump", "sync", "clean", "mail", "report"] {
            // The mail of one host fails, and only that.
            let code = i32::from(job == "mail" && number == 7);
            let job = format!("--job={job}");
            let run = host.command(["exec", &job, "--", "sh", "-c", &format!("exit {code}")]);
            let name = format!("hostname host{number} && exec \"$@\"");
            let run = wrapped(&["unshare", "--uts", "sh", "-c", &name, "sh"], &run)
                .output()
                .unwrap();
            assert_eq!(run.status.code(), Some(code), "{run:?}");
        }
    }
    let results = monitoring.results("batch_job_success{site=\"berlin\"}", 50);
    let hosts: BTreeSet<&str> = results
        .iter()
        .map(|(labels, _)| labels["instance"].as_str().unwrap())
        .collect();
    assert_eq!(hosts.len(), 10);
    let failed = results.iter().filter(|(_, value)| *value == 0.0);
    let failed: Vec<(&str, &str)> = failed
        .map(|(labels, _)| {
            (
                labels["job"].as_str().unwrap(),
                labels["instance"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(failed, [("mail", "host7")]);
    let info = monitoring.results("batch_job_info{job=\"mail\",instance=\"host7\"}", 1);
    assert_eq!(info[0].0["host"], "host7");
}
