//! `delete --match`, and `DELETE /api/v1/groups?match[]=…`: all groups go that a selector selects.

use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Finished, Sandbox, TestGateway};

on_each_gateway!(
    selected_groups_go_and_no_others,
    values_of_any_form,
    nothing_matches,
    a_dry_run_changes_nothing,
    only_groups_that_are_older,
    reports_that_wait_do_not_bring_them_back,
);

const ADMIN: &str = "--web.enable-admin-api";
const GROUPS: &str = "/api/v1/groups";

/// `{job="ci",branch=~"feature/.*"}`, percent-encoded.
const FEATURES: &str = "match[]=%7Bjob%3D%22ci%22%2Cbranch%3D~%22feature%2F.%2A%22%7D";

/// The labels of all groups, as the series `m` has them, without `instance`.
fn groups(gateway: &TestGateway) -> Vec<String> {
    let series = gateway.samples().into_keys();
    let series = series.filter_map(|series| {
        let labels = series.strip_prefix("m{")?.strip_suffix('}')?;
        Some(labels.replace("instance=\"\",", ""))
    });
    series.collect()
}

fn push(gateway: &TestGateway, keys: &[&[&str]]) {
    for key in keys {
        let mut arguments = vec!["push"];
        arguments.extend(*key);
        let body = gateway.write("body", "m 1\n");
        arguments.push(body.to_str().unwrap());
        gateway.sandbox.run_args(arguments).code(0);
    }
}

fn delete(gateway: &TestGateway, selector: &str) -> Finished {
    gateway.sandbox.run_args(["delete", "--match", selector])
}

fn selected_groups_go_and_no_others(gateway: &TestGateway) {
    push(
        gateway,
        &[
            &["--job=ci", "-g", "branch=feature/a"],
            &["--job=ci", "-g", "branch=feature/b", "-g", "step=x"],
            // A regular expression matches the whole value.
            &["--job=ci", "-g", "branch=old/feature/a"],
            &["--job=ci", "-g", "branch=features"],
            &["--job=ci"],
            &["--job=cd", "-g", "branch=feature/a"],
        ],
    );
    let delete = delete(gateway, "{job=\"ci\",branch=~\"feature/.*\"}");
    delete
        .code(0)
        .out("deleted {job=\"ci\",branch=\"feature/a\"}\n")
        .out("deleted {job=\"ci\",branch=\"feature/b\",step=\"x\"}\n")
        .out("deleted 2 groups from ");
    let is_one_by_one = gateway.name() != "embedded";
    assert_eq!(delete.stdout().contains("one by one"), is_one_by_one);
    assert_eq!(
        groups(gateway),
        [
            "branch=\"feature/a\",job=\"cd\"",
            "branch=\"features\",job=\"ci\"",
            "branch=\"old/feature/a\",job=\"ci\"",
            "job=\"ci\"",
        ]
    );
    // Either of several, and a label that is not there.
    let arguments = [
        "delete",
        "--match={job=\"cd\"}",
        "--match={job=\"ci\",branch=\"\"}",
        "--quiet",
    ];
    gateway.sandbox.run_args(arguments).code(0).quiet();
    assert_eq!(groups(gateway).len(), 2);
}

fn values_of_any_form(gateway: &TestGateway) {
    let values = ["a b", "söß 日本", "a/b", "..", "", "\"\\", "x\ny"];
    for value in values {
        push(gateway, &[&["--job=j", "-g", &format!("l={value}")]]);
    }
    let selectors = [
        "{l='a b'}",
        "{l=~\"s.ß 日.\"}",
        "{l=`a/b`}",
        "{l=~`\\.\\.`}",
        "{job=\"j\",l=\"\"}",
        "{l=\"\\\"\\\\\"}",
        "{l=~\"x.y\"}",
    ];
    for (left, selector) in (0..values.len()).rev().zip(selectors) {
        delete(gateway, selector)
            .code(0)
            .out("deleted 1 group from ");
        assert_eq!(groups(gateway).len(), left, "{selector}");
    }
}

fn nothing_matches(gateway: &TestGateway) {
    let selector = "{job=\"other\"}";
    delete(gateway, selector)
        .code(0)
        .out("nothing to delete: no group at ");
    push(gateway, &[&["--job=j"]]);
    delete(gateway, selector)
        .code(0)
        .out("nothing to delete: no group at ");
    delete(gateway, "{job=\"J\"}")
        .code(0)
        .out("nothing to delete: ");
    assert_eq!(groups(gateway), ["job=\"j\""]);
}

