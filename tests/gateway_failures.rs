//! Gateways that do not do what they should: the job's exit code stands, the warning says why, the
//! report is kept.

use std::time::{Duration, Instant};

use crate::common::{FakeServer, Finished, Sandbox};

const RUN: &str = "run backup -g db=c --set duration=0s --set failure-rate=";

/// Runs a job that succeeds and one that fails against `gateway`, and returns the first.
fn run(sandbox: &Sandbox, gateway: &str, options: &str) -> Finished {
    let failed = sandbox.run(&format!("{RUN}1 --gateway {gateway} {options}"));
    failed.code(1).err("warning: ").out("not reported");
    let run = sandbox.run(&format!("{RUN}0 --gateway {gateway} {options}"));
    run.code(0)
        .out("backup: success")
        .out("not reported: POST to ");
    run.err("; the report is kept as outbox entry 2 in ");
    run
}

#[test]
fn down() {
    let sandbox = Sandbox::new();
    let run = run(&sandbox, "127.0.0.1:1", "");
    // It has all families of the first, which it replaces.
    assert_eq!(sandbox.outbox_len(), 1);
    run.err("warning: could not connect to http://127.0.0.1:1/metrics/job/db_backup/db/c: connection refused (is a gateway listening there?)");
}

#[test]
fn a_host_that_does_not_exist() {
    let sandbox = Sandbox::new();
    run(&sandbox, "http://host.invalid:9091", "")
        .err("could not connect to http://host.invalid:9091/")
        .err("(is the host's name right?)");
}

#[test]
fn hanging() {
    let server = FakeServer::hanging();
    let start = Instant::now();
    let run = run(&Sandbox::new(), &server.url(), "--push-timeout 300ms");
    run.err("did not respond within 300ms: raise --push-timeout");
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
}

/// A host that does not even refuse: the kernel drops connections that a full queue has no place for.
#[test]
fn never_connecting() {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
    };
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::AsRawFd;

    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let listener = socket(family, kind, SockFlag::empty(), None).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address: SockaddrIn = getsockname(listener.as_raw_fd()).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let short = Duration::from_millis(300);
    let queue: Vec<_> = (0..8)
        .map(|_| TcpStream::connect_timeout(&address, short))
        .collect();
    assert!(queue.iter().any(Result::is_err), "the queue has no end");

    let run = run(
        &Sandbox::new(),
        &address.to_string(),
        "--connect-timeout 300ms",
    );
    run.err("no connection to http://127.0.0.1:")
        .err("within 300ms: raise --connect-timeout");
}

#[test]
fn answering_400() {
    let server = FakeServer::status(
        "400 Bad Request",
        "text format parsing error in line 3:\n  oh\u{1b}[2J no\n",
    );
    let run = run(&Sandbox::new(), &server.url(), "");
    run.err("/metrics/job/db_backup/db/c responded with 400 Bad Request: text format parsing error in line 3: oh [2J no; the report");
}

#[test]
fn answering_500_without_a_word() {
    let server = FakeServer::status("500 Internal Server Error", "");
    run(&Sandbox::new(), &server.url(), "")
        .err("responded with 500 Internal Server Error; the report");
}

#[test]
fn answering_too_much() {
    let body = "x".repeat(1_000_000).leak();
    let server = FakeServer::status("503 Service Unavailable", body);
    let run = run(&Sandbox::new(), &server.url(), "");
    let stderr = run
        .err("responded with 503 Service Unavailable: xxx")
        .stderr();
    assert!(stderr.len() < 2000, "{}", stderr.len());
}

#[test]
fn closing_without_an_answer() {
    let server = FakeServer::answering("");
    run(&Sandbox::new(), &server.url(), "").err("the connection to http://127.0.0.1:");
}

#[test]
fn closing_inside_the_head() {
    let server = FakeServer::answering("HTTP/1.1 20");
    run(&Sandbox::new(), &server.url(), "").err(" broke: ");
}

#[test]
fn closing_inside_an_error() {
    let server = FakeServer::answering(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nthe first ten",
    );
    run(&Sandbox::new(), &server.url(), "").err("responded with 502 Bad Gateway: the first ten; ");
}

