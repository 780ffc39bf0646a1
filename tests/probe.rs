//! `run probe`: whether a service answers, and how fast.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::own_server::OwnServer;
use crate::common::{FakeServer, Finished, Sandbox, TestGateway, TlsServer, eventually, finished};

on_each_gateway!(an_old_latency_does_not_stay);

const JOB: &str = include_str!("../jobs/probe.toml");

/// A sandbox that finds the job file which ships with the source.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/probe.toml", JOB);
    sandbox
}

fn probe(sandbox: &Sandbox, endpoint: &str, more: &[&str]) -> Finished {
    let endpoint = format!("endpoint={endpoint}");
    let line = ["run", "probe", "--set", &endpoint, "--set", "service=shop"];
    sandbox.run_args(line.iter().chain(more))
}

/// The value of a series of the service `shop` at this endpoint.
fn value(sandbox: &Sandbox, metric: &str, endpoint: &str) -> Option<f64> {
    let labels = format!(r#"endpoint="{endpoint}",service="shop""#);
    sandbox.value("probe", &format!("external_service_{metric}{{{labels}}}"))
}

#[track_caller]
fn assert_up(sandbox: &Sandbox, endpoint: &str) {
    assert_eq!(value(sandbox, "up", endpoint), Some(1.0));
    let latency = value(sandbox, "latency_seconds", endpoint).unwrap();
    assert!(latency > 0.0 && latency < 5.0, "{latency}");
}

#[track_caller]
fn assert_down(sandbox: &Sandbox, endpoint: &str) {
    assert_eq!(value(sandbox, "up", endpoint), Some(0.0));
    assert_eq!(value(sandbox, "latency_seconds", endpoint), None);
    assert_eq!(sandbox.value("probe", "probe_success"), Some(0.0));
}

/// Where nothing listens.
const CLOSED: &str = "127.0.0.1:1";

#[test]
fn up() {
    let (sandbox, server) = (sandbox(), FakeServer::status("200 OK", "fine"));
    let endpoint = format!("{}/health?full=1", server.url());
    let run = probe(&sandbox, &endpoint, &[]);
    run.code(0).out("probe: success in ");
    assert_up(&sandbox, &endpoint);
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /health?full=1 HTTP/1.1");
    let user_agent = concat!("user-agent: metricsjob/", env!("CARGO_PKG_VERSION")).to_owned();
    assert!(request.headers.contains(&user_agent), "{request:?}");
    let authorization = request
        .headers
        .iter()
        .find(|h| h.starts_with("authorization"));
    assert_eq!(authorization, None);
}

#[test]
fn down() {
    let (sandbox, endpoint) = (sandbox(), format!("http://{CLOSED}/"));
    let error = format!("error: probe: shop at {endpoint} is down: connection refused\n");
    probe(&sandbox, &endpoint, &[])
        .code(1)
        .out("probe: failure (exit code 1) in ")
        .err(&error);
    assert_down(&sandbox, &endpoint);
}

fn an_old_latency_does_not_stay(gateway: &TestGateway) {
    gateway.write("jobs/probe.toml", JOB);
    let latency = || {
        let samples = gateway.samples();
        let mut names = samples.keys();
        names.any(|name| name.starts_with("external_service_latency_seconds{"))
    };
    let server = FakeServer::status("200 OK", "");
    let set = format!("--set endpoint={}", server.url());
    gateway.run(&format!("run probe {set}")).code(0);
    assert!(latency());
    gateway
        .run(&format!("run probe {set} --set status=404"))
        .code(1);
    assert!(!latency());
}

#[test]
fn the_status_decides() {
    for (answer, expected, error) in [
        ("204 No Content", None, None),
        (
            "500 Internal Server Error",
            None,
            Some("it responded with 500 Internal Server Error, and 2xx or 3xx is expected"),
        ),
        (
            "404 Not Found",
            None,
            Some("it responded with 404 Not Found"),
        ),
        ("401 Unauthorized", Some("401"), None),
        ("503 Service Unavailable", Some("5xx"), None),
        ("201 Created", Some("2xx"), None),
        (
            "201 Created",
            Some("200"),
            Some("it responded with 201 Created, and 200 is expected"),
        ),
    ] {
        let (sandbox, server) = (sandbox(), FakeServer::status(answer, ""));
        let endpoint = format!("{}/", server.url());
        let expected = expected.map(|status| format!("status={status}"));
        let more: Vec<&str> = match &expected {
            Some(status) => vec!["--set", status],
            None => vec![],
        };
        let run = probe(&sandbox, &endpoint, &more);
        match error {
            None => {
                run.code(0);
                assert_up(&sandbox, &endpoint);
            }
            Some(error) => {
                run.code(1).err(error);
                assert_down(&sandbox, &endpoint);
            }
        }
    }
}

/// It is there without a job file, but whoever may start jobs over HTTP may not start this one.
#[test]
fn it_is_compiled_in() {
    let (sandbox, target) = (Sandbox::new(), FakeServer::status("200 OK", ""));
    let endpoint = format!("{}/", target.url());
    probe(&sandbox, &endpoint, &[]).code(0);
    assert_up(&sandbox, &endpoint);
    let server = OwnServer::start(&sandbox, "");
    let refusal = server.is_refused(403, "probe");
    assert!(refusal.contains("compiled in"), "{refusal}");
    server.end();
    assert_eq!(target.requests().len(), 1);
}

#[test]
fn a_redirect_is_up_and_not_followed() {
    let server =
        FakeServer::answering("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    let (sandbox, endpoint) = (sandbox(), format!("{}/a", server.url()));
    probe(&sandbox, &endpoint, &[]).code(0);
    assert_up(&sandbox, &endpoint);
    probe(&sandbox, &endpoint, &["--set", "status=2xx"])
        .code(1)
        .err("it responded with 302 Found, and 2xx is expected");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn only_the_headers_are_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        // The body never comes, and the connection stays open.
        sleep(Duration::from_secs(3600));
    });
    let sandbox = sandbox();
    probe(&sandbox, &endpoint, &[]).code(0);
    assert_up(&sandbox, &endpoint);
}