fn a_dry_run_changes_nothing(gateway: &TestGateway) {
    push(
        gateway,
        &[&["--job=j"], &["--job=j", "-g", "a=1"], &["--job=k"]],
    );
    let before = gateway.samples();
    let arguments = ["delete", "--match={job=\"j\"}", "--dry-run"];
    gateway.sandbox.run_args(arguments).code(0).out(
        "would delete {job=\"j\"}\nwould delete {job=\"j\",a=\"1\"}\nwould delete 2 groups from ",
    );
    let listed = gateway
        .sandbox
        .run_args([&arguments[..], &["--output=json"]].concat());
    let row = |grouping: Json| json!({ "gateway": gateway.name(), "job": "j", "grouping": grouping, "deleted": false, "error": null });
    assert_eq!(
        listed.code(0).json(),
        json!([row(json!({})), row(json!({ "a": "1" }))])
    );
    assert_eq!(gateway.samples(), before);
    let deleted = gateway
        .sandbox
        .run_args(["delete", "--match={job=\"j\"}", "--output=json"]);
    assert_eq!(deleted.code(0).json()[1]["deleted"], true);
    assert_eq!(groups(gateway), ["job=\"k\""]);
}

fn only_groups_that_are_older(gateway: &TestGateway) {
    push(
        gateway,
        &[
            &["--job=j", "-g", "n=1"],
            &["--job=j", "-g", "n=2"],
            &["--job=k"],
        ],
    );
    thread::sleep(Duration::from_millis(4100));
    push(
        gateway,
        &[&["--job=j", "-g", "n=2"], &["--job=j", "-g", "n=3"]],
    );
    let older = |age: &str| {
        let arguments = ["delete", "--match={job=\"j\"}", "--older-than", age];
        gateway.sandbox.run_args(arguments)
    };
    older("1h").code(0).out("nothing to delete: ");
    older("4s")
        .code(0)
        .out("deleted {job=\"j\",n=\"1\"}\n")
        .out("deleted 1 group ");
    assert_eq!(groups(gateway).len(), 3);
}

fn reports_that_wait_do_not_bring_them_back(gateway: &TestGateway) {
    push(gateway, &[&["--job=j", "-g", "n=1"]]);
    for key in ["--job j -g n=1", "--job j -g n=2", "--job k"] {
        gateway.push_down(key, "m 2\n");
    }
    assert_eq!(gateway.sandbox.outbox_len(), 3);
    delete(gateway, "{job=\"j\"}")
        .code(0)
        .out("deleted 1 group from ")
        .out(", and 2 reports in the outbox");
    assert_eq!(gateway.sandbox.outbox_len(), 1);
    gateway.run("outbox flush").code(0);
    assert_eq!(groups(gateway), ["job=\"k\""]);
}

#[test]
fn what_is_typed_wrong() {
    let sandbox = Sandbox::new();
    for (selector, message) in [
        (
            "{job=ci}",
            "error: --match: selector \"{job=ci}\", character 6: expected a value in quotes, as in {job=\"ci\"}, found 'c'",
        ),
        ("{}", "character 1: it selects everything, "),
        ("{job=~\".*\"}", "character 1: it selects everything, "),
        ("up{job=\"x\"}", "groups have labels, but no metric name: "),
        (
            "{job=~\"(\"}",
            "character 7: regular expression \"(\": unclosed group",
        ),
        (
            "{job=~\"(.{1000}){1000}\"}",
            "take more than 2097152 bytes when compiled",
        ),
    ] {
        sandbox
            .run_args(["delete", "--match", selector])
            .code(2)
            .err(message);
    }
    for line in [
        "delete --match {a=\"b\"} --job j",
        "delete --match {a=\"b\"} -g a=b",
        "delete --job j --older-than 7d",
        "delete --match {a=\"b\"} --older-than 7",
        "delete --match {a=\"b\"} --older-than 0s",
        "delete --match {a=\"b\"} --older-than 100y",
        "delete --dry-run",
    ] {
        sandbox.run(line).code(2);
    }
    assert!(!sandbox.state_db().exists());
    sandbox
        .run("delete --match {a=\"b\"}")
        .code(0)
        .out("nothing to delete: ");
    assert!(!sandbox.state_db().exists());
    let down = "delete --match {a=\"b\"} --gateway 127.0.0.1:1";
    sandbox.run(down).code(69).err("could not connect to ");
}

