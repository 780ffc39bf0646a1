//! PUT and POST: what a push leaves of its group.

use crate::common::TestGateway;

on_each_gateway!(
    post_keeps_the_last_success_of_an_earlier_run,
    put_drops_the_last_success_of_an_earlier_run,
    post_replaces_whole_families_of_the_same_name,
    put_leaves_other_groups_alone,
    an_empty_post_changes_only_the_push_time,
    an_empty_put_empties_the_group,
    the_flag_overrides_the_job_file,
);

const DB: &str = r#"db="customers""#;

fn succeed_then_fail(gateway: &TestGateway, method: &str) {
    let line = format!("run backup -g db=customers --set duration=0s --method {method}");
    gateway.run(&line).code(0);
    assert!(
        gateway
            .backup("last_success_timestamp_seconds", DB)
            .is_some()
    );
    gateway.run(&format!("{line} --set failure-rate=1")).code(1);
    assert_eq!(gateway.backup("success", DB), Some(0.0));
    assert_eq!(gateway.backup("exit_code", DB), Some(1.0));
}

fn post_keeps_the_last_success_of_an_earlier_run(gateway: &TestGateway) {
    succeed_then_fail(gateway, "post");
    let success = gateway
        .backup("last_success_timestamp_seconds", DB)
        .unwrap();
    let completion = gateway
        .backup("last_completion_timestamp_seconds", DB)
        .unwrap();
    assert!(success < completion);
}

fn put_drops_the_last_success_of_an_earlier_run(gateway: &TestGateway) {
    succeed_then_fail(gateway, "put");
    assert_eq!(gateway.backup("last_success_timestamp_seconds", DB), None);
    assert!(
        gateway
            .backup("last_completion_timestamp_seconds", DB)
            .is_some()
    );
}

/// The series of the job `j` without push times, as `name{own labels} value`.
fn shown(gateway: &TestGateway) -> Vec<String> {
    let samples = gateway.samples().into_iter();
    samples
        .filter(|(series, _)| !series.starts_with("push_"))
        .map(|(series, value)| format!("{} {value}", series.replace(r#"instance="",job="j","#, "")))
        .collect()
}

fn post_replaces_whole_families_of_the_same_name(gateway: &TestGateway) {
    gateway
        .push("--job j", "a{l=\"1\"} 1\na{l=\"2\"} 2\nb{l=\"1\"} 3\n")
        .code(0);
    gateway
        .push("--job j --method post", "a{l=\"3\"} 4\n")
        .code(0);
    assert_eq!(shown(gateway), [r#"a{l="3"} 4"#, r#"b{l="1"} 3"#]);
}

fn put_leaves_other_groups_alone(gateway: &TestGateway) {
    gateway.push("--job j", "a{l=\"1\"} 1\n").code(0);
    gateway.push("--job j -g z=1", "a{l=\"1\"} 1\n").code(0);
    gateway
        .push("--job j --method put", "b{l=\"1\"} 2\n")
        .code(0);
    assert_eq!(shown(gateway), [r#"a{l="1",z="1"} 1"#, r#"b{l="1"} 2"#]);
}

fn push_times(gateway: &TestGateway) -> (f64, f64) {
    let time = |name: &str| gateway.value("j", name).unwrap();
    (time("push_time_seconds"), time("push_failure_time_seconds"))
}

fn an_empty_post_changes_only_the_push_time(gateway: &TestGateway) {
    gateway.push("--job j", "a{l=\"1\"} 1\n").code(0);
    let before = push_times(gateway);
    gateway
        .push("--job j", "")
        .code(0)
        .err("stdin holds no metrics, so only the push time");
    let after = push_times(gateway);
    assert!(after.0 > before.0);
    assert_eq!((before.1, after.1), (0.0, 0.0));
    assert_eq!(shown(gateway), [r#"a{l="1"} 1"#]);
}

fn an_empty_put_empties_the_group(gateway: &TestGateway) {
    gateway.push("--job j", "a{l=\"1\"} 1\n").code(0);
    gateway
        .push("--job j --method put", "")
        .code(0)
        .err("so the group will be empty");
    assert!(shown(gateway).is_empty());
    assert!(push_times(gateway).0 > 0.0);
}

fn the_flag_overrides_the_job_file(gateway: &TestGateway) {
    gateway.push("--job my_batch_job", "old 1\n").code(0);
    let old = || gateway.value("my_batch_job", "old").is_some();
    gateway
        .run("run random --set interval=0s --method post")
        .code(0);
    assert!(old());
    gateway.run("run random --set interval=0s").code(0);
    assert!(!old());
}
