//! `docs/reference/metrics.md`: all metrics that the program exposes, read from what it exposes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use metricsjob_metrics::{Family, text};

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::{OwnServer, with_jobs};
use crate::common::{FakeServer, Sandbox, eventually, page};

/// Families by name, with the names of their labels.
#[derive(Default, Clone)]
struct Families(BTreeMap<String, (Family, BTreeSet<String>)>);

/// Labels of a group, which all of its series have.
const OF_GROUPS: [&str; 4] = ["db", "instance", "job", "job_name"];

impl Families {
    /// Adds those of a text. A family is there once, with the labels of all its occurrences.
    fn read(&mut self, exposed: &str) {
        for family in text::parse(exposed.as_bytes()).unwrap() {
            let keys = family
                .metrics
                .iter()
                .flat_map(|metric| metric.labels.keys());
            let keys = keys
                .filter(|key| !OF_GROUPS.contains(key))
                .map(str::to_owned);
            let keys: BTreeSet<String> = keys.collect();
            let name = family.name.clone();
            let (_, labels) = self.0.entry(name).or_insert((family, BTreeSet::new()));
            labels.extend(keys);
        }
    }

    fn only(&self, is_meant: impl Fn(&str) -> bool) -> Families {
        let families = self.0.iter().filter(|(name, _)| is_meant(name));
        Families(
            families
                .map(|(name, family)| (name.clone(), family.clone()))
                .collect(),
        )
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn table(&self) -> String {
        let mut table =
            "| metric | type | unit | meaning |\n| --- | --- | --- | --- |\n".to_owned();
        for (name, (family, labels)) in &self.0 {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            assert!(!family.help.is_empty(), "{name}");
            table += &format!(
                "| `{name}{labels}` | {} | {} | {} |\n",
                family.kind.name(),
                unit(name),
                family.help.replace('|', "\\|"),
            );
        }
        table
    }
}

/// The unit that a name ends in.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let is_date = [
        "_timestamp_seconds",
        "_start_time_seconds",
        "push_time_seconds",
        "push_failure_time_seconds",
    ];
    match name {
        _ if is_date.iter().any(|end| name.ends_with(end)) => "seconds since 1970",
        _ if name.ends_with("_seconds") => "seconds",
        _ if name.ends_with("_bytes") => "bytes",
        _ if name.ends_with("_ratio") => "0 to 1",
        _ => "",
    }
}

/// A gateway that keeps what arrives: reports, and metrics about their delivery.
struct Reports {
    server: FakeServer,
    sandbox: Sandbox,
}

impl Reports {
    fn new() -> Self {
        let server = FakeServer::status("200 OK", "");
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
        Reports { server, sandbox }
    }

    /// The families of the reports so far.
    fn families(&self, is_of_delivery: bool) -> Families {
        let mut families = Families::default();
        for request in self.server.requests() {
            if request.line.contains("/metrics/job/metricsjob/") == is_of_delivery {
                families.read(&request.body);
            }
        }
        families
    }
}

/// All that a run can report, under the prefix `PREFIX`, and what is said of its delivery.
fn of_a_run() -> (Families, Families) {
    let reports = Reports::new();
    // From the eleventh success on there is something to compare with.
    for _ in 0..11 {
        let options = "--job a --prefix PREFIX --push-start --self-metrics --junit t.xml --max-age 26h --max-duration 1h \
                       --slo 0.99 --severity critical --owner dba --runbook https://wiki.example/a --expect rows=1.. \
                       --anomaly-metrics duration_seconds";
        let script = "echo '<testsuite name=\"a\" tests=\"1\" time=\"0.5\"/>' >t.xml; echo 'rows 1' >>$METRICSJOB_METRICS";
        reports.sandbox.exec(options, script).code(0).quiet_stderr();
    }
    (
        reports.families(false).only(|name| name != "rows"),
        reports.families(true),
    )
}

/// Families that a built-in reports beside the runner's.
fn of_a_built_in(line: &str, of_runs: &Families) -> Families {
    let reports = Reports::new();
    let database = rusqlite::Connection::open(reports.sandbox.path().join("a.db")).unwrap();
    database.execute_batch("CREATE TABLE a (b)").unwrap();
    let line = line.replace("URL", &reports.server.url());
    reports.sandbox.run(&format!("run {line}")).code(0);
    let families = reports.families(false);
    let success = families
        .0
        .keys()
        .filter_map(|name| name.strip_suffix("_success"));
    let prefix = success.max_by_key(|prefix| *prefix != "batch_job").unwrap();
    families.only(|name| {
        let of_run = name.strip_prefix(&format!("{prefix}_")).unwrap_or(name);
        !of_runs.has(name) && !of_runs.has(&format!("PREFIX_{of_run}"))
    })
}