/// A gateway like a Pushgateway, with the groups `n="1"`, `n="2"` and `n="3"`, which responds to deletions of `n="2"`
/// with this status.
fn pushgateway_with_failures(status: &'static str) -> FakeServer {
    FakeServer::responding(move |request| {
        let group = |n: u32| {
            json!({
                "labels": { "job": "j", "n": n.to_string() },
                "push_time_seconds": { "type": "GAUGE", "metrics": [{ "labels": {}, "value": "1" }] },
            })
        };
        let (status, body) = match request.line.split(' ').collect::<Vec<_>>()[..] {
            ["GET", "/api/v1/metrics", _] => {
                let groups: Vec<Json> = (1..=3).map(group).collect();
                (
                    "200 OK",
                    json!({ "status": "success", "data": groups }).to_string(),
                )
            }
            ["DELETE", "/metrics/job/j/n/2", _] => (status, "not this one".into()),
            ["DELETE", path, _] if path.starts_with("/metrics/job/") => {
                ("202 Accepted", String::new())
            }
            _ => ("404 Not Found", String::new()),
        };
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    })
}

#[test]
fn a_group_that_cannot_be_deleted_keeps_no_other() {
    let server = pushgateway_with_failures("500 Internal Server Error");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let delete = sandbox.run("delete --match {job=\"j\"}");
    delete
        .code(69)
        .err("not this one")
        .out("deleted {job=\"j\",n=\"1\"}\ndeleted {job=\"j\",n=\"3\"}\ndeleted 2 groups from ");
    let rows = sandbox
        .run("delete --match {job=\"j\"} --output json")
        .code(69)
        .json();
    let rows = rows.as_array().unwrap();
    let failed: Vec<&Json> = rows.iter().filter(|row| row["deleted"] == false).collect();
    assert_eq!((rows.len(), failed.len()), (3, 1));
    assert_eq!(failed[0]["grouping"], json!({ "n": "2" }));
    assert!(
        failed[0]["error"]
            .as_str()
            .unwrap()
            .contains("not this one")
    );
}

#[test]
fn a_failure_of_all_deletions_is_not_repeated_for_each() {
    let server = pushgateway_with_failures("401 Unauthorized");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let delete = sandbox.run("delete --match {job=\"j\"}");
    delete
        .code(69)
        .out("deleted 1 group from ")
        .err("error: 1 group at http://");
    let lines = server.requests().into_iter().map(|request| request.line);
    assert_eq!(
        lines
            .filter(|line| line.starts_with("DELETE /metrics"))
            .count(),
        2
    );
}

/// Pushes groups by HTTP.
fn put(gateway: &OwnGateway, keys: &[&str]) {
    for key in keys {
        gateway.put(&format!("/metrics/job/{key}"), "m 1\n");
    }
}

fn deletion(gateway: &OwnGateway, query: &str) -> Json {
    let (status, body) = gateway.request("DELETE", &format!("{GROUPS}?{query}"), &[], "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn one_request_in_one_transaction() {
    let sandbox = Sandbox::new();
    let mut gateway = OwnGateway::start(sandbox.path(), &[ADMIN]);
    let features = [
        "ci/branch@base64/ZmVhdHVyZS9h",
        "ci/branch@base64/ZmVhdHVyZS9i",
    ];
    put(&gateway, &features);
    put(&gateway, &["ci", "cd"]);
    let before = gateway.metrics();
    let labels = |branch: &str| json!({ "labels": { "job": "ci", "branch": branch } });
    let data = |is_dry_run: bool| {
        let groups = [labels("feature/a"), labels("feature/b")];
        let data = json!({ "dry_run": is_dry_run, "count": 2, "groups": groups });
        json!({ "status": "success", "data": data })
    };
    let preview = deletion(&gateway, &format!("{FEATURES}&dry_run=true"));
    assert_eq!(preview, data(true));
    assert_eq!(gateway.samples("m{").len(), 4, "{before}");

    let commits = gateway.own("metricsjob_gateway_commits_total");
    assert_eq!(deletion(&gateway, FEATURES), data(false));
    assert_eq!(
        gateway.own("metricsjob_gateway_commits_total"),
        commits + 1.0
    );
    assert_eq!(gateway.samples("m{").len(), 2);
    assert_eq!(deletion(&gateway, FEATURES)["data"]["count"], 0);
    assert!(
        gateway.log().contains("groups were deleted by selectors"),
        "{}",
        gateway.log()
    );
    // It is on the disk.
    gateway.kill();
    let gateway = OwnGateway::start(sandbox.path(), &[ADMIN]);
    assert_eq!(gateway.samples("m{").len(), 2);

    let requests =
        "pushgateway_http_requests_total{code=\"200\",handler=\"api/v1/groups\",method=\"delete\"}";
    deletion(
        &gateway,
        "match[]={job=%22ci%22}&match[]={job=%22cd%22}&older_than=0s",
    );
    assert_eq!(gateway.samples(requests)[requests], 1.0);
    assert!(gateway.samples("m{").is_empty());
}

#[test]
fn requests_that_change_nothing() {
    let gateway = OwnGateway::alone(&[ADMIN, "--web.cors.origin=http://ui.example"]);
    put(&gateway, &["ci/branch/x"]);
    let send = |method: &str, query: &str, headers: &[(&str, &str)]| {
        gateway.request(method, &format!("{GROUPS}{query}"), headers, "")
    };
    for (query, message) in [
        ("", "match[] is missing"),
        ("?match[]={}", "it selects everything"),
        (
            "?match[]={job=ci}",
            "character 6: expected a value in quotes",
        ),
        (
            "?match[]={job=%22ci%22}&older-than=7d",
            "unknown parameter \"older-than\"",
        ),
        (
            "?match[]={job=%22ci%22}&older_than=soon",
            "is not a duration",
        ),
        (
            "?match[]={job=%22ci%22}&dry_run=yes",
            "neither true nor false",
        ),
        (
            "?match[]={job=~%22(.{1000}){1000}%22}",
            "bytes when compiled",
        ),
        ("?match[]=m", "no metric name"),
    ] {
        let (status, body) = send("DELETE", query, &[]);
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains(message), "{query}: {body}");
    }
    let all = "?match[]={job=%22ci%22}";
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(send("DELETE", all, &foreign).0, 403);
    for method in ["GET", "PUT", "POST"] {
        assert_eq!(send(method, all, &[]).0, 405, "{method}");
    }
    let allowed = [("Origin", "http://ui.example")];
    let options = gateway.exchange("OPTIONS", GROUPS, &allowed, "");
    assert_eq!(options.headers["allow"], "DELETE, OPTIONS");
    assert_eq!(
        options.headers["access-control-allow-origin"],
        "http://ui.example"
    );
    assert_eq!(gateway.samples("m{").len(), 1);
}