#[test]
fn something_that_is_not_http() {
    let server = FakeServer::answering("SSH-2.0-OpenSSH_9.2\r\n");
    run(&Sandbox::new(), &server.url(), "").err(" broke: ");
}

#[test]
fn redirects_are_not_followed() {
    let server = FakeServer::answering(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n",
    );
    let run = run(&Sandbox::new(), &server.url(), "");
    run.err("responded with 302 Found: it redirects to http://127.0.0.1:1/login, give that gateway's URL instead");
}

#[test]
fn any_success_is_one() {
    // Other servers that take pushes answer 204.
    for status in ["200 OK", "202 Accepted", "204 No Content"] {
        let server = FakeServer::status(status, "");
        let sandbox = Sandbox::new();
        let run = sandbox.run(&format!("{RUN}0 --gateway {}", server.url()));
        assert_eq!(run.code(0).stderr(), "");
        assert_eq!(sandbox.outbox_len(), 0);
    }
}

#[test]
fn push_and_status_fail_with_69() {
    let sandbox = Sandbox::new();
    let push = sandbox.run_with_input("push --job j --gateway 127.0.0.1:1", "m 1\n");
    push.code(69)
        .err("warning: could not connect to ")
        .err("kept as outbox entry 1");
    assert_eq!(push.stdout(), "");
    sandbox
        .run("status --gateway 127.0.0.1:1")
        .code(69)
        .err("error: could not connect to ");
    let server = FakeServer::status("200 OK", "<html>");
    let status = sandbox.run(&format!("status --gateway {}", server.url()));
    status
        .code(69)
        .err("/api/v1/metrics is not what a Pushgateway sends: ");
}

#[test]
fn the_outbox_entry_is_complete() {
    let server = FakeServer::status("500 Oh", "no");
    let sandbox = Sandbox::new();
    let url = format!("http://user:s3cret@{}/p/", server.address());
    sandbox
        .run_with_input(
            &format!("push --job j -g b=2 -g a=1 --method put --gateway {url}"),
            "m 1\n",
        )
        .code(69);
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    let entry: (String, String, String, String, String, f64) = database
        .query_row(
            "SELECT gateway, method, grouping_key, body, error, produced_at FROM outbox",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            },
        )
        .unwrap();
    assert_eq!(entry.0, format!("http://{}/p", server.address()));
    assert_eq!(entry.1, "put");
    assert_eq!(entry.2, r#"{"job":"j","a":"1","b":"2"}"#);
    assert_eq!(entry.3, "# TYPE m untyped\nm 1\n");
    assert!(entry.4.contains("responded with 500"), "{}", entry.4);
    assert!(entry.5 > 1.7e9);
    let bytes = std::fs::read(sandbox.state_db()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
}

/// What the gateway refused must not be sent again; what it could not take can.
#[test]
fn rejected_pushes_are_marked() {
    for (status, rejected) in [
        ("400 Bad Request", true),
        // About who sends it.
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("413 Content Too Large", true),
        ("408 Request Timeout", false),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", false),
        ("503 Service Unavailable", false),
    ] {
        let server = FakeServer::status(status, "");
        let sandbox = Sandbox::new();
        sandbox
            .run(&format!("{RUN}0 --gateway {}", server.url()))
            .code(0);
        let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
        let flag: bool = database
            .query_row("SELECT is_rejected FROM outbox", [], |row| row.get(0))
            .unwrap();
        assert_eq!(flag, rejected, "{status}");
    }
}

#[test]
fn state_that_cannot_be_written_does_not_stop_the_job() {
    let sandbox = Sandbox::new();
    let dir = sandbox
        .write("file", "")
        .join("state")
        .display()
        .to_string();
    let cause = format!("could not create the state directory {dir}: Not a directory");
    let run = |gateway: &str| sandbox.run(&format!("{RUN}0 --state-dir {dir} --gateway {gateway}"));
    run("embedded")
        .code(0)
        .err(&format!("warning: {cause}"))
        .err("; the report is lost\n");
    let lost = format!("the report is lost, because it could not be kept either: {cause}");
    run("127.0.0.1:1")
        .code(0)
        .err("connection refused")
        .err(&lost);
}
