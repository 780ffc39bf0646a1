//! Timeouts: SIGTERM to all processes of the command, then SIGKILL.

use std::time::{Duration, Instant};

use crate::common::{Sandbox, TestGateway, eventually, is_alive};

on_each_gateway!(a_timeout_is_an_outcome);

fn a_timeout_is_an_outcome(gateway: &TestGateway) {
    gateway
        .run("exec --job slow --timeout 100ms -- sleep 100")
        .code(124)
        .err("error: slow: timeout in ")
        .err("it took longer than 100ms");
    let value = |series: &str| gateway.value("slow", series);
    assert_eq!(value("batch_job_exit_code"), Some(124.0));
    assert_eq!(value("batch_job_success"), Some(0.0));
    let timeouts = r#"batch_job_runs_total{outcome="timeout"}"#;
    assert_eq!(value(timeouts), Some(1.0));
}

fn pids(sandbox: &Sandbox, count: usize) -> Vec<u32> {
    let path = sandbox.path().join("pids");
    let text = std::fs::read_to_string(path).unwrap();
    let pids: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), count, "{text}");
    pids
}

#[test]
fn those_that_ignore_sigterm_are_killed_with_their_grandchildren() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM
        sh -c 'echo $$ >>pids; sh -c \"echo \\$\\$ >>pids; while :; do sleep 1; done\" & while :; do sleep 1; done' &
        echo $$ >>pids
        while :; do sleep 1; done";
    let start = Instant::now();
    let options = "--timeout 500ms --kill-after 300ms --output json";
    let run = sandbox.exec(options, script);
    let json = run.code(124).result();
    assert_eq!(json["outcome"], "timeout");
    assert_eq!(
        json["failure"],
        "it took longer than 500ms and had to be killed"
    );
    assert!(start.elapsed() >= Duration::from_millis(800));
    for pid in pids(&sandbox, 3) {
        eventually("it is dead", || !is_alive(pid));
    }
}

/// The first process ends at SIGTERM; what it leaves behind does not, and is killed too.
#[test]
fn a_grandchild_that_outlives_its_parent_is_killed() {
    let sandbox = Sandbox::new();
    let script = "sh -c 'trap \"\" TERM; echo $$ >>pids; while :; do sleep 1; done' &
        sleep 100 & wait";
    let run = sandbox.exec("--timeout 300ms --kill-after 300ms --output json", script);
    assert_eq!(
        run.code(124).result()["failure"],
        "it took longer than 300ms and had to be killed"
    );
    for pid in pids(&sandbox, 1) {
        eventually("it is dead", || !is_alive(pid));
    }
}

#[test]
fn who_ends_in_time_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let run = sandbox.exec("--timeout 200ms --kill-after 1h", "sleep 100 & sleep 100");
    run.code(124);
    assert!(start.elapsed() < Duration::from_secs(20));
    sandbox.exec("--timeout 1h", "exit 5").code(5);
    // A clock that cannot count so far never comes there.
    sandbox
        .exec("--timeout 500000000000years", "exit 5")
        .code(5);
}

#[test]
fn handling_sigterm_makes_it_no_success() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec(
        "--timeout 200ms",
        "trap 'exit 0' TERM; while :; do sleep 0.01; done",
    );
    run.code(124);
    assert_eq!(sandbox.outcomes(), ["timeout"]);
}

#[test]
fn a_stopped_command_ends_too() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    sandbox
        .exec("--timeout 200ms --kill-after 1h", "kill -STOP $$")
        .code(124);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn each_attempt_has_its_own() {
    let sandbox = Sandbox::new();
    let options = "--timeout 200ms --retries 1 --backoff 1ms --output json";
    let run = sandbox.exec(
        options,
        "if [ -e second ]; then exit 0; fi; touch second; sleep 100",
    );
    let json = run.code(0).result();
    assert_eq!(
        (&json["outcome"], &json["attempts"]),
        (&"success".into(), &2.into())
    );
}

/// A reader that has stalled holds up the command, but not its timeout.
#[test]
fn a_stalled_reader_is_no_obstacle() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.exec_command("--quiet --tail 1 --timeout 300ms", "yes >&2");
    let start = Instant::now();
    // Nobody reads what it writes.
    let mut child = sandbox.spawn(&mut command);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(124));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn built_ins_have_one_too() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("run backup --set duration=1h --timeout 100ms");
    run.code(124)
        .out("backup: timeout in ")
        .err("error: backup: it took longer than 100ms");
    assert_eq!(sandbox.outcomes(), ["timeout"]);
}
