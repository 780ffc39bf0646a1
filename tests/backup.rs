//! `run backup`, simulated: what a person sees, and what stands in the gateway.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{Sandbox, TestGateway};

on_each_gateway!(
    a_successful_run_is_reported,
    a_failed_run_is_reported,
    parameters_are_used,
);

const DB: &str = r#"db="customers""#;

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

fn a_successful_run_is_reported(gateway: &TestGateway) {
    let before = now();
    let run = gateway.run("run backup --grouping db=customers");
    run.code(0)
        .out("backup: success in ")
        .out("db_backup_records_processed 42");
    let value = |metric| {
        gateway
            .backup(metric, DB)
            .unwrap_or_else(|| panic!("no {metric}"))
    };
    assert_eq!(value("records_processed"), 42.0);
    assert_eq!(value("success"), 1.0);
    assert_eq!(value("exit_code"), 0.0);
    assert_eq!(value("attempts"), 1.0);
    let duration = value("duration_seconds");
    assert!((0.5..5.0).contains(&duration), "{duration}");
    let (start, end) = (
        value("start_timestamp_seconds"),
        value("last_completion_timestamp_seconds"),
    );
    assert!(before <= start && start + 0.4 < end && end <= now());
    assert_eq!(value("last_success_timestamp_seconds"), end);
    assert!(value("max_rss_bytes") > 1e6);
    assert!((0.0..5.0).contains(&value("cpu_user_seconds")));
    assert!((0.0..5.0).contains(&value("cpu_system_seconds")));
}

fn a_failed_run_is_reported(gateway: &TestGateway) {
    let run = gateway
        .run("run backup -g db=customers --set duration=10ms --set failure-rate=1 --set seed=1");
    run.code(1)
        .out("backup: failure (exit code 1) in ")
        .err("error: backup: simulated failure after ")
        .err("of 42 records (failure-rate 1, seed 1)");
    assert_eq!(gateway.backup("success", DB), Some(0.0));
    assert_eq!(gateway.backup("exit_code", DB), Some(1.0));
    assert_eq!(gateway.backup("last_success_timestamp_seconds", DB), None);
    assert!(
        gateway
            .backup("last_completion_timestamp_seconds", DB)
            .is_some()
    );
    assert!(gateway.backup("records_processed", DB).unwrap() < 42.0);
}

fn parameters_are_used(gateway: &TestGateway) {
    gateway
        .run("run backup --set records=7 --set duration=0s")
        .code(0);
    assert_eq!(gateway.backup("records_processed", ""), Some(7.0));
}

#[test]
fn without_any_set_up_it_goes_to_the_embedded_gateway() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("run backup -g db=customers --set duration=0s");
    run.code(0)
        .out("reported by POST to the embedded gateway (")
        .out(r#"state.db), group {job="db_backup",db="customers"}"#)
        .out("show it with: metricsjob status\n");
    assert!(sandbox.state_db().is_file());
    sandbox
        .run("status --gateway embedded")
        .code(0)
        .out("db=customers");
}

#[test]
fn the_failure_rate_and_the_seed_decide() {
    let sandbox = Sandbox::new();
    let code = |seed: u32| {
        let line = format!(
            "run backup --quiet --set duration=0s --set failure-rate=0.5 --set seed={seed}"
        );
        let output = sandbox.command(line.split(' ')).output().unwrap();
        output.status.code().unwrap()
    };
    let codes: Vec<i32> = (0..20).map(code).collect();
    assert!(codes.contains(&0) && codes.contains(&1), "{codes:?}");
    assert_eq!(codes, (0..20).map(code).collect::<Vec<_>>());
}

#[test]
fn bad_parameters_are_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    for (set, message) in [
        (
            "records=many",
            r#"--set records "many" is not a whole number from 0"#,
        ),
        ("records=-1", r#"--set records "-1" is not a whole number"#),
        (
            "duration=soon",
            r#"--set duration "soon" is not a duration"#,
        ),
        ("duration=5", "needs a unit: "),
        (
            "failure-rate=1.1",
            r#"--set failure-rate "1.1" is not a probability"#,
        ),
        ("failure-rate=NaN", "is not a probability"),
        ("seed=", "is not a whole number"),
        (
            "record=1",
            r#"--set record: the built-in backup has no such parameter (did you mean "records"?)"#,
        ),
        (
            "source=a.db",
            r#"--set source needs the parameter "dest" beside it"#,
        ),
        (
            "dest=a.db",
            r#"--set dest needs the parameter "source" beside it"#,
        ),
        ("dest=", r#"--set dest "" is not a path"#),
        ("records", "it has no =, the form is NAME=VALUE"),
        ("=1", "there is no name before the ="),
    ] {
        sandbox
            .run(&format!("run backup --set {set}"))
            .code(2)
            .err(message);
    }
    assert!(!sandbox.state_db().exists());
}

#[test]
fn a_long_simulation_ends_when_it_is_told() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    sandbox.run("run backup --set duration=1s").code(0);
    assert!(start.elapsed() >= Duration::from_secs(1));
}
