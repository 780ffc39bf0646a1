//! `builtin = "json"`: numbers from a JSON document over HTTP.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{FakeServer, Sandbox, TestGateway, TlsServer, eventually, finished, send};

on_each_gateway!(numbers_become_metrics);

const DOCUMENT: &str = r#"{
    "queue": {"size": 17, "oldest_seconds": 2.5, "paused": true, "draining": false},
    "workers": [{"name": "a", "busy": 1}, {"name": "b", "busy": 0}],
    "orders/total": 1234567, "version": "7", "owner": null
}"#;

/// A gauge or counter at a pointer.
fn metric(name: &str, kind: &str, pointer: &str) -> String {
    format!("[[metric]]\nname = '{name}'\ntype = '{kind}'\npointer = '{pointer}'\n")
}

/// The file of a job that reads `url`.
fn job(url: &str, params: &str, metrics: &[String]) -> String {
    let metrics = metrics.concat();
    format!("builtin = 'json'\n[params]\nurl = '{url}'\n{params}\n{metrics}")
}

/// The job `api`, which reads the size of the queue.
fn sandbox(url: &str, params: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let size = metric("queue_size", "gauge", "/queue/size");
    sandbox.write("jobs/api.toml", job(url, params, &[size]));
    sandbox
}

fn numbers_become_metrics(gateway: &TestGateway) {
    let server = FakeServer::status("200 OK", DOCUMENT);
    let url = format!("{}/api/state?full=1", server.url());
    let labelled = |worker: &str, pointer: &str| {
        metric("worker_busy", "gauge", pointer) + &format!("labels = {{ worker = '{worker}' }}\n")
    };
    let metrics = [
        metric("queue_size", "gauge", "/queue/size") + "help = 'Orders that wait.'\n",
        metric("queue_oldest_seconds", "gauge", "/queue/oldest_seconds"),
        metric("queue_paused", "gauge", "/queue/paused"),
        metric("queue_draining", "gauge", "/queue/draining"),
        labelled("a", "/workers/0/busy"),
        labelled("b", "/workers/1/busy"),
        metric("orders_total", "counter", "/orders~1total"),
    ];
    gateway.write("jobs/api.toml", &job(&url, "", &metrics));
    gateway.run("check").code(0);
    gateway.run("run api").code(0);
    let samples = gateway.samples();
    for (series, value) in [
        ("queue_size", 17.0),
        ("queue_oldest_seconds", 2.5),
        ("queue_paused", 1.0),
        ("queue_draining", 0.0),
        (r#"worker_busy{worker="a"}"#, 1.0),
        (r#"worker_busy{worker="b"}"#, 0.0),
        ("orders_total", 1_234_567.0),
    ] {
        assert_eq!(
            samples[&crate::common::of_job("api", series)],
            value,
            "{series}"
        );
    }
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /api/state?full=1 HTTP/1.1");
    assert!(
        request
            .headers
            .contains(&"accept: application/json".to_owned()),
        "{request:?}"
    );
}

/// What is not there is named; the rest is reported all the same.
#[test]
fn what_is_no_number() {
    let server = FakeServer::status("200 OK", DOCUMENT);
    let sandbox = Sandbox::new();
    let metrics = [
        metric("gone", "gauge", "/queue/length"),
        metric("text", "gauge", "/version"),
        metric("owner", "gauge", "/owner"),
        metric("all", "gauge", "/queue"),
        metric("size", "gauge", "/queue/size"),
    ];
    sandbox.write("jobs/api.toml", job(&server.url(), "", &metrics));
    let url = format!("{}/", server.url());
    sandbox.run("run api").code(1).err(&format!(
        "error: api: {url}: gone: nothing is at \"/queue/length\": \"/queue\" has no \"length\"; \
         text: at \"/version\" is a string, not a number; owner: at \"/owner\" is null, not a number; \
         all: at \"/queue\" is an object, not a number\n"
    ));
    assert_eq!(sandbox.value("api", "size"), Some(17.0));
    assert_eq!(sandbox.value("api", "text"), None);
}

#[test]
fn a_counter_is_not_negative() {
    let server = FakeServer::status("200 OK", "-3");
    let sandbox = Sandbox::new();
    let metrics = [metric("a_total", "counter", ""), metric("a", "gauge", "")];
    sandbox.write("jobs/api.toml", job(&server.url(), "", &metrics));
    sandbox
        .run("run api")
        .code(1)
        .err("a_total: a_total is a counter, and cannot be -3");
    assert_eq!(sandbox.value("api", "a"), Some(-3.0));
    assert_eq!(sandbox.value("api", "a_total"), None);
}

#[test]
fn answers_that_are_no_document() {
    for (answer, problem) in [
        (
            FakeServer::status("404 Not Found", "{}"),
            "it responded with 404 Not Found, and 2xx is expected",
        ),
        (
            FakeServer::status("401 Unauthorized", "{}"),
            "it responded with 401 Unauthorized",
        ),
        (
            FakeServer::answering(
                "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
            ),
            "it responded with 302 Found, and redirects are not followed",
        ),
        (
            FakeServer::status("200 OK", ""),
            "the answer is not JSON: EOF",
        ),
        (
            FakeServer::status("200 OK", "<html>"),
            "the answer is not JSON: expected value at line 1 column 1",
        ),
        (
            FakeServer::status("200 OK", "{\"queue\": {\"size\": 1}} x"),
            "the answer is not JSON: trailing characters",
        ),
        (
            FakeServer::status("200 OK", "{\"queue\": {\"size\": NaN}}"),
            "the answer is not JSON",
        ),
        (
            FakeServer::status("200 OK", &"[".repeat(1000)),
            "the answer is not JSON: recursion limit",
        ),
        (
            FakeServer::answering("SSH-2.0-OpenSSH_9.2\r\n"),
            "error: api: http://",
        ),
    ] {
        let sandbox = sandbox(&answer.url(), "");
        sandbox.run("run api").code(1).err(problem);
        assert_eq!(sandbox.value("api", "queue_size"), None);
        assert_eq!(sandbox.value("api", "batch_job_success"), Some(0.0));
    }
    let closed = sandbox("http://127.0.0.1:1/", "");
    closed
        .run("run api")
        .code(1)
        .err("http://127.0.0.1:1/: connection refused");
}

#[test]
fn the_size_is_limited() {
    let document = format!(
        "{{\"queue\": {{\"size\": 1}}, \"x\": \"{}\"}}",
        "y".repeat(5000)
    );
    let server = FakeServer::status("200 OK", &document);
    let length = document.len();
    let exact = sandbox(&server.url(), &format!("max-size = '{length}'"));
    exact.run("run api").code(0);
    let small = sandbox(&server.url(), &format!("max-size = {}", length - 1));
    small.run("run api").code(1).err("bytes (max-size)");
}

/// An answer without an end neither fills the memory nor outlasts the timeout.
#[test]
fn an_answer_without_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[");
            // Until the client has seen enough.
            while stream.write_all(&[b' '; 1000]).is_ok() {}
        }
    });
    let sandbox = sandbox(&url, "timeout = '1h'");
    sandbox
        .run("run api")
        .code(1)
        .err("the answer is larger than 1048576 bytes (max-size)");
}

