//! A metric of the job that its gateway refuses does not take along the runner's own.

use crate::common::own_server::{OwnServer, job};
use crate::common::{FakeServer, Sandbox, TestGateway};

on_each_gateway!(
    the_outcome_arrives,
    put_replaces_the_group_all_the_same,
    order_holds,
);

/// `items` is a gauge of another group, so that the gateway takes no counter of that name.
fn with_a_conflict(gateway: &TestGateway) {
    gateway
        .push("--job other", "# TYPE items gauge\nitems 1\n")
        .code(0);
}

const JOB: &str = "exec --job j --tail 1";

/// A job with metrics, some of which are refused.
fn run(gateway: &TestGateway, options: &str, metrics: &str, code: i32) -> crate::common::Finished {
    let script = format!("printf '{metrics}' >>$METRICSJOB_METRICS; exit {code}");
    let words = JOB.split(' ').chain(options.split_whitespace());
    let script = ["--", "sh", "-c", &script];
    gateway.sandbox.run_args(words.chain(script))
}

fn value(gateway: &TestGateway, name: &str) -> Option<f64> {
    gateway.value("j", name)
}

fn the_outcome_arrives(gateway: &TestGateway) {
    with_a_conflict(gateway);
    let metrics = "a 1\\n# TYPE items counter\\nitems 2\\nz 3\\n";
    let failed = run(gateway, "", metrics, 3);
    failed
        .code(3)
        .err("warning: the metric items is refused, the rest of the report is delivered: ")
        .err("items")
        .err("it is kept as outbox entry ");
    assert_eq!(value(gateway, "batch_job_success"), Some(0.0));
    assert_eq!(value(gateway, "batch_job_exit_code"), Some(3.0));
    assert_eq!(
        (value(gateway, "a"), value(gateway, "z")),
        (Some(1.0), Some(3.0))
    );
    assert_eq!(value(gateway, "items"), None);
    // The last request was one that it takes.
    let time = |name: &str| value(gateway, name).unwrap();
    assert!(time("push_time_seconds") >= time("push_failure_time_seconds"));

    let entries = gateway.sandbox.outbox();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["is_rejected"], true);
    let id = entries[0]["id"].as_i64().unwrap();
    let shown = gateway.run(&format!("outbox show {id} --output json"));
    let families = shown.code(0).json()["families"].as_array().unwrap().clone();
    let names: Vec<_> = families
        .iter()
        .map(|family| family["name"].clone())
        .collect();
    assert_eq!(names, ["items"]);

    // With --require-push that is told; the next run does not send it again.
    run(gateway, "--require-push", metrics, 0).code(69);
    run(gateway, "--require-push", "a 2\\n", 0).code(0).quiet();
    assert_eq!(value(gateway, "a"), Some(2.0));
    assert_eq!(value(gateway, "batch_job_success"), Some(1.0));
    assert_eq!(gateway.sandbox.outbox().len(), 2);
}

fn put_replaces_the_group_all_the_same(gateway: &TestGateway) {
    with_a_conflict(gateway);
    run(gateway, "--method put", "before 1\\n", 0).code(0);
    let metrics = "# TYPE items counter\\nitems 2\\nz 3\\n";
    run(gateway, "--method put", metrics, 0)
        .code(0)
        .err("items is refused");
    assert_eq!(value(gateway, "before"), None);
    assert_eq!(value(gateway, "z"), Some(3.0));
    assert_eq!(value(gateway, "batch_job_success"), Some(1.0));
}

/// Older reports come first, and what is refused of them does not hold up the newer one.
fn order_holds(gateway: &TestGateway) {
    with_a_conflict(gateway);
    let down = "http://127.0.0.1:1";
    let options = format!("--gateway {down} --push-retry-window 0s");
    let metrics = |n: u32| format!("a{n} {n}\\nlast {n}\\n# TYPE items counter\\nitems {n}\\n");
    for n in 1..=3 {
        run(gateway, &options, &metrics(n), n as i32).code(n as i32);
    }
    gateway.sandbox.redirect_outbox(down, &gateway.name());
    run(gateway, "", &metrics(4), 0)
        .code(0)
        .err("items is refused");
    for n in 1..=4 {
        assert_eq!(value(gateway, &format!("a{n}")), Some(f64::from(n)));
    }
    assert_eq!(value(gateway, "last"), Some(4.0));
    assert_eq!(value(gateway, "batch_job_exit_code"), Some(0.0));
    let entries = gateway.sandbox.outbox();
    assert!(entries.iter().all(|entry| entry["is_rejected"] == true));
}

