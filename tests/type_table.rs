//! Table of what was pushed and what Prometheus then says, for every type and destination, in
//! docs/reference/destinations.md.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::common::own_gateway::OwnGateway;
use crate::common::process::PATIENCE;
use crate::common::{Sandbox, Server, awaited};

/// Names begin with the prefix of the destination in place of `x_`.
const PUSHED: &str = "# HELP x_runs_total Runs.\n# TYPE x_runs_total counter\nx_runs_total{code=\"0\"} 7\n\
    # TYPE x_queue gauge\nx_queue -1.5\n# TYPE x_share gauge\nx_share NaN\n# TYPE x_limit gauge\nx_limit +Inf\n\
    x_rows 42\n\
    # TYPE x_bytes summary\nx_bytes{quantile=\"0.5\"} 3\nx_bytes_sum 12\nx_bytes_count 4\n\
    # TYPE x_seconds histogram\nx_seconds_bucket{le=\"1\"} 3\nx_seconds_bucket{le=\"+Inf\"} 4\n\
    x_seconds_sum 5.25\nx_seconds_count 4\n";

/// Column and prefix of each destination.
const DESTINATIONS: [(&str, &str); 4] = [
    ("Pushgateway", "pushgateway_"),
    ("`metricsjob gateway`", "own_"),
    ("`textfile:`", "textfile_"),
    ("`remote-write:`", "remote_"),
];

fn get(prometheus: &Server, path: &str) -> Json {
    let answer = prometheus.exchange("GET", path, &[], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// Series that Prometheus has of a prefix: values by `name{labels}` without the prefix, and labels of the destination.
fn found(prometheus: &Server, prefix: &str) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let selector = format!("{{__name__=~\"{prefix}.+\",job=\"types\"}}");
    let selector = utf8_percent_encode(&selector, NON_ALPHANUMERIC);
    let answer = get(prometheus, &format!("/api/v1/query?query={selector}"));
    let (mut values, mut labels) = (BTreeMap::new(), BTreeSet::new());
    for result in answer["data"]["result"].as_array().unwrap() {
        let mut own = Vec::new();
        for (name, value) in result["metric"].as_object().unwrap() {
            match name.as_str() {
                "__name__" => {}
                "le" | "quantile" | "code" => own.push(format!("{name}={value}")),
                _ => drop(labels.insert(name.clone())),
            }
        }
        let name = result["metric"]["__name__"].as_str().unwrap();
        let name = name.strip_prefix(prefix).unwrap();
        let series = match own.as_slice() {
            [] => name.to_owned(),
            own => format!("{name}{{{}}}", own.join(",")),
        };
        let value = result["value"][1].as_str().unwrap().to_owned();
        assert!(values.insert(series, value).is_none());
    }
    (values, labels)
}

fn table(prometheus: &Server) -> String {
    let pushed = PUSHED.lines().filter(|line| !line.starts_with('#'));
    let pushed: Vec<(&str, &str)> = pushed
        .map(|line| line.strip_prefix("x_").unwrap().rsplit_once(' ').unwrap())
        .collect();
    let found: Vec<_> = awaited(PATIENCE, || {
        let found: Vec<_> = DESTINATIONS
            .map(|(_, prefix)| found(prometheus, prefix))
            .into();
        let numbers = found.iter().map(|(values, _)| values.len());
        let numbers: Vec<usize> = numbers.collect();
        let is_all = numbers.iter().all(|number| *number == pushed.len());
        is_all.then_some(found).ok_or(format!("{numbers:?}"))
    });
    let metadata = get(prometheus, "/api/v1/metadata");
    let kind = |prefix: &str, series: &str| {
        let name = series.split('{').next().unwrap();
        // OpenMetrics names a counter without its suffix.
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let names = suffixes
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix));
        let mut kinds = names
            .filter_map(|name| metadata["data"][format!("{prefix}{name}")][0]["type"].as_str());
        kinds.next().unwrap_or("no type").to_owned()
    };
    let columns = DESTINATIONS.map(|(column, _)| column).join(" | ");
    let mut table = format!(
        "| pushed | {columns} |\n| --- |{}\n",
        " --- |".repeat(DESTINATIONS.len())
    );
    for (series, value) in pushed {
        let cells = DESTINATIONS
            .iter()
            .zip(&found)
            .map(|((_, prefix), (values, _))| {
                let value = values.get(series).map_or("nothing", String::as_str);
                format!("{value}, {}", kind(prefix, series))
            });
        let cells: Vec<String> = cells.collect();
        table += &format!("| `{series} {value}` | {} |\n", cells.join(" | "));
    }
    let labels = found.iter().map(|(_, labels)| {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        labels.join(", ")
    });
    let labels: Vec<String> = labels.collect();
    table += &format!(
        "| the labels `job` and `db` of the group | {} |\n",
        labels.join(" | ")
    );
    table
}

#[test]
fn every_type_at_every_destination() {
    let sandbox = Sandbox::new();
    let pushgateway = Server::pushgateway(&[]);
    let own = OwnGateway::alone(&[]);
    let textfiles = sandbox.path().join("textfiles");
    std::fs::create_dir(&textfiles).unwrap();
    let exporter = Server::node_exporter(&textfiles);
    let targets = [pushgateway.address(), own.address(), exporter.address()];
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: all\n  honor_labels: true\n  static_configs:\n  - targets: {targets:?}\n"
    );
    let config = sandbox.write("prometheus.yml", config);
    let prometheus = Server::prometheus_with(&config, &["--web.enable-remote-write-receiver"]);
    let destinations = [
        format!("--gateway {}", pushgateway.url()),
        format!("--gateway {}", own.url()),
        format!("--to textfile:{}", textfiles.display()),
        format!("--to remote-write:{}/api/v1/write", prometheus.url()),
    ];
    for ((_, prefix), destination) in DESTINATIONS.iter().zip(&destinations) {
        let line = format!("push --job types -g db=a {destination}");
        let body = PUSHED.replace("x_", prefix);
        sandbox.run_with_input(&line, body).code(0);
    }
    // A scrape after it, whose metadata Prometheus has seen too.
    std::thread::sleep(Duration::from_secs(2));
    let table = table(&prometheus);
    let page = include_str!("../docs/reference/destinations.md");
    assert!(
        page.contains(&table),
        "put this into docs/reference/destinations.md:\n{table}"
    );
}