#[test]
fn what_does_not_answer_is_down_in_time() {
    let (sandbox, server) = (sandbox(), FakeServer::hanging());
    let endpoint = format!("{}/", server.url());
    let start = Instant::now();
    probe(&sandbox, &endpoint, &["--set", "timeout=300ms"])
        .code(1)
        .err("is down: no answer within 300ms");
    let elapsed = start.elapsed();
    assert!(
        (Duration::from_millis(300)..Duration::from_secs(5)).contains(&elapsed),
        "{elapsed:?}"
    );
    assert_down(&sandbox, &endpoint);
}

#[test]
fn what_is_no_http_is_down() {
    for answer in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 2"] {
        let (sandbox, server) = (sandbox(), FakeServer::answering(answer));
        let endpoint = format!("{}/", server.url());
        probe(&sandbox, &endpoint, &[]).code(1).err("is down: ");
        assert_down(&sandbox, &endpoint);
    }
}

#[test]
fn tcp() {
    let sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    probe(&sandbox, &endpoint, &[]).code(0);
    assert_up(&sandbox, &endpoint);

    let endpoint = format!("tcp://{CLOSED}");
    probe(&sandbox, &endpoint, &[])
        .code(1)
        .err("shop at tcp://127.0.0.1:1 is down: connection refused");
    assert_down(&sandbox, &endpoint);
}

#[test]
fn a_host_that_does_not_exist_is_down() {
    for endpoint in ["http://nonexistent.invalid/", "tcp://nonexistent.invalid:9"] {
        let sandbox = sandbox();
        probe(&sandbox, endpoint, &[])
            .code(1)
            .err(&format!("shop at {endpoint} is down: "));
        assert_down(&sandbox, endpoint);
    }
}

#[test]
fn https_verifies_certificates() {
    let server = TlsServer::start();
    let endpoint = format!("{}/", server.url());
    let sandbox = sandbox();
    probe(&sandbox, &endpoint, &[])
        .code(1)
        .err("is down: ")
        .err("certificate");
    assert_down(&sandbox, &endpoint);

    // A system that trusts the authority.
    let roots = server.authority(&sandbox).display().to_string();
    let sandbox = sandbox.variable("SSL_CERT_FILE", roots);
    probe(&sandbox, &endpoint, &[]).code(0);
    assert_up(&sandbox, &endpoint);
}

#[test]
fn no_proxy_is_asked() {
    let (proxy, server) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"]
        .into_iter()
        .fold(sandbox(), |sandbox, name| {
            sandbox.variable(name, proxy.url())
        });
    probe(&sandbox, &server.url(), &[]).code(0);
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = FakeServer::status("401 Unauthorized", "");
    let endpoint = format!("http://me:s3cr%40t@{}/", server.address());
    let sandbox = Sandbox::new();
    let file = format!("builtin = 'probe'\nprefix = 'probe'\n[params]\nendpoint = '{endpoint}'\n");
    sandbox.write("jobs/probe.toml", file);
    let shown = endpoint.replace("me:s3cr%40t@", "");
    let runs = [
        sandbox.run("run probe"),
        sandbox.run("run probe --output json"),
        sandbox.run("run probe --dry-run"),
        sandbox.run("run probe --quiet --retries 1 --backoff 1ms"),
        probe(&sandbox, &endpoint, &[]),
        sandbox.run("status"),
        sandbox.run("status --output json"),
        sandbox.run("history"),
        sandbox.run("history --output json"),
        sandbox.run("list probe"),
        sandbox.run("list --output json"),
        sandbox.run("check"),
    ];
    runs[0].code(1).err(&format!(
        "127.0.0.1 at {shown} is down: it responded with 401"
    ));
    runs[9].code(0).out("http://***@127.0.0.1");
    for run in runs {
        for text in [run.stdout(), run.stderr()] {
            assert!(!text.contains("s3cr") && !text.contains("me:"), "{text}");
        }
    }
    assert_down(&sandbox, &shown);
    for file in fs::read_dir(sandbox.state_db().parent().unwrap()).unwrap() {
        let content = fs::read(file.unwrap().path()).unwrap();
        assert!(!content.windows(4).any(|bytes| bytes == b"s3cr"));
    }
    // base64 of me:s3cr@t
    let header = "authorization: Basic bWU6czNjckB0".to_owned();
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.headers.contains(&header))
    );
}

