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
        "LAST PUSH",
        "LAST SUCCESS",
        "DURATION",
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
        lines[1].starts_with("db_backup  db=customers zone=z  "),
        "{lines:?}"
    );
    // Within a second, or a little later on a busy machine: once for the push, once for the success.
    let ages = lines[1].matches("just now").count() + lines[1].matches(" ago ").count();
    assert_eq!(ages, 2, "{lines:?}");
    assert!(lines[1].ends_with("  12"), "{lines:?}");
    let other: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(
        (other[0], &other[other.len() - 3..]),
        ("other", &["-", "-", "1"][..]),
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
        .out(" (a later one was refused)");
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

    let backup = &status["groups"][0];
    assert_eq!(backup["job"], "db_backup");
    assert!(backup["last_success_timestamp_seconds"].as_f64().unwrap() > 1.7e9);
    assert!(backup["duration_seconds"].as_f64().unwrap() < 5.0);
    let group = &status["groups"][1];
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
        sandbox.run("status --output json").json()["groups"],
        serde_json::json!([])
    );
    assert!(!sandbox.path().join(".local").exists());
}
