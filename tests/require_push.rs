//! `--require-push`: a report that is not delivered is a failure of its own.

use crate::common::{FakeServer, Sandbox};

#[test]
fn the_exit_code_tells() {
    let sandbox = Sandbox::new();
    let options = "--require-push --push-retry-window 0s --gateway";
    let down = format!("{options} 127.0.0.1:1");
    sandbox
        .exec(&down, "true")
        .code(69)
        .err("kept as outbox entry");
    sandbox.exec(&down, "exit 3").code(3);
    sandbox
        .exec(&format!("{down} --success-codes 4"), "exit 4")
        .code(69);
    sandbox
        .run(&format!("run backup --set duration=0s {down}"))
        .code(69);
    // One of two is not enough.
    sandbox
        .exec(&format!("{down} --gateway embedded"), "true")
        .code(69);
    sandbox.exec(&format!("{options} embedded"), "true").code(0);
}

#[test]
fn it_is_worth_waiting_for() {
    let server =
        FakeServer::statuses(&["503 Later", "503 Later", "503 Later", "503 Later", "200 OK"]);
    let options = format!("--require-push --gateway {}", server.url());
    Sandbox::new().exec(&options, "true").code(0);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn the_environment_can_ask_for_it() {
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_REQUIRE_PUSH", "1")
        .variable("METRICSJOB_PUSH_RETRY_WINDOW", "0s")
        .variable("METRICSJOB_GATEWAY", "127.0.0.1:1");
    sandbox.exec("", "true").code(69);
}

/// The variable may be set for all jobs, and one of them pushes nothing.
#[test]
fn where_nothing_is_pushed_nothing_is_required() {
    let sandbox = Sandbox::new();
    for option in ["--no-push", "--dry-run"] {
        sandbox
            .exec(&format!("--require-push {option}"), "true")
            .code(0);
    }
}
