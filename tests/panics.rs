//! A panic is a bug of ours, and takes along no more than the work that it struck. `METRICSJOB_PANIC_AT` asks the
//! program for one, once.

use crate::common::own_gateway::{OwnGateway, gateway_command};
use crate::common::own_server::{GATE, OwnServer, close, job, open, server_command};
use serde_json::json;

use crate::common::{FakeServer, Sandbox, eventually};

const AT: &str = "METRICSJOB_PANIC_AT";

fn gateway(dir: &std::path::Path, place: &str) -> OwnGateway {
    let mut command = gateway_command(dir, &[]);
    command.env(AT, place);
    OwnGateway::start_command(command)
}

/// A server that runs `runs`, which goes on until [`open`], and `tick` each second.
fn server(sandbox: &Sandbox, place: &str, options: &str) -> OwnServer {
    close(sandbox);
    job(sandbox, "runs", "", GATE);
    job(sandbox, "tick", "schedule = '* * * * * *'", "true");
    let mut command = server_command(sandbox, options);
    command.env(AT, place);
    OwnServer::start_command(command)
}

/// It says what has happened, in a line of its log.
fn tells(log: &str, place: &str) {
    let message = format!("METRICSJOB_PANIC_AT asks for a panic at {place}");
    assert!(log.contains(&message), "{log}");
    let line = log.lines().find(|line| line.contains(&message)).unwrap();
    assert!(line.starts_with("ts="), "{line}");
}

#[test]
fn a_gateways_answer() {
    for (place, path) in [("scrape", "/metrics"), ("page", "/")] {
        let dir = tempfile::tempdir().unwrap();
        let gateway = gateway(dir.path(), place);
        gateway.put("/metrics/job/a", "m 1\n");
        assert_eq!(gateway.get(path).0, 500, "{place}");
        assert_eq!(gateway.get(path).0, 200);
        gateway.put("/metrics/job/a", "m 2\n");
        tells(&gateway.log(), place);
    }
}

/// 64 jobs go on meanwhile, and are reported.
#[test]
fn a_servers_answer_ends_no_run() {
    for (place, path) in [
        ("scrape", "/metrics"),
        ("page", "/"),
        ("handler", "/-/healthy"),
    ] {
        let sandbox = Sandbox::new();
        let server = server(&sandbox, place, "--log-window 1h");
        job(&sandbox, "many", "overlap = 'allow'", GATE);
        server.reload();
        let ids: Vec<String> = (0..63).map(|_| server.ask("many")).collect();
        server.run_once(ids.last().unwrap(), "running");
        assert_eq!(server.get(path).status, 500, "{place}");
        assert_eq!(server.get(path).status, 200, "{place}");
        server.run_once(&ids[0], "running");
        open(&sandbox);
        for id in &ids {
            let run = server.run_once(id, "finished");
            assert_eq!(run["outcome"], "success");
        }
        tells(&server.end(), place);
    }
}

/// Groups in memory may be half changed; those that were answered for are on the disk.
#[test]
fn the_gateways_writer_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = OwnGateway::start(dir.path(), &[]);
    first.put("/metrics/job/a", "m 1\n");
    assert_eq!(first.terminate(), Some(0));
    let mut second = gateway(dir.path(), "writer");
    let (status, _) = second.request("PUT", "/metrics/job/b", &[], "m 2\n");
    assert_eq!(status, 503);
    assert_eq!(second.wait(), Some(1));
    tells(&second.log(), "writer");
    let third = OwnGateway::start(dir.path(), &[]);
    let samples = third.samples("m{");
    assert_eq!(samples.into_values().collect::<Vec<_>>(), [1.0]);
}

#[test]
fn threads_of_a_server_are_started_again() {
    for place in ["scheduler", "delivery", "accept"] {
        let sandbox = Sandbox::new();
        let receiver = FakeServer::status("200 OK", "");
        let options = format!("--log-window 1h --gateway {}", receiver.url());
        let server = server(&sandbox, place, &options);
        if place == "accept" {
            // Of this connection nothing is heard; the next one is served.
            let stream = server.connect();
            server.logs("panic at accept");
            drop(stream);
        }
        server.eventually_runs("tick", "success", 2);
        eventually("a report", || !receiver.requests().is_empty());
        open(&sandbox);
        tells(&server.end(), place);
    }
}

