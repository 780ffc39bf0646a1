//! The files in `scripts/examples/`: what they ask of metricsjob is what it takes.

use std::fs;

use crate::common::Sandbox;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/examples");

/// The options of each `metricsjob exec` in the files, with the file's name.
fn options() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(DIR).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((_, rest)) = line.split_once("metricsjob exec ") else {
                continue;
            };
            let (options, _) = rest.split_once(" -- ").expect(line);
            let name = path.file_name().unwrap().to_str().unwrap();
            found.push((name.to_owned(), options.to_owned()));
        }
    }
    found.sort();
    found
}

#[test]
fn their_options_are_known() {
    let options = options();
    let names: Vec<&str> = options.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "github-actions.yml",
            "gitlab-ci.yml",
            "metricsjob-backup.service",
            "metricsjob.crontab",
            "metricsjob.crontab",
        ]
    );
    for (name, options) in options {
        let sandbox = Sandbox::new();
        let options = options
            .replace("--splay 10m", "--splay 0s")
            .replace("%S/metricsjob-dumps", ".")
            .replace("\"target/junit/*.xml\"", "target/junit/*.xml");
        let script = "mkdir -p target/junit; echo '<testsuite tests=\"1\"/>' >target/junit/t.xml";
        let job = sandbox.exec(&options, script);
        job.code(0);
        assert_eq!(job.stderr(), "", "{name}");
        let success = sandbox.samples().into_iter().find(|(series, _)| {
            let is_its_own = !series.contains("job=\"sh\"");
            series.starts_with("batch_job_success{") && is_its_own
        });
        assert_eq!(success.expect(&name).1, 1.0, "{name}");
    }
}

/// `systemd-analyze verify` on the units, with the built binary for the one that is to be installed.
#[cfg(feature = "real-servers")]
#[test]
fn systemd_takes_the_units() {
    let sandbox = Sandbox::new();
    let units: Vec<_> = [
        "metricsjob-backup.service",
        "metricsjob-backup.timer",
        "metricsjob-gateway.service",
        "metricsjob-gateway.socket",
        "metricsjob-serve.service",
    ]
    .into_iter()
    .map(|name| {
        let unit = fs::read_to_string(format!("{DIR}/{name}")).unwrap();
        let built = &*crate::common::US;
        sandbox.write(name, unit.replace("/usr/local/bin/metricsjob", built))
    })
    .collect();
    let output = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap();
    // It says what is wrong with exit code 0 too.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());

    let services = units
        .iter()
        .filter(|unit| unit.extension().is_some_and(|e| e == "service"));
    for service in services {
        // In tenths, of ten; what is left is mostly the network, which they are for.
        let output = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager", "--threshold=16"])
            .arg(service)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", service.display());
    }
}

/// Alerts as an Alertmanager sends them become lines; nothing else is taken.
#[cfg(feature = "real-servers")]
#[test]
fn the_alert_log_shows_alerts() {
    let log = examples_harness::Program::start(&format!("{DIR}/alert-log"), &[]);
    let post = |body: &str| log.request("POST", "/", &[], body.as_bytes()).status;
    assert_eq!(log.get("/").text(), "no alert yet\n");
    for body in [
        "",
        "{",
        "7",
        "[]",
        "{}",
        r#"{"alerts": [{"status": "firing"}]}"#,
        r#"{"alerts": [{"status": "firing", "labels": 7}]}"#,
        "\u{fffd}",
    ] {
        assert_eq!(post(body), 400, "{body}");
    }
    assert_eq!(log.get("/").text(), "no alert yet\n");
    let alerts = r#"{"version": "4", "alerts": [
        {"status": "firing", "labels": {"alertname": "BatchJobFailed", "severity": "warning"},
         "annotations": {"summary": "a \u001b[2J b failed"}},
        {"status": "resolved", "labels": {"alertname": "Other"}}]}"#;
    assert_eq!(post(alerts), 200);
    let shown = log.get("/").text();
    // A time is before each.
    let lines: Vec<&str> = shown.lines().map(|line| line.split_at(21).1).collect();
    let lines_expected = [
        "firing   warning  BatchJobFailed a \u{fffd}[2J b failed",
        "resolved          Other ",
    ];
    assert_eq!(lines, lines_expected);
    assert_eq!(log.stdout(), shown);
    log.terminate();
}