#[test]
fn bad_parameters_are_refused_before_anything_runs() {
    let sandbox = sandbox();
    for (set, message) in [
        (
            "endpoint=ftp://me:s3cret@h",
            r#"--set endpoint "ftp://***@h" has an unknown scheme: an endpoint is http://…"#,
        ),
        ("endpoint=h:80", r#"--set endpoint "h:80" has no scheme"#),
        ("endpoint=me:s3cret@h", r#""***@h" has no scheme"#),
        ("endpoint=", r#"--set endpoint "" has no scheme"#),
        (
            "endpoint=http://me:s3cret@h:port",
            r#"--set endpoint "http://***@h:port" is not a URL: invalid port number"#,
        ),
        ("endpoint=http://", "is not a URL: empty host"),
        (
            "endpoint=http://h:0",
            "has the port 0, on which nothing listens",
        ),
        ("endpoint=http://h#f", "has a fragment (#…)"),
        (
            "endpoint=tcp://h:65536",
            "is not a URL: invalid port number (for example tcp://db.example:5432)",
        ),
        (
            "endpoint=tcp://h",
            "has no port (for example tcp://db.example:5432)",
        ),
        ("endpoint=tcp://:1", "is not a URL: empty host"),
        ("endpoint=tcp://h:1/a", "has a path, which a TCP endpoint"),
        (
            "endpoint=tcp://me:s3cret@h:1",
            "has a user or password, which a TCP endpoint has not",
        ),
        ("service=", r#"--set service "" is no label value"#),
        ("timeout=0s", r#"--set timeout "0s" must be longer than 0"#),
        (
            "status=2x",
            r#"--set status "2x" is neither an HTTP status from 200 to 599 nor a class"#,
        ),
        ("status=600", "is neither an HTTP status"),
        ("status=1xx", "is neither an HTTP status"),
        ("status=+200", "is neither an HTTP status"),
        (
            "endpoint=tcp://h:1 --set status=200",
            r#"--set status "200" is for an HTTP endpoint"#,
        ),
        (
            "endpoin=x",
            r#"the built-in probe has no such parameter (did you mean "endpoint"?)"#,
        ),
    ] {
        let run = sandbox.run(&format!("run probe --set {set}"));
        run.code(2).err(message);
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
    }
    assert!(!sandbox.state_db().exists());
}

#[test]
fn a_job_file_can_leave_the_endpoint_to_the_command_line() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/web.toml", "builtin = 'probe'\n");
    sandbox.run("run web").code(2).err(
        "the built-in probe needs the parameter \"endpoint\": give it by --set endpoint=VALUE",
    );
    assert!(!sandbox.state_db().exists());
    let server = FakeServer::status("200 OK", "");
    sandbox
        .run(&format!("run web --set endpoint={}", server.url()))
        .code(0);
    sandbox.run("check").code(0);

    // What is there is checked all the same.
    sandbox.write(
        "jobs/bad.toml",
        "builtin = 'probe'\n[params]\ntimeout = '0s'\n",
    );
    sandbox
        .run("check")
        .code(2)
        .err("jobs/bad.toml:3:11: params.timeout \"0s\" must be longer than 0");
}

#[test]
fn the_job_file_is_good_and_its_parameters_are_listed() {
    let sandbox = sandbox();
    sandbox
        .run("check jobs/probe.toml")
        .code(0)
        .out("jobs/probe.toml: ok");
    sandbox
        .run("list probe")
        .code(0)
        .out("http://127.0.0.1:9090/-/ready")
        .out("status")
        .out("5s");
}

#[test]
fn a_signal_ends_a_check_at_once() {
    let (sandbox, server) = (sandbox(), FakeServer::hanging());
    let set = format!("endpoint={}", server.url());
    let mut command = sandbox.command(["run", "probe", "--set", &set, "--set", "timeout=1h"]);
    let child = sandbox.spawn(&mut command);
    eventually("a request", || !server.requests().is_empty());
    let sent = Instant::now();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    finished(child)
        .code(143)
        .out("probe: signal 15 in ")
        .err("it was interrupted");
    assert!(sent.elapsed() < Duration::from_secs(3));
    // Of a check that was interrupted nothing is known.
    let samples = sandbox.samples();
    assert!(!samples.keys().any(|name| name.starts_with("external_")));
    assert_eq!(sandbox.value("probe", "probe_success"), Some(0.0));
}

#[test]
fn the_timeout_of_the_job_ends_a_check_too() {
    let (sandbox, server) = (sandbox(), FakeServer::hanging());
    let set = format!("endpoint={}", server.url());
    let start = Instant::now();
    let line = format!("run probe --timeout 200ms --set timeout=1h --set {set}");
    sandbox
        .run(&line)
        .code(124)
        .err("it took longer than 200ms");
    assert!(start.elapsed() < Duration::from_secs(5));
}
