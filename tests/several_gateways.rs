//! Several gateways: each gets every report, whatever becomes of the others.

use std::time::{Duration, Instant};

use crate::common::{FakeServer, Sandbox};

#[test]
fn each_gets_the_report() {
    let (a, b) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = Sandbox::new();
    let options = format!(
        "--job j --gateway {} --gateway {} --gateway embedded",
        a.url(),
        b.url()
    );
    sandbox.exec(&options, "true").code(0).quiet();
    assert_eq!(a.requests()[0].body, b.requests()[0].body);
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(1.0));
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn the_variable_has_blanks_between_them() {
    let (a, b) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", format!("{} {}", a.url(), b.url()));
    let pushed = sandbox.run_with_input("push --job j --output json", "m 1\n");
    let deliveries = &pushed.code(0).json()["deliveries"];
    assert_eq!(deliveries[1]["gateway"], b.url());
    assert_eq!((a.requests().len(), b.requests().len()), (1, 1));
    // What is about one gateway has to be told which.
    sandbox.run("status").code(2).err("name it with --gateway");
    sandbox.run("delete --job j").code(0);
    assert_eq!((a.requests().len(), b.requests().len()), (2, 2));
}

#[test]
fn one_that_fails_harms_no_other() {
    let (good, hanging) = (FakeServer::status("200 OK", ""), FakeServer::hanging());
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let options = format!(
        "--job j --gateway {} --gateway 127.0.0.1:1 --gateway {} --push-timeout 300ms",
        hanging.url(),
        good.url()
    );
    let run = sandbox.exec(&options, "exit 3");
    run.code(3)
        .err("did not respond within 300ms")
        .err("connection refused");
    assert_eq!(good.requests().len(), 1);
    let gateways: Vec<_> = sandbox
        .outbox()
        .iter()
        .map(|entry| entry["gateway"].clone())
        .collect();
    assert_eq!(gateways, [hanging.url().as_str(), "http://127.0.0.1:1"]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn one_that_is_named_twice_gets_it_once() {
    let server = FakeServer::status("200 OK", "");
    let options = format!(
        "--gateway {} --gateway http://u:p@{}/",
        server.url(),
        server.address()
    );
    Sandbox::new().exec(&options, "true").code(0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn while_it_goes_on() {
    let (a, b) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let options = format!("--push-start --gateway {} --gateway {}", a.url(), b.url());
    Sandbox::new().exec(&options, "true").code(0);
    assert_eq!((a.requests().len(), b.requests().len()), (2, 2));
}

#[test]
fn blanks_too_many_do_no_harm_and_show_no_secret() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable(
        "METRICSJOB_GATEWAY",
        format!("  {}  embedded ", server.url()),
    );
    sandbox.exec("--job j", "true").code(0);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(1.0));
    let run = sandbox.run_args([
        "exec",
        "--gateway",
        "http://u:hunter22 x@127.0.0.1:1",
        "--",
        "true",
    ]);
    run.code(2)
        .err("gateway \"http://***@127.0.0.1:1\" has commas or blanks in it");
    assert!(!run.stderr().contains("hunter"), "{}", run.stderr());
}
