//! `--push-start` and `--push-interval`: reports while a run goes on.

use std::process::Child;

use nix::sys::signal::Signal;

use crate::common::{FakeServer, Sandbox, TestGateway, US, eventually, finished, send};

on_each_gateway!(
    the_start_is_reported,
    a_long_run_is_reported_while_it_goes_on,
    a_signal_is_followed_by_the_final_report,
);

fn start(gateway: &TestGateway, options: &str, script: &str) -> Child {
    let sandbox = &gateway.sandbox;
    sandbox.spawn(&mut sandbox.exec_command(&format!("--job live {options}"), script))
}

fn value(gateway: &TestGateway, metric: &str) -> Option<f64> {
    gateway.value("live", metric)
}

fn the_start_is_reported(gateway: &TestGateway) {
    // What an earlier run reported stays until this one's end, even with put.
    gateway.run("exec --job live -- true").code(0);
    let before = value(gateway, "batch_job_start_timestamp_seconds").unwrap();
    let child = start(
        gateway,
        "--push-start --method put",
        "while ! [ -e end ]; do sleep 0.01; done",
    );
    eventually("the start", || {
        value(gateway, "batch_job_running") == Some(1.0)
    });
    assert!(value(gateway, "batch_job_start_timestamp_seconds").unwrap() > before);
    assert!(value(gateway, "batch_job_last_success_timestamp_seconds").unwrap() > before);
    gateway.write("end", "");
    finished(child).code(0).quiet();
    assert_eq!(value(gateway, "batch_job_running"), Some(0.0));
    // Without them there is nothing to take back.
    gateway.run("exec --job live --method put -- true").code(0);
    assert_eq!(value(gateway, "batch_job_running"), None);
}

fn a_long_run_is_reported_while_it_goes_on(gateway: &TestGateway) {
    let script = format!(
        "{US} metric inc steps_total; while ! [ -e more ]; do sleep 0.01; done
         {US} metric inc steps_total; while ! [ -e end ]; do sleep 0.01; done"
    );
    let child = start(gateway, "--push-interval 50ms", &script);
    eventually("the first step", || {
        value(gateway, "steps_total") == Some(1.0)
    });
    assert_eq!(value(gateway, "batch_job_running"), Some(1.0));
    assert_eq!(value(gateway, "batch_job_duration_seconds"), None);
    gateway.write("more", "");
    eventually("the second step", || {
        value(gateway, "steps_total") == Some(2.0)
    });
    gateway.write("end", "");
    finished(child).code(0).quiet();
    assert_eq!(value(gateway, "batch_job_running"), Some(0.0));
    assert_eq!(value(gateway, "steps_total"), Some(2.0));
}

fn a_signal_is_followed_by_the_final_report(gateway: &TestGateway) {
    let child = start(
        gateway,
        "--push-start --push-interval 50ms",
        "exec sleep 100",
    );
    eventually("the start", || {
        value(gateway, "batch_job_running") == Some(1.0)
    });
    send(child.id(), Signal::SIGTERM);
    finished(child).code(143);
    assert_eq!(value(gateway, "batch_job_running"), Some(0.0));
    assert_eq!(value(gateway, "batch_job_exit_code"), Some(143.0));
}

#[test]
fn built_ins_are_reported_too() {
    let gateway = TestGateway::embedded();
    let sandbox = &gateway.sandbox;
    let line = "run random --set interval=20ms --set iterations=1000 --push-interval 50ms";
    let child = sandbox.spawn(&mut sandbox.command(line.split(' ')));
    let count = || sandbox.value("my_batch_job", "batch_count_total");
    eventually("some iterations", || {
        count().is_some_and(|count| count >= 3.0)
    });
    assert_eq!(sandbox.value("my_batch_job", "batch_running"), Some(1.0));
    send(child.id(), Signal::SIGTERM);
    finished(child).code(143);
    assert_eq!(sandbox.value("my_batch_job", "batch_running"), Some(0.0));
}

/// A gateway that does not answer holds up neither the command nor its signals, and only the final
/// report is worth keeping.
#[test]
fn a_dead_gateway_does_not_disturb_the_run() {
    let server = FakeServer::hanging();
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let options =
        "--push-start --push-interval 10ms --push-timeout 300ms --timeout 1s --output json";
    let run = sandbox.exec(options, "trap 'exit 0' TERM; while :; do sleep 0.01; done");
    let duration = run.code(124).result()["duration_seconds"].as_f64().unwrap();
    assert!(duration < 5.0, "{duration}");
    run.err("a report during the run was not delivered: ");
    assert_eq!(sandbox.outbox_len(), 1);
}

#[test]
fn the_requests_are_post_but_for_the_last() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let options = "--job live --method put --push-start --push-interval 100ms";
    sandbox.exec(options, "sleep 0.35").code(0).quiet();
    let requests = server.requests();
    let (last, before) = requests.split_last().unwrap();
    assert!(before.len() >= 2);
    for request in before {
        assert_eq!(request.line, "POST /metrics/job/live HTTP/1.1");
        assert!(request.body.contains("batch_job_running 1\n"));
    }
    assert_eq!(last.line, "PUT /metrics/job/live HTTP/1.1");
    assert!(last.body.contains("batch_job_running 0\n"));
}
