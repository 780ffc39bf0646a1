//! The smallest batch job, as a package outside of the workspace that depends on `metricsjob-client` alone; and what such a
//! program finds in its environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::own_gateway::OwnGateway;
use crate::common::{Finished, Sandbox};

const MANIFEST: &str = r#"
[package]
name = "outside"
edition = "2024"

[workspace]

[dependencies]
metricsjob-client = { path = "CLIENT" }
prometheus = { version = "0.14", default-features = false, features = ["protobuf"], optional = true }
"#;

const PROGRAM: &str = r#"
use metricsjob_client::Job;

fn main() -> Result<(), String> {
    Job::new("outside").run(|run| {
        run.counter("rows_total", "Rows.", &[("table", "a")]).inc_by(3.0);
        run.histogram("size_bytes", "Sizes.", &[100.0, 1000.0], &[]).observe(512.0);
        run.summary("row_seconds", "Time for a row.", &[]).observe(0.25);
        match std::env::args().nth(1) {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    })
}
"#;

/// Builds the program with these arguments of cargo.
fn build(arguments: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = root.join("target/outside");
    std::fs::create_dir_all(place.join("src")).unwrap();
    let client = root.join("crates/client");
    let manifest = MANIFEST.replace("CLIENT", client.to_str().unwrap());
    std::fs::write(place.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(place.join("src/main.rs"), PROGRAM).unwrap();
    // The versions of the workspace, so that only what it lacks is looked up.
    std::fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new("cargo");
    cargo.arg("build").args(arguments).current_dir(&place);
    let built = cargo.env("CARGO_TARGET_DIR", place.join("target"));
    let built = built.output().unwrap();
    let log = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{log}");
    place.join("target/debug/outside")
}

/// Runs a command with these variables and no others of ours.
fn run(command: &mut Command, variables: &[(&str, &str)]) -> Finished {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("METRICSJOB_")) {
        command.env_remove(name);
    }
    Finished::from(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn the_smallest_batch_job() {
    // One after the other, because they share a directory.
    for arguments in [&[][..], &["--features", "prometheus"]] {
        let program = build(arguments);
        reports_as_its_environment_says(&program);
        keeps_hosts_apart(&program);
        hands_its_metrics_to_the_run_that_it_is_in(&program);
        says_what_it_cannot_do(&program);
    }
}

fn reports_as_its_environment_says(program: &Path) {
    let gateway = OwnGateway::alone(&[]);
    let url = gateway.url();
    let variables = [
        ("METRICSJOB_GATEWAY", url.as_str()),
        ("METRICSJOB_GROUPING", "db=customers  site=a=b"),
        ("METRICSJOB_PREFIX", "nightly"),
        ("METRICSJOB_FORMAT", "protobuf"),
        ("METRICSJOB_COMPRESS", "gzip"),
    ];
    let group = |series: &str, labels: &str| {
        gateway.value(
            "outside",
            &format!("{series}{{db=\"customers\",site=\"a=b\"{labels}}}"),
        )
    };
    run(&mut Command::new(program), &variables).code(0);
    let last_success = group("nightly_last_success_timestamp_seconds", "");
    assert!(last_success.is_some());
    run(Command::new(program).arg("no paper"), &variables)
        .code(1)
        .err("no paper");
    assert_eq!(group("nightly_success", ""), Some(0.0));
    assert_eq!(
        group("nightly_last_success_timestamp_seconds", ""),
        last_success
    );
    assert_eq!(group("rows_total", ",table=\"a\""), Some(3.0));
    assert_eq!(group("size_bytes_bucket", ",le=\"1000\""), Some(1.0));
    assert_eq!(group("row_seconds", ",quantile=\"0.5\""), Some(0.25));
    let put = [&variables[..], &[("METRICSJOB_METHOD", "put")]].concat();
    run(Command::new(program).arg("no paper"), &put).code(1);
    assert_eq!(group("nightly_last_success_timestamp_seconds", ""), None);
}

fn keeps_hosts_apart(program: &Path) {
    let gateway = OwnGateway::alone(&[]);
    let url = gateway.url();
    let host = nix::unistd::gethostname().unwrap();
    let host = host.to_str().unwrap();
    let success = |labels: &str| {
        let series = format!("batch_job_success{{{labels}}}");
        gateway.value("outside", &series)
    };
    let report = |grouping: &str, instance: &str| {
        let variables = [
            ("METRICSJOB_GATEWAY", url.as_str()),
            ("METRICSJOB_GROUPING", grouping),
            ("METRICSJOB_INSTANCE", instance),
            ("SITE", "berlin"),
        ];
        run(&mut Command::new(program), &variables)
    };
    report("", "true").code(0).quiet_stderr();
    assert_eq!(success(&format!("instance=\"{host}\"")), Some(1.0));
    report("host=${hostname},site=${env:SITE}", "web-1")
        .code(0)
        .quiet_stderr();
    let labels = format!("host=\"{host}\",instance=\"web-1\",site=\"berlin\"");
    assert_eq!(success(&labels), Some(1.0));
    report("a=${nope} b=1", "false")
        .code(0)
        .err("a label in METRICSJOB_GROUPING is left out: a: there is no placeholder ${nope}");
    assert_eq!(success("b=\"1\""), Some(1.0));
}

fn hands_its_metrics_to_the_run_that_it_is_in(program: &Path) {
    let gateway = OwnGateway::alone(&[]);
    let url = gateway.url();
    let sandbox = Sandbox::new();
    let program = program.to_str().unwrap();
    for (reason, code) in [(None, 0), (Some("no paper"), 1)] {
        let mut line = vec!["exec", "--job", "runner", "--gateway", &url, "--", program];
        line.extend(reason);
        let done = Finished::from(sandbox.command(line).output().unwrap());
        done.code(code);
        assert!(!done.stderr().contains("not reported"), "{}", done.stderr());
        let value = |series: &str| gateway.value("runner", series);
        assert_eq!(value("batch_job_success"), Some(f64::from(1 - code)));
        assert_eq!(value("rows_total{table=\"a\"}"), Some(3.0));
        assert_eq!(value("size_bytes_sum"), Some(512.0));
        assert_eq!(value("row_seconds{quantile=\"0.99\"}"), Some(0.25));
    }
    assert_eq!(gateway.value("outside", "batch_job_success"), None);
}

fn says_what_it_cannot_do(program: &Path) {
    for (variables, parts) in [
        (&[][..], &["METRICSJOB_GATEWAY"][..]),
        (&[("METRICSJOB_GATEWAY", "ftp://a:s3cret@b")], &["ftp"]),
        (
            &[
                ("METRICSJOB_GATEWAY", "127.0.0.1:1"),
                ("METRICSJOB_PUSH_DEADLINE", "1 hor"),
            ],
            &["METRICSJOB_PUSH_DEADLINE", "\"1 hor\""],
        ),
        (
            &[
                ("METRICSJOB_GATEWAY", "127.0.0.1:1"),
                ("METRICSJOB_PUSH_DEADLINE", "100ms"),
            ],
            &["127.0.0.1:1", "refused"],
        ),
        (
            &[
                ("METRICSJOB_GATEWAY", "127.0.0.1:1"),
                ("METRICSJOB_GROUPING", "db"),
                ("METRICSJOB_METHOD", "patch"),
                ("METRICSJOB_PREFIX", "1st"),
                ("METRICSJOB_BEARER_TOKEN_FILE", "/does/not/exist"),
            ],
            &["\"db\"", "\"patch\"", "\"1st\"", "/does/not/exist"],
        ),
        (
            &[("METRICSJOB_METRICS", "/does/not/exist")],
            &["/does/not/exist", "METRICSJOB_METRICS"],
        ),
    ] {
        let done = run(&mut Command::new(program), variables);
        done.code(0);
        for part in parts {
            done.err(part);
        }
        assert!(!done.stderr().contains("s3cret"), "{}", done.stderr());
    }
}