fn of_a_gateway() -> Families {
    let gateway = OwnGateway::alone(&["--group.aggregate", "job=\"sum\" without (instance)"]);
    let pushed = "# HELP example A pushed metric.\n# TYPE example counter\nexample 1\n";
    gateway.put("/metrics/job/sum/instance/b", pushed);
    let ttl = [("Pushgateway-TTL", "1h")];
    let path = "/metrics/job/a";
    assert_eq!(gateway.request("PUT", path, &ttl, pushed).0, 200);
    assert_eq!(
        gateway
            .request("PUT", path, &[], "example 1\nexample 1\n")
            .0,
        400
    );
    let mut families = Families::default();
    families.read(&gateway.metrics());
    families.only(|name| name != "example")
}

fn of_serve() -> Families {
    let job = "prefix = 'EXAMPLE'\nevery = '1s'\ncommand = ['true']";
    let sandbox = with_jobs(&[("a", job)]);
    let gateway = FakeServer::status("200 OK", "");
    let server = OwnServer::start(&sandbox, &format!("--gateway {}", gateway.url()));
    // Once more, so that there are requests and a run that began by its schedule.
    server.eventually_runs("a", "success", 2);
    eventually("a push", || {
        server.sum("metricsjob_push_attempts_total") > 0.0
    });
    let mut families = Families::default();
    families.read(&server.get("/metrics").body);
    families.only(|name| !name.starts_with("EXAMPLE_"))
}

#[test]
fn the_page_has_all_metrics() {
    let (of_runs, of_delivery) = of_a_run();
    let prefixed = |prefix: &str| of_runs.only(|name| name.starts_with(prefix)).table();
    page::holds("metrics", "metrics of a run", &prefixed("PREFIX_"));
    page::holds("metrics", "metrics of every job", &prefixed("batch_job_"));
    page::holds("metrics", "metrics of test results", &prefixed("junit_"));
    page::holds("metrics", "metrics of deliveries", &of_delivery.table());
    let mut built_ins = Vec::new();
    for (name, parameters) in [
        ("backup", "--set source=a.db --set dest=b.db"),
        ("probe", "--set endpoint=URL"),
        (
            "random",
            "--set iterations=50 --set interval=0s --set seed=1",
        ),
        ("demo-orders", "--set seed=1"),
        ("demo-satisfaction", "--set seed=1"),
    ] {
        let families = of_a_built_in(&format!("{name} {parameters}"), &of_runs);
        built_ins.push(format!("### {name}\n\n{}", families.table()));
    }
    page::holds("metrics", "metrics of built-ins", &built_ins.join("\n"));
    let (gateway, serve) = (of_a_gateway(), of_serve());
    let is_shared = |name: &str| gateway.has(name) && serve.has(name);
    page::holds(
        "metrics",
        "metrics of all servers",
        &gateway.only(is_shared).table(),
    );
    let only_gateway = gateway.only(|name| !is_shared(name));
    page::holds("metrics", "metrics of gateway", &only_gateway.table());
    let only_serve = serve.only(|name| !is_shared(name) && !of_runs.has(name));
    page::holds("metrics", "metrics of serve", &only_serve.table());
}

/// Examples from each part, so that a part that became empty is noticed.
#[test]
fn no_list_is_short() {
    let page = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/reference/metrics.md"
    ))
    .unwrap();
    for name in [
        "PREFIX_exit_code",
        "PREFIX_running",
        "batch_job_anomaly_score{metric}",
        "batch_job_expectation_met{metric}",
        "batch_job_deadline_timestamp_seconds",
        "junit_duration_seconds{suite}",
        "metricsjob_push_duration_seconds",
        "db_backup_size_bytes",
        "external_service_latency_seconds{endpoint,service}",
        "http_request_duration_seconds{endpoint,method}",
        "metricsjob_gateway_group_ttl_seconds",
        "push_failure_time_seconds",
        "batch_job_next_run_timestamp_seconds",
        "metricsjob_schedule_lag_seconds",
    ] {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