#[test]
fn what_does_not_answer_in_time() {
    let server = FakeServer::hanging();
    let sandbox = sandbox(&server.url(), "timeout = '300ms'");
    let start = Instant::now();
    sandbox
        .run("run api")
        .code(1)
        .err("no whole answer within 300ms");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_signal_ends_it() {
    let server = FakeServer::hanging();
    let sandbox = sandbox(&server.url(), "timeout = '1h'");
    let child = sandbox.spawn(&mut sandbox.command(["run", "api"]));
    eventually("a request", || !server.requests().is_empty());
    send(child.id(), Signal::SIGTERM);
    let run = finished(child);
    run.code(143).err("it was interrupted");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = FakeServer::status("200 OK", DOCUMENT);
    let sandbox = sandbox(&format!("http://me:s3cr%40t@{}/", server.address()), "");
    sandbox.run("run api").code(0);
    for line in [
        "run api --dry-run",
        "run api --output json",
        "list",
        "list api",
        "list --output json",
        "check",
        "history",
        "status",
    ] {
        let run = sandbox.run(line);
        for text in [run.stdout(), run.stderr()] {
            assert!(!text.contains("s3cr") && !text.contains("me:"), "{text}");
        }
    }
    // base64 of me:s3cr@t
    let header = "authorization: Basic bWU6czNjckB0".to_owned();
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.headers.contains(&header))
    );
    let refused = FakeServer::status("403 Forbidden", "");
    let set = format!("url=http://me:s3cr%40t@{}/", refused.address());
    let run = sandbox.run_args(["run", "api", "--set", &set]);
    run.code(1).err("it responded with 403 Forbidden");
    assert!(!run.stderr().contains("s3cr"), "{}", run.stderr());
}

