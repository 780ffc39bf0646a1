//! `serve --gateway-listen`: the embedded gateway in the same process.

use std::io;

use nix::sys::signal::Signal;

use super::common::http::exchange;
use super::common::own_server::{GATE, OwnServer, close, job, open, server_command};
use super::common::{PATIENCE, Sandbox, eventually, send};

const LISTEN: &str = "--gateway-listen=127.0.0.1:0";

/// HOST:PORT of the gateway.
fn gateway(server: &OwnServer) -> String {
    let log = server.log();
    let served = "msg=\"the embedded gateway is served too\" address=";
    let (_, rest) = log.split_once(served).unwrap();
    rest.lines().next().unwrap().to_owned()
}

fn request(address: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let answer = exchange(PATIENCE, address, method, path, &[], body.as_bytes())?;
    Ok((answer.status, answer.body))
}

fn metrics(address: &str) -> String {
    let (status, text) = request(address, "GET", "/metrics", "").unwrap();
    assert_eq!(status, 200, "{text}");
    text
}

/// Starts it where the gateway's line is logged before that of the server itself.
fn start(sandbox: &Sandbox) -> (OwnServer, String) {
    let server = OwnServer::start(sandbox, LISTEN);
    server.logs("msg=\"job files are loaded\"");
    let address = gateway(&server);
    (server, address)
}

#[test]
fn reports_of_all_runs_are_there() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "grouping = { db = 'x' }", "exit 3");
    let (server, gateway) = start(&sandbox);
    let exposed = |line: &str| metrics(&gateway).lines().any(|shown| shown == line);
    let own = server_address(&server, &gateway);
    let (status, answer) = request(&own, "POST", "/api/v1/jobs/j/runs", "").unwrap();
    assert_eq!(status, 202, "{answer}");
    eventually("the report is there", || {
        exposed("batch_job_exit_code{db=\"x\",instance=\"\",job=\"j\"} 3")
    });
    // Runs of others on this machine find it by the state directory, and clients by its address.
    sandbox.run("exec --job other -- true").code(0);
    assert!(exposed(
        "batch_job_exit_code{instance=\"\",job=\"other\"} 0"
    ));
    let (status, text) = request(&gateway, "PUT", "/metrics/job/pushed", "x 1\n").unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(exposed("x{instance=\"\",job=\"pushed\"} 1"));
}

#[test]
fn the_last_report_is_kept_at_the_end() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", GATE);
    close(&sandbox);
    let (server, gateway) = start(&sandbox);
    let own = server_address(&server, &gateway);
    let (status, answer) = request(&own, "POST", "/api/v1/jobs/j/runs", "").unwrap();
    assert_eq!(status, 202, "{answer}");
    let running = "batch_job_running{job=\"j\",job_name=\"j\"} 1";
    eventually("it runs", || metrics(&own).contains(running));
    send(server.pid(), Signal::SIGTERM);
    server.logs("reason=SIGTERM");
    // The gateway goes on until the last report is there.
    assert!(!metrics(&gateway).contains("job=\"j\""));
    open(&sandbox);
    let log = server.ended();
    assert!(log.contains("the gateway has ended"), "{log}");
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(1.0));
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn what_is_in_its_way_is_told() {
    let sandbox = Sandbox::new();
    let (server, gateway) = start(&sandbox);
    let refused = |options: &str| {
        let output = server_command(&sandbox, options).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused(LISTEN);
    assert!(
        error.contains("another gateway serves the state directory"),
        "{error}"
    );
    let error = refused(&format!("--state-dir other --gateway-listen={gateway}"));
    let expected = format!(
        "error: could not listen on {gateway}: address already in use by another process \
         (choose another address with --gateway-listen)\n"
    );
    assert_eq!(error, expected);
    drop(server);
}

/// HOST:PORT of the server itself, which is the other one that is listened on.
fn server_address(server: &OwnServer, gateway: &str) -> String {
    let mut found = None;
    eventually("both listen", || {
        let log = server.log();
        let addresses = log
            .split("msg=\"Listening on\" address=")
            .skip(1)
            .filter_map(|rest| rest.lines().next());
        let other = addresses.filter(|address| *address != gateway).last();
        found = other.map(str::to_owned);
        found.is_some()
    });
    found.unwrap()
}

/// To run jobs whose reports go nowhere would be of little use: it ends, as by SIGTERM, but as a failure.
#[test]
fn its_loss_ends_the_server_in_order() {
    let sandbox = Sandbox::new().variable("METRICSJOB_PANIC_AT", "writer");
    job(&sandbox, "j", "", GATE);
    close(&sandbox);
    let (server, gateway) = start(&sandbox);
    let own = server_address(&server, &gateway);
    let (status, answer) = request(&own, "POST", "/api/v1/jobs/j/runs", "").unwrap();
    assert_eq!(status, 202, "{answer}");
    let (status, _) = request(&gateway, "PUT", "/metrics/job/pushed", "x 1\n").unwrap();
    assert_eq!(status, 503);
    server.logs("reason=\"the embedded gateway has ended\"");
    let is_ending = || request(&own, "GET", "/-/ready", "").is_ok_and(|(s, _)| s == 503);
    eventually("it is ending", is_ending);
    open(&sandbox);
    server.logs("error: the embedded gateway has ended (see the log): start the server again");
    assert_eq!(sandbox.outcomes(), ["success"]);
}

/// With the rules of the config file, as `gateway` has them.
#[test]
fn it_sums_by_rules() {
    let sandbox = Sandbox::new();
    let rules = "aggregate = 'job=\"web\" without (instance)'\n";
    sandbox.write(".config/metricsjob/metricsjob.toml", rules);
    let (_server, gateway) = start(&sandbox);
    for (instance, count) in [("a", 3), ("b", 4), ("b", 1)] {
        let path = format!("/metrics/job/web/instance/{instance}");
        let body = format!("# TYPE c_total counter\nc_total {count}\n");
        assert_eq!(request(&gateway, "PUT", &path, &body).unwrap().0, 200);
    }
    let shown = metrics(&gateway);
    assert!(
        shown.contains("\nc_total{instance=\"\",job=\"web\"} 8\n"),
        "{shown}"
    );
}
