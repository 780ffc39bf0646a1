//! `status`: the groups of a gateway.

use crate::common::{Sandbox, TestGateway, status_samples};

on_each_gateway!(groups_are_shown_with_their_times, everything_is_in_the_json);

fn groups_are_shown_with_their_times(gateway: &TestGateway) {
    gateway.run("status").code(0).out("no groups at ");
    gateway
        .run("run backup -g db=customers -g zone=z --set duration=20ms")
        .code(0);
    gateway.push("--job other", "m 1\n").code(0);
    let status = gateway.run("status");
    let lines: Vec<String> = status.code(0).stdout().lines().map(str::to_owned).collect();
    let head = [
        "JOB",
        "GROUPING",
        "OUTCOME",
        "EXIT",
        "LAST SUCCESS",
        "LAST RUN",
        "DURATION",
        "LAST PUSH",
        "FAMILIES",
    ];
    let mut rest = lines[0].as_str();
    for name in head {
        rest = rest
            .trim_start()
            .strip_prefix(name)
            .unwrap_or_else(|| panic!("{lines:?}"));
    }
    assert!(
        lines[1].starts_with("db_backup  db=customers,zone=z  success  0  "),
        "{lines:?}"
    );
    // Within a second, or a little later on a busy machine: once for the push, the success and the run.
    let ages = lines[1].matches("just now").count() + lines[1].matches(" ago)").count();
    assert_eq!(ages, 3, "{lines:?}");
    assert!(lines[1].ends_with("  19"), "{lines:?}");
    let other: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(
        (&other[..6], other[other.len() - 1]),
        (&["other", "-", "-", "-", "-", "-"][..], "1"),
        "{lines:?}"
    );

    // A push that contradicts the type in the other group.
    gateway
        .push(
            "--job other",
            "# TYPE db_backup_success counter\ndb_backup_success 1\n",
        )
        .code(69);
    gateway
        .run("status")
        .code(0)
        .out("push refused")
        .out("2 groups, 1 with a refused push");
}

/// `status` reads a Pushgateway's API; what it says must be what that shows at `/metrics`.
fn everything_is_in_the_json(gateway: &TestGateway) {
    let text = "\
# HELP m Help.
# TYPE m gauge
m{l=\"a/b \\\" c\"} 1e300
m{l=\"2\"} NaN
# TYPE s summary
s{quantile=\"0.5\"} +Inf
s_sum 2.5
s_count 2
# TYPE h histogram
h_bucket{le=\"0.5\"} 1
h_bucket{le=\"+Inf\"} 2
h_sum 3
h_count 2
";
    gateway.push("--job j -g a=1", text).code(0);
    gateway.run("run backup --set duration=0s").code(0);
    let status = gateway.run("status --output json").code(0).json();
    let shown = status_samples(&status);
    let there = gateway.samples();
    assert_eq!(format!("{shown:#?}"), format!("{there:#?}"));
    assert!(there.len() > 20);

    let backup = &status[0];
    assert_eq!(backup["job"], "db_backup");
    assert!(backup["last_success_timestamp_seconds"].as_f64().unwrap() > 1.7e9);
    assert!(backup["duration_seconds"].as_f64().unwrap() < 5.0);
    let group = &status[1];
    assert_eq!(group["grouping"]["a"], "1");
    assert_eq!(group["duration_seconds"], serde_json::Value::Null);
    let families = group["families"].as_array().unwrap();
    let m = families
        .iter()
        .find(|family| family["name"] == "m")
        .unwrap();
    assert_eq!((&m["type"], &m["help"]), (&"gauge".into(), &"Help.".into()));
}

#[test]
fn failed_and_late_groups_come_first() {
    let sandbox = Sandbox::new();
    let push = |job: &str, metrics: &str| {
        sandbox
            .run_with_input(&format!("push --job {job}"), metrics)
            .code(0);
    };
    sandbox.exec("--job a_success", "true").code(0);
    sandbox.exec("--job b_failed", "exit 3").code(3);
    push("c_late", "batch_job_deadline_timestamp_seconds 1e9\n");
    push("d_in_time", "batch_job_deadline_timestamp_seconds 1e11\n");
    // It failed, and its deadline has passed, too.
    sandbox.exec("--job e_both", "kill -9 $$").code(137);
    push("e_both", "batch_job_deadline_timestamp_seconds 1e9\n");
    // The job has succeeded since.
    sandbox.exec("--job f_met", "true").code(0);
    push("f_met", "batch_job_deadline_timestamp_seconds 1e9\n");
    let text = sandbox.run("status").code(0).stdout();
    let jobs: Vec<&str> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        jobs,
        [
            "JOB",
            "e_both",
            "b_failed",
            "c_late",
            "a_success",
            "d_in_time",
            "f_met",
            "6"
        ]
    );
    assert!(text.ends_with("\n6 groups, 2 failed, 2 late\n"), "{text}");
    assert!(text.contains("  failure, late  137  "), "{text}");
    let json = sandbox.run("status --output json").json();
    let row = |index: usize| {
        let group = &json[index];
        (
            group["outcome"].as_str(),
            group["exit_code"].as_i64(),
            group["is_late"].as_bool(),
        )
    };
    assert_eq!(row(0), (Some("failure"), Some(137), Some(true)));
    assert_eq!(row(2), (None, None, Some(true)));
    assert_eq!(row(5), (Some("success"), Some(0), Some(false)));
    assert_eq!(json[0]["deadline_timestamp"], "2001-09-09T01:46:40.000Z");
}

#[test]
fn a_run_in_progress_is_running() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "exit 1").code(1);
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let child = sandbox.spawn(&mut sandbox.exec_command("--job j --push-start", script));
    let outcome = || sandbox.run("status --output json").json()[0]["outcome"].clone();
    crate::common::eventually("it is running", || outcome() == "running");
    sandbox
        .run("status")
        .code(0)
        .out("  running  ")
        .out("\n1 group\n");
    sandbox.write("end", "");
    crate::common::finished(child).code(0);
    assert_eq!(outcome(), "success");
}

#[test]
fn nothing_that_was_pushed_steers_the_terminal() {
    let sandbox = Sandbox::new();
    let push = sandbox
        .command(["push", "--job", "a\x1b[2J", "-g", "l=\x07\n"])
        .output()
        .unwrap();
    assert!(push.status.success());
    let status = sandbox.run("status");
    status.code(0).out("a\\u{1b}[2J  l=\\u{7}\\n");
}

#[test]
fn asking_makes_no_state() {
    let sandbox = Sandbox::new();
    let status = sandbox.run("status");
    status.code(0).out(&format!(
        "no groups at the embedded gateway ({})",
        sandbox.state_db().display()
    ));
    assert_eq!(
        sandbox.run("status --output json").json(),
        serde_json::json!([])
    );
    assert!(!sandbox.path().join(".local").exists());
}