/// A report that is too large at once arrives in parts; nothing is left.
#[test]
fn too_large_a_report_arrives_in_parts() {
    let server = FakeServer::statuses(&["413 Payload Too Large", "200 OK"]);
    let sandbox = Sandbox::new();
    let options = format!("--job j --require-push --gateway {}", server.url());
    let script = "echo 'a 1' >>$METRICSJOB_METRICS";
    sandbox.exec(&options, script).code(0).quiet();
    let requests = server.requests();
    assert_eq!((requests.len(), sandbox.outbox_len()), (3, 0));
    assert!(requests[1].body.contains("batch_job_success 1"));
    assert!(!requests[1].body.contains("\na 1"));
    assert!(
        requests[2].body.ends_with("\na 1\n"),
        "{}",
        requests[2].body
    );
}

/// A gateway that refuses everything is asked a bounded number of times, and never again.
#[test]
fn requests_are_bounded() {
    for status in ["400 Bad Request", "422 Unprocessable Content"] {
        let server = FakeServer::status(status, "no");
        let sandbox = Sandbox::new();
        let options = format!("--job j --gateway {}", server.url());
        let script = "for i in $(seq 100); do echo \"m$i 1\"; done >>$METRICSJOB_METRICS; exit 3";
        let run = sandbox.exec(&options, script);
        run.code(3).err("the report is kept as outbox entry");
        let asked = server.requests().len();
        assert!((2..=32).contains(&asked), "{asked}");
        assert_eq!(sandbox.outbox()[0]["is_rejected"], true);
        let listed = sandbox.run("outbox flush");
        listed.code(0);
        assert_eq!(server.requests().len(), asked);
    }
}

/// Who may not push at all may push no part either.
#[test]
fn other_refusals_are_of_the_whole() {
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        let server = FakeServer::status(status, "no");
        let options = format!("--job j --gateway {}", server.url());
        Sandbox::new().exec(&options, "true").code(0).err(status);
        assert_eq!(server.requests().len(), 1);
    }
}

/// A push is what its user gave: taken or refused as a whole, as at a Pushgateway.
#[test]
fn a_push_is_not_split() {
    let server = FakeServer::status("400 Bad Request", "no");
    let line = format!("push --job j --gateway {}", server.url());
    let sandbox = Sandbox::new();
    sandbox.run_with_input(&line, "a 1\nb 2\n").code(69);
    assert_eq!(server.requests().len(), 1);
}

/// Without a state there is no outbox; the outcome arrives all the same.
#[test]
fn without_state_too() {
    let server = FakeServer::statuses(&["400 Bad Request", "200 OK", "400 Bad Request", "200 OK"]);
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let options = format!("--job j --state-dir file --gateway {}", server.url());
    let run = sandbox.exec(&options, "echo 'a 1' >>$METRICSJOB_METRICS; exit 3");
    run.code(3).err("the metric a is refused").err("it is lost");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[3].body.contains("batch_job_success 0"));
}

/// The log of a server names what was refused.
#[test]
fn a_server_tells_too() {
    let sandbox = Sandbox::new();
    let text = "# TYPE items gauge\nitems 1\n";
    sandbox.run_with_input("push --job other", text).code(0);
    let script = r##"printf "# TYPE items counter\nitems 2\nz 3\n" >>$METRICSJOB_METRICS; exit 3"##;
    job(&sandbox, "j", "", script);
    let server = OwnServer::start(&sandbox, "");
    server.run("j");
    server.logs("the metric items is refused, the rest of the report is delivered: ");
    server.end();
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(0.0));
    assert_eq!(sandbox.value("j", "z"), Some(3.0));
    assert_eq!(sandbox.outbox().len(), 1);
}

/// Any 2xx means that the gateway has it.
#[test]
fn any_success_is_one() {
    for status in ["200 OK", "201 Created", "202 Accepted", "204 No Content"] {
        let server = FakeServer::status(status, "");
        let sandbox = Sandbox::new();
        let options = format!("--require-push --gateway {}", server.url());
        sandbox.exec(&options, "true").code(0).quiet();
        assert_eq!((server.requests().len(), sandbox.outbox_len()), (1, 0));
        let line = format!("delete --job j --gateway {}", server.url());
        sandbox.run(&line).code(0);
    }
}
