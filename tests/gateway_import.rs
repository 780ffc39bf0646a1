//! `metricsjob gateway import`: the groups of a running Pushgateway.

use serde_json::json;

use crate::common::client_model::Histogram;
use crate::common::histograms::{
    HUGE, classic_float, family, in_api, native_float, native_integer, push, scraped, span,
};
use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Sandbox, Server};

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
    assert_eq!(sandbox.value("a", "m"), Some(7.0));
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
    assert!(sandbox.value("a", "c_total{db=\"x\"}").is_some());
    assert_eq!(sandbox.value("a", "push_time_seconds"), None);
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

#[test]
fn from_ours_with_float_counts_and_native_buckets() {
    let gateway = OwnGateway::alone(&[]);
    let sandbox = Sandbox::new();
    let huge = Histogram {
        sample_count: Some(HUGE),
        ..Default::default()
    };
    let mut deep = native_integer();
    deep.schema = Some(8);
    let pushed = [
        family("classic", classic_float()),
        family("deep", deep),
        family("float", native_float()),
        family("huge", huge),
        family("integer", native_integer()),
    ];
    push(&gateway, "PUT", &pushed);
    let dir = sandbox.path();
    let import = format!(
        "gateway import {} --state-dir {}",
        gateway.url(),
        dir.display()
    );
    sandbox.run(&import).code(0).out("imported a group");
    let imported = OwnGateway::start(sandbox.path(), &[]);
    for family in &pushed {
        let name = family.name.as_deref().unwrap();
        assert_eq!(in_api(&imported, name), in_api(&gateway, name));
        if name.starts_with(['d', 'f', 'i']) {
            // The empty bucket between others needs no span of its own.
            let (mut ours, mut theirs) = (scraped(&imported, name), scraped(&gateway, name));
            for histogram in [&mut ours, &mut theirs] {
                histogram.positive_span.clear();
                histogram.positive_delta.clear();
                histogram.positive_count.clear();
                // The text has it, and so what the API was read from.
                histogram.bucket.clear();
            }
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn native_buckets_of_a_pushgateway_since_1_8() {
    let broken = json!([[0, "1", "3", "2"]]);
    let whole = json!([
        [1, "-1.414213562373095", "-1", "2"],
        [3, "-1e-9", "1e-9", "1"]
    ]);
    for (buckets, code) in [(whole, 0), (broken, 1)] {
        let api = json!({"status": "success", "data": [{
            "labels": {"job": "j"},
            "last_push_successful": true,
            "push_time_seconds": {"type": "GAUGE", "metrics": [{"labels": {}, "value": "1e+09"}]},
            "h": {"type": "HISTOGRAM", "metrics": [
                {"labels": {"job": "j", "instance": ""}, "count": "3", "sum": "1", "buckets": buckets},
            ]},
        }]});
        let server = FakeServer::responding(move |_| {
            let body = api.to_string();
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        });
        let sandbox = Sandbox::new();
        let dir = sandbox.path().display();
        let import = format!("gateway import {} --state-dir {dir}", server.url());
        let import = sandbox.run(&import);
        if code != 0 {
            assert!(
                import
                    .stderr()
                    .contains("h: no native histogram has a bucket from 1 to 3"),
                "{}",
                import.stderr()
            );
            continue;
        }
        import.code(0);
        let imported = scraped(&OwnGateway::start(sandbox.path(), &[]), "h");
        assert_eq!(imported.schema, Some(1));
        assert_eq!(imported.negative_span, [span(1, 1)]);
        assert_eq!(imported.negative_delta, [2]);
        assert_eq!(imported.zero_threshold, Some(1e-9));
        assert_eq!(
            (imported.zero_count, imported.sample_count),
            (Some(1), Some(3))
        );
    }
}

#[test]
fn an_answer_that_is_too_large() {
    let server = FakeServer::endless("200 OK");
    let sandbox = Sandbox::new();
    for (line, bytes) in [
        (
            format!("gateway import --max-answer-size 1MiB {}", server.url()),
            "1048576",
        ),
        (format!("status --gateway {}", server.url()), "67108864"),
    ] {
        let finished = sandbox.run(&line);
        finished
            .code(69)
            .err(&format!("sends an answer of more than {bytes} bytes"));
    }
    // It is believed that so much would come.
    let announcing =
        FakeServer::answering("HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\n{");
    let status = sandbox.run(&format!("status --gateway {}", announcing.url()));
    status.code(69).err("--max-answer-size");
}