/// A run that is struck has failed, and that is recorded and reported; its slot is free again.
#[test]
fn a_run_of_a_server_fails() {
    for place in ["run", "conclude"] {
        let sandbox = Sandbox::new();
        job(&sandbox, "j", "", "true");
        let mut command = server_command(&sandbox, "--concurrency 1");
        command.env(AT, place);
        let server = OwnServer::start_command(command);
        let id = server.ask("j");
        let run = server.run_once(&id, "finished");
        assert_eq!(
            (&run["outcome"], &run["exit_code"]),
            (&json!("failure"), &json!(70))
        );
        assert_eq!(server.run("j")["outcome"], "success");
        tells(&server.end(), place);
        let expected: &[&str] = match place {
            "run" => &["failure", "success"],
            _ => &["success"],
        };
        assert_eq!(sandbox.outcomes(), expected);
    }
}

#[test]
fn a_run_of_the_command_line_fails_and_is_reported() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable(AT, "run");
    let run = sandbox.exec(&format!("--job j --gateway {}", server.url()), "touch ran");
    run.code(70).err("internal error: ").err("panicked at ");
    assert!(server.requests()[0].body.contains("batch_job_success 0"));
    let history = sandbox.history();
    assert_eq!(history[0]["outcome"], "failure");
    assert_eq!(history[0]["exit_code"], 70);
}

/// The reports while it went on end with it: nothing waits for them for ever.
#[test]
fn a_run_that_reports_while_it_goes_on_ends_too() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable(AT, "run");
    let options = format!("--job j --push-interval 50ms --gateway {}", server.url());
    sandbox
        .exec(&options, "true")
        .code(70)
        .err("internal error: ");
    let last = server.requests().pop().unwrap();
    assert!(last.body.contains("batch_job_success 0"), "{}", last.body);
}

/// Trouble with its report changes no job's exit code, and loses nothing.
#[test]
fn what_strikes_the_delivery_leaves_the_exit_code() {
    for place in ["courier", "live"] {
        let server = FakeServer::status("200 OK", "");
        let sandbox = Sandbox::new().variable(AT, place);
        let options = format!("--job j --push-start --gateway {}", server.url());
        let run = sandbox.exec(&options, "sleep 0.2; exit 3");
        run.code(3).err("internal error: ");
        let sandbox = sandbox.variable(AT, "");
        sandbox.exec(&options, "exit 0").code(0);
        assert_eq!((sandbox.outcomes().len(), sandbox.outbox_len()), (2, 0));
    }
}

/// A reader of the output holds up neither the output nor the command.
#[test]
fn what_strikes_a_reader_of_the_output() {
    let sandbox = Sandbox::new().variable(AT, "watch");
    let script = "for i in $(seq 20000); do echo line $i; done >&2; exit 3";
    let run = sandbox.exec("--job j --tail 1", script);
    run.code(3).err("line 1\n").err("line 20000\n");
    run.err("internal error: ")
        .err("the rest of stderr is not read");
}

/// Both of several gateways are served apart.
#[test]
fn one_of_several_gateways() {
    let (one, other) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = Sandbox::new().variable(AT, "courier");
    let options = format!("--job j --gateway {} --gateway {}", one.url(), other.url());
    let run = sandbox.exec(&options, "exit 3");
    run.code(3)
        .err("internal error: ")
        .err("kept as outbox entry");
    assert_eq!(one.requests().len() + other.requests().len(), 1);
    assert_eq!(sandbox.outbox_len(), 1);
}

/// A transaction that is struck is rolled back before its connection is used again.
#[test]
fn a_transaction_is_rolled_back() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", "true");
    sandbox.run("run j").code(0);
    let mut command = server_command(&sandbox, "");
    command.env(AT, "transaction");
    let server = OwnServer::start_command(command);
    for _ in 0..3 {
        server.run("j");
    }
    let log = server.end();
    tells(&log, "transaction");
    // The struck one may be that of a run, which is lost, or another one.
    let outcomes = sandbox.outcomes();
    assert!((3..=4).contains(&outcomes.len()), "{outcomes:?}\n{log}");
    sandbox.run("run j --quiet").code(0).quiet();
}