#[test]
fn no_proxy_is_asked() {
    let (proxy, server) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", DOCUMENT),
    );
    let sandbox = sandbox(&server.url(), "").variable("http_proxy", proxy.url());
    sandbox.run("run api").code(0);
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}

#[test]
fn https_verifies_certificates() {
    let server = TlsServer::start();
    let sandbox = sandbox(&server.url(), "");
    sandbox.run("run api").code(1).err("certificate");
}

#[test]
fn bad_job_files() {
    let sandbox = Sandbox::new();
    let size = [metric("size", "gauge", "/size")];
    for (file, problem) in [
        (
            job("h:80", "", &size),
            r#"params.url "h:80" does not begin with http:// or https://"#,
        ),
        (
            job("tcp://h:1", "", &size),
            "does not begin with http:// or https://",
        ),
        (
            job("ftp://me:s3cret@h", "", &size),
            r#"params.url "ftp://***@h" does not begin"#,
        ),
        (job("http://h#f", "", &size), "has a fragment (#…)"),
        (job("http://", "", &size), "is not a URL: empty host"),
        (job("http://h:0", "", &size), "has the port 0"),
        (
            job("http://h", "timeout = '0s'", &size),
            r#"params.timeout "0s" must be longer than 0"#,
        ),
        (
            job("http://h", "max-size = '0'", &size),
            r#"params.max-size "0" leaves room for nothing"#,
        ),
        (
            job("http://h", "max-size = '1MB'", &size),
            "unknown unit \"MB\"",
        ),
        (
            job("http://h", "", &[metric("a", "gauge", "size")]),
            "pointer \"size\" does not begin with a /",
        ),
        (
            job("http://h", "", &[metric("a", "gauge", "/a~b")]),
            "pointer \"/a~b\" has a ~ that is neither ~0",
        ),
        (
            job("http://h", "", &[metric("a", "histogram", "/a")]),
            "a pointer leads to the value of a counter or gauge, and a is a histogram",
        ),
        (
            job(
                "http://h",
                "",
                &[metric("a", "counter", "/a") + "cumulative = true\n"],
            ),
            "cumulative adds up what runs have counted",
        ),
        (
            job(
                "http://h",
                "",
                &[metric("a", "gauge", "/a") + "pattern = '(x)'\n"],
            ),
            "a metric has either pattern or pointer, not both",
        ),
        (
            job("http://h", "", &[]),
            "the built-in json reads nothing without a [[metric]] that has a pointer",
        ),
        (
            format!("command = ['true']\n{}", size[0]),
            "a pointer leads into a JSON document, which builtin = \"json\" reads",
        ),
        (
            format!("builtin = 'random'\n{}", size[0]),
            "a pointer leads into a JSON document",
        ),
    ] {
        sandbox.write("jobs/bad.toml", &file);
        let check = sandbox.run("check jobs/bad.toml");
        check.code(2).err(problem);
        assert!(!check.stderr().contains("s3cret"), "{}", check.stderr());
    }
    // The URL can be left to the command line.
    sandbox.write("jobs/bad.toml", format!("builtin = 'json'\n{}", size[0]));
    sandbox.run("check jobs/bad.toml").code(0);
    sandbox
        .run("run bad")
        .code(2)
        .err("the built-in json needs the parameter \"url\"");
}

/// The example that ships.
#[test]
fn the_job_file_is_good() {
    let document = r#"{"queue": {"size": 3, "paused": false}, "totals": {"orders": 40}}"#;
    let server = FakeServer::status("200 OK", document);
    let sandbox = Sandbox::new();
    let shipped = include_str!("../jobs/queue-api.toml");
    sandbox.write("jobs/queue-api.toml", shipped);
    sandbox.run("check jobs/queue-api.toml").code(0);
    let set = format!("url={}", server.url());
    sandbox
        .run_args(["run", "queue-api", "--set", &set])
        .code(0);
    for (series, value) in [
        ("queue_size", 3.0),
        ("queue_paused", 0.0),
        ("orders_total", 40.0),
    ] {
        assert_eq!(sandbox.value("queue_api", series), Some(value), "{series}");
    }
}