#[test]
fn without_the_admin_api_they_go_one_by_one() {
    let gateway = OwnGateway::alone(&[]);
    put(&gateway, &["ci/branch/x", "ci/branch/y", "cd"]);
    let all = format!("{GROUPS}?match[]={{job=%22ci%22}}");
    assert_eq!(gateway.request("DELETE", &all, &[], "").0, 404);
    assert_eq!(gateway.samples("m{").len(), 3);
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
    let delete = sandbox.run("delete --match {job=\"ci\"}");
    delete
        .code(0)
        .out("deleted 2 groups from ")
        .out(" one by one: ");
    assert_eq!(gateway.samples("m{").len(), 1);

    let gateway = OwnGateway::alone(&[ADMIN]);
    put(&gateway, &["ci/branch/x", "ci/branch/y", "cd"]);
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
    let delete = sandbox.run("delete --match {job=\"ci\"} --older-than 1ms");
    delete.code(0).out("deleted 2 groups from ");
    assert!(
        !delete.stdout().contains("one by one"),
        "{}",
        delete.stdout()
    );
    assert_eq!(gateway.samples("m{").len(), 1);
}

/// Who may change the state may do so through the gateway that serves it.
#[test]
fn through_the_gateway_that_serves_the_state() {
    let sandbox = Sandbox::new();
    let state = sandbox.state_db();
    let gateway = OwnGateway::start(state.parent().unwrap(), &[]);
    put(&gateway, &["ci/branch/x", "ci/branch/y", "cd"]);
    let commits = gateway.own("metricsjob_gateway_commits_total");
    let delete = sandbox.run("delete --match {job=\"ci\"}");
    delete
        .code(0)
        .out("deleted 2 groups from the embedded gateway");
    assert!(
        !delete.stdout().contains("one by one"),
        "{}",
        delete.stdout()
    );
    assert_eq!(
        gateway.own("metricsjob_gateway_commits_total"),
        commits + 1.0
    );
    assert_eq!(gateway.samples("m{").len(), 1);
}

#[test]
fn many_groups() {
    let gateway = OwnGateway::alone(&[ADMIN]);
    // Long enough that the response has no room for all.
    let long = "x".repeat(3000);
    for n in 0..600 {
        gateway.put(&format!("/metrics/job/many/n/{n}/long/{long}"), "m 1\n");
    }
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
    let delete = sandbox.run("delete --match {n=~\".+\",n!~\"1.*\"}");
    let left = (0..600).filter(|n| n.to_string().starts_with('1')).count();
    delete
        .code(0)
        .out(&format!("deleted {} groups from ", 600 - left))
        .err("groups of these are not listed");
    assert!(delete.stdout().len() < 2 << 20);
    assert_eq!(gateway.samples("m{").len(), left);
}
