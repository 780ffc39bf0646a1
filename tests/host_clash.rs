//! Two hosts that report to one group: our gateway tells the second one, and a run warns of it.

use std::process::Output;

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::wrapped;
use crate::common::{FakeServer, Finished, Sandbox};

/// Runs `metricsjob` with these arguments on a host of this name.
fn on(host: &str, sandbox: &Sandbox, arguments: &str) -> Finished {
    let name = format!("hostname {host} && exec \"$@\"");
    let command = sandbox.command(arguments.split(' '));
    let command = wrapped(&["unshare", "--uts", "sh", "-c", &name, "sh"], &command);
    let output: Output = { command }.output().unwrap();
    output.into()
}

#[test]
fn the_second_host_is_warned_as_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let gateway = OwnGateway::alone(&[]);
    let (a, b) = (Sandbox::new(), Sandbox::new());
    let line = format!("exec --job sync --gateway {} -- true", gateway.url());
    on("a", &a, &line).code(0).quiet_stderr();
    on("a", &a, &line).code(0).quiet_stderr();
    let warning = format!(
        "warning: {}: a has reported to this group before",
        gateway.url()
    );
    on("b", &b, &line)
        .code(0)
        .err(&warning)
        .err("instance = true");
    let apart = line.replace("--job sync", "--job sync --instance true");
    on("a", &a, &apart).code(0).quiet_stderr();
    on("b", &b, &apart).code(0).quiet_stderr();
}

/// The header, byte by byte, and only where two hosts are known.
#[test]
fn the_header() {
    let gateway = OwnGateway::alone(&[]);
    let push = |body: &str| {
        let answer = gateway.exchange("POST", "/metrics/job/j", &[], body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.headers.get("warning").cloned()
    };
    let report = |host: &str| {
        format!(
            "x_info{{host=\"{host}\",version=\"1\"}} 1\nx_last_completion_timestamp_seconds 1\n"
        )
    };
    assert_eq!(push("m 1\n"), None);
    assert_eq!(push(&report("a")), None);
    assert_eq!(push(&report("a")), None);
    assert_eq!(push("m 2\n"), None);
    assert_eq!(push("other_info{host=\"q\"} 1\n"), None);
    let told = push(&report("b\\\"\\n\u{e9}")).unwrap();
    assert!(
        told.contains("299 - \"a has reported to this group before"),
        "{told}"
    );
    let told = push(&report("c")).unwrap();
    assert!(told.contains("299 - \"b"), "{told}");
    assert!(told.is_ascii(), "{told}");
}

/// A clock that is off is told in any run.
#[test]
fn clocks_that_differ() {
    let at = |date: &str| {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let server = FakeServer::answering(answer.leak());
        Sandbox::new().run(&format!("exec --gateway {} -- true", server.url()))
    };
    let run = at("Sun, 06 Nov 1994 08:49:37 GMT");
    run.code(0)
        .err("the gateway's clock is ")
        .err(" behind this host's");
    at("soon").code(0).quiet_stderr();
    at("Fri, 31 Dec 9999 23:59:59 GMT")
        .code(0)
        .err(" ahead of this host's");
}
