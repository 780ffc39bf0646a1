//! Two hosts that report to one group: our gateway tells the second one, and a run warns of it.

use std::process::Output;

use serde_json::{Value as Json, json};

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
    // The first one sees it where it looks.
    let options = format!("--gateway {}", gateway.url());
    let shared = "{job=\"sync\"} at http://127.0.0.1";
    for look in ["status", "doctor"] {
        let looked = on("a", &a, &format!("{look} {options}"));
        let shown = looked.stdout() + &looked.stderr();
        for part in [
            shared,
            " was reported to by b last, and by this host ",
            "instance = true",
        ] {
            assert!(shown.contains(part), "{look}: {shown}");
        }
    }
    let json = on("a", &a, &format!("status {options} --output json")).json();
    assert_eq!(
        (&json[0]["host"], &json[0]["shared_with"]),
        (&"b".into(), &"b".into())
    );
    on("b", &b, &format!("status {options}")).quiet_stderr();
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

/// The page and the API show two hosts until one of them has reported twice in a row.
#[test]
fn the_page_and_the_api() {
    let gateway = OwnGateway::alone(&[]);
    let report = |host: &str| {
        let body = format!(
            "x_info{{host=\"{host}\",version=\"1\"}} 1\nx_last_completion_timestamp_seconds 1\nx_success 1\n"
        );
        let path = "/metrics/job/j/db/customers";
        assert_eq!(gateway.exchange("POST", path, &[], &body).status, 200);
    };
    let clashes = || {
        let answer = gateway.exchange("GET", "/api/v1/metrics", &[], "");
        let answer: Json = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["data"][0]["labels"]["job"], "j");
        answer["host_clashes"].clone()
    };
    let page = || gateway.exchange("GET", "/", &[], "").body;
    report("a");
    report("a");
    assert!(!page().contains("shared by hosts"));
    assert_eq!(clashes(), Json::Null);
    for (host, before) in [("b", "a"), ("a", "b"), ("b", "a")] {
        report(host);
        let shown = page();
        for part in [
            "1</data> shared by hosts",
            &format!("Reported by <bdi>{host}</bdi>, until "),
            &format!(" by <bdi>{before}</bdi>"),
            "instance = true",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let found = &clashes()[0];
        let labels = json!({ "job": "j", "db": "customers" });
        assert_eq!(found["labels"], labels);
        assert_eq!(
            (&found["host"], &found["host_before"]),
            (&host.into(), &before.into())
        );
        assert!(
            found["time_before"].as_str().unwrap().starts_with("20"),
            "{found}"
        );
    }
    // Metrics of something else say nothing about hosts.
    gateway.exchange("POST", "/metrics/job/j/db/customers", &[], "m 1\n");
    assert!(page().contains("shared by hosts"));
    report("b");
    assert!(!page().contains("shared by hosts"));
    assert_eq!(clashes(), Json::Null);
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
