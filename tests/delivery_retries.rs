//! A push that fails for a reason that may pass is tried again, for as long as is wanted.

use std::time::{Duration, Instant};

use crate::common::{FakeServer, Finished, Sandbox};

/// How long a machine that is busy may hold anything up.
const SLACK: Duration = Duration::from_secs(5);

fn push(sandbox: &Sandbox, server: &FakeServer, options: &str) -> Finished {
    let gateway = server.url();
    sandbox.run_with_input(
        &format!("push --job j --gateway {gateway} {options}"),
        "m 1\n",
    )
}

#[test]
fn what_may_pass_is_tried_again() {
    for failure in [
        "408 Request Timeout",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
    ] {
        let server = FakeServer::statuses(&[failure, failure, "200 OK"]);
        let sandbox = Sandbox::new();
        let pushed = push(&sandbox, &server, "--push-retry-window 5s");
        assert_eq!(pushed.code(0).stderr(), "", "{failure}");
        assert_eq!((server.requests().len(), sandbox.outbox_len()), (3, 0));
    }
}

#[test]
fn what_does_not_pass_is_tried_once() {
    for failure in [
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "302 Found",
    ] {
        let server = FakeServer::statuses(&[failure, "200 OK"]);
        let sandbox = Sandbox::new();
        push(&sandbox, &server, "--push-retry-window 5s").code(69);
        assert_eq!(
            (server.requests().len(), sandbox.outbox_len()),
            (1, 1),
            "{failure}"
        );
    }
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    // Without an answer, and with half of one.
    let server = FakeServer::answering_in_turn(&[
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
    let sandbox = Sandbox::new();
    push(&sandbox, &server, "--push-retry-window 5s").code(0);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn retry_after_is_kept_to() {
    let server = FakeServer::statuses(&["429 Slow Down\r\nRetry-After: 1", "200 OK"]);
    let start = Instant::now();
    push(&Sandbox::new(), &server, "--push-retry-window 10s").code(0);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 2);

    // Not longer than there is time for.
    let server = FakeServer::statuses(&["503 Later\r\nRetry-After: 3600", "200 OK"]);
    let start = Instant::now();
    push(&Sandbox::new(), &server, "--push-retry-window 10s").code(69);
    assert!(start.elapsed() < SLACK);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_waits_grow() {
    let server = FakeServer::statuses(&["500 No"]);
    push(&Sandbox::new(), &server, "--push-retry-window 400ms").code(69);
    // 5 to 10 ms, then twice as long each time: by the sixth 160 to 320 ms are over.
    let requests = server.requests().len();
    assert!((3..=9).contains(&requests), "{requests}");
}

#[test]
fn the_deadline_bounds_all_of_it() {
    let server = FakeServer::hanging();
    let start = Instant::now();
    let options = "--push-retry-window 1h --push-deadline 300ms";
    let pushed = push(&Sandbox::new(), &server, options);
    pushed
        .code(69)
        .err("did not respond within ")
        .err("ms: raise --push-deadline")
        .err("outbox entry 1");
    assert!(start.elapsed() < SLACK);
}

/// By default no job waits for a gateway that is down: the budget is 50 ms, which scripts/bench measures.
#[test]
fn a_dead_gateway_costs_next_to_nothing() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    for _ in 0..5 {
        sandbox.exec("--gateway 127.0.0.1:1", "exit 3").code(3);
    }
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    assert!(sandbox.outbox()[0]["attempts"].as_i64() >= Some(2));
}

#[test]
fn a_signal_ends_the_retries_and_not_the_report() {
    use crate::common::{eventually, send};
    use nix::sys::signal::Signal;

    let server = FakeServer::statuses(&["500 No"]);
    let sandbox = Sandbox::new();
    let options = format!(
        "--push-retry-window 1h --push-deadline 1h --gateway {}",
        server.url()
    );
    let start = Instant::now();
    let child = sandbox.spawn(&mut sandbox.exec_command(&options, "exit 3"));
    eventually("three attempts", || server.requests().len() > 2);
    send(child.id(), Signal::SIGTERM);
    let finished = crate::common::finished(child);
    finished.code(3).err("kept as outbox entry 1");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn no_time_is_too_long() {
    let server = FakeServer::statuses(&["503 No\r\nRetry-After: 18446744073709551615", "200 OK"]);
    let options = "--push-deadline 10000y --push-retry-window 10000y --push-timeout 10000y";
    push(
        &Sandbox::new(),
        &server,
        &format!("{options} --connect-timeout 10000y"),
    )
    .code(69);
    let server = FakeServer::statuses(&["503 No", "200 OK"]);
    push(&Sandbox::new(), &server, options).code(0);
}

/// Ctrl-C, and whatever ends a CI step, while the gateway does not answer: the report is in the outbox.
#[test]
fn a_signal_ends_the_wait_for_an_answer() {
    use crate::common::{eventually, send};
    use nix::sys::signal::Signal;

    let server = FakeServer::hanging();
    let sandbox = Sandbox::new();
    let options = format!(
        "--push-deadline 1h --push-timeout 1h --gateway {}",
        server.url()
    );
    let start = Instant::now();
    let child = sandbox.spawn(&mut sandbox.exec_command(&options, "exit 3"));
    eventually("a request", || !server.requests().is_empty());
    send(child.id(), Signal::SIGTERM);
    let finished = crate::common::finished(child);
    finished
        .code(3)
        .err("had not responded when this process was asked to end")
        .err("kept as outbox entry 1");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn reports_while_it_goes_on_are_brief() {
    let server = FakeServer::hanging();
    let start = Instant::now();
    let options = format!(
        "--push-start --push-timeout 300ms --gateway {}",
        server.url()
    );
    Sandbox::new().exec(&options, "exit 3").code(3);
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
}
