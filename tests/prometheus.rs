//! A run, through a real Pushgateway, to a real Prometheus.

use std::fs;

use serde_json::Value as Json;

use crate::common::{Sandbox, Server};

/// The configuration that the compose file uses, with other addresses and a shorter interval.
fn config(gateway: &str) -> String {
    let shipped = include_str!("../monitoring/prometheus.yml");
    let config = shipped
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("pushgateway:9091", gateway);
    assert!(config.contains("scrape_interval: 1s") && config.contains(gateway));
    config
}

#[test]
fn what_a_run_reports_is_what_prometheus_answers() {
    let gateway = Server::pushgateway(&[]);
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
    let config = sandbox.write("prometheus.yml", config(gateway.address()));
    let prometheus = Server::prometheus(&config);
    sandbox.run("run backup --grouping db=customers").code(0);
    let query = "/api/v1/query?query=db_backup_records_processed%7Bdb%3D%22customers%22%2Cjob%3D%22db_backup%22%7D";
    let answer = prometheus.wait_for(query, |body| body.contains("\"metric\""));
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 1);
    assert_eq!(result[0]["value"][1], "42");
    // honor_labels: `job` is the job's, and not the name of the scrape.
    assert_eq!(result[0]["metric"]["job"], "db_backup");
}

/// `promtool check` on what ships.
#[test]
fn the_shipped_files_are_good() {
    let root = env!("CARGO_MANIFEST_DIR");
    let promtool = |arguments: &[&str]| {
        let output = std::process::Command::new("promtool")
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    for config in [
        "prometheus.yml",
        "prometheus-full.yml",
        "prometheus-two-gateways.yml",
    ] {
        promtool(&["check", "config", &format!("{root}/monitoring/{config}")]);
    }
    promtool(&["check", "rules", &format!("{root}/monitoring/rules.yml")]);
    promtool(&[
        "test",
        "rules",
        &format!("{root}/monitoring/rules.test.yml"),
    ]);
}

/// `promtool check metrics` on what a run pushes: names, types and help as Prometheus wants them.
#[test]
fn the_reports_are_good_exposition() {
    let sandbox = Sandbox::new();
    for job in ["backup --set duration=0s", "random --set interval=0s"] {
        let run = sandbox.run(&format!("run {job} --dry-run"));
        let text = run.code(0).stdout();
        let (_, body) = text.split_once("\n\n").unwrap();
        let file = sandbox.write("body.prom", body);
        let output = std::process::Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{job}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{job}");
    }
}
