//! `metricsjob gateway import`: the groups of a running Pushgateway.

use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, Server};

/// Groups of each kind, and of keys that need base64.
fn filled() -> Server {
    let old = Server::pushgateway(&[]);
    let push = |path: &str, body: &str| old.request("PUT", &format!("/metrics/job{path}"), body);
    for (path, body) in [
        (
            "/a",
            "# HELP m Help \\\\ of\\nm.\n# TYPE m gauge\nm 1.5\nm{l=\"x \\\" \\\\ \\n é\"} NaN\n",
        ),
        (
            "/a/db/x",
            "# TYPE c_total counter\nc_total 1e300\nuntyped -Inf\n",
        ),
        (
            "@base64/YS9i/db@base64/=",
            "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 3\ns_count 4\n\
             # TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        ),
        ("/empty/instance/host", ""),
    ] {
        assert_eq!(push(path, body).0, 200, "{path}");
    }
    // A group that has never been pushed to successfully, and one that has.
    assert_eq!(push("/failed", "# TYPE m counter\nm 1\n").0, 400);
    assert_eq!(push("/a/db/x", "# TYPE m counter\nm 1\n").0, 400);
    old
}

#[test]
fn from_a_pushgateway() {
    let old = filled();
    let sandbox = Sandbox::new();
    let import = format!(
        "gateway import {} --state-dir {}",
        old.url(),
        sandbox.path().display()
    );
    sandbox
        .run(&import)
        .code(0)
        .out(&format!("imported 5 groups from {}", old.url()));
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    let samples = crate::common::exposed_samples(&gateway.metrics());
    let expected = old.samples();
    assert_eq!(format!("{samples:#?}"), format!("{expected:#?}"));
    for line in [
        "# TYPE c_total counter",
        "# HELP m Help \\\\ of\\nm.",
        "# TYPE untyped untyped",
    ] {
        assert!(gateway.metrics().contains(&format!("{line}\n")), "{line}");
    }

    sandbox
        .run(&import)
        .code(1)
        .err("a gateway serves the state directory");
    // From ours it can be taken on.
    let third = Sandbox::new();
    third
        .run(&format!("gateway import {} -q", gateway.url()))
        .code(0)
        .quiet();
    assert_eq!(format!("{:#?}", third.samples()), format!("{expected:#?}"));
}

#[test]
fn what_is_newer_here_stays() {
    let old = filled();
    let sandbox = Sandbox::new();
    let push = "push --job a --method put --quiet";
    sandbox
        .run_with_input(push, "# TYPE m gauge\nm 7\n")
        .code(0);
    let import = format!("gateway import {}", old.url());
    sandbox
        .run(&import)
        .code(0)
        .out("imported 4 groups from")
        .out("; one is newer here");
    assert_eq!(sandbox.samples()["m{instance=\"\",job=\"a\"}"], 7.0);
    // Once more: what is here came from there.
    sandbox.run(&import).code(0).out("imported 4 groups");
}

#[test]
fn what_does_not_fit_is_told_and_the_rest_taken() {
    let old = filled();
    let sandbox = Sandbox::new();
    let push = "push --job other --quiet";
    sandbox
        .run_with_input(push, "# TYPE m counter\nm 7\n")
        .code(0);
    sandbox
        .run(&format!("gateway import {}", old.url()))
        .code(69)
        .out("imported 4 groups")
        .err("warning: not imported: group {job=\"a\"}: the metric m is a gauge here, but a counter in the group {job=\"other\"}");
    let samples = sandbox.samples();
    assert!(samples.contains_key("c_total{db=\"x\",instance=\"\",job=\"a\"}"));
    assert!(!samples.contains_key("push_time_seconds{instance=\"\",job=\"a\"}"));
}

#[test]
fn from_where_there_is_none() {
    let sandbox = Sandbox::new();
    sandbox
        .run("gateway import http://127.0.0.1:1")
        .code(69)
        .err("connection refused");
    sandbox
        .run("gateway import embedded")
        .code(2)
        .err("give the URL of another gateway");
    assert!(!sandbox.state_db().exists());
}
