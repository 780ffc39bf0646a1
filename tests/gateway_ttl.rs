//! `--ttl` and the header `Pushgateway-TTL`: a gateway removes a group to which nothing was pushed for so long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, TestGateway, eventually};

on_each_gateway!(jobs_with_a_ttl_report_to_any_gateway);

const TTL: &str = "metricsjob_gateway_group_ttl_seconds";

/// Pushes with a time to live. Returns the status and the body of the response.
fn push(gateway: &OwnGateway, method: &str, job: &str, ttl: &str, body: &str) -> (u16, String) {
    let headers = [("Pushgateway-TTL", ttl)];
    gateway.request(method, &format!("/metrics/job/{job}"), &headers, body)
}

fn has(gateway: &OwnGateway, job: &str) -> bool {
    gateway.value(job, "m").is_some()
}

fn dir(sandbox: &Sandbox) -> PathBuf {
    sandbox.state_db().parent().unwrap().to_owned()
}

#[test]
fn a_group_goes_when_nothing_was_pushed_for_so_long() {
    let gateway = OwnGateway::alone(&[]);
    gateway.put("/metrics/job/forever", "m 1\n");
    let start = Instant::now();
    assert_eq!(push(&gateway, "PUT", "short", "1s 500ms", "m 1\n").0, 200);
    assert_eq!(push(&gateway, "POST", "long", "36h", "m 1\n").0, 200);
    assert_eq!(gateway.value("short", TTL), Some(1.5));
    assert_eq!(gateway.value("long", TTL), Some(129_600.0));
    assert_eq!(gateway.value("forever", TTL), None);
    eventually("it has expired", || !has(&gateway, "short"));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    assert!(has(&gateway, "long") && has(&gateway, "forever"));
    assert_eq!(gateway.value("short", TTL), None);
    assert_eq!(gateway.own("metricsjob_gateway_expired_groups_total"), 1.0);
    gateway.logs("msg=\"group expired\" group=\"job=\\\"short\\\"\"");
}

/// Each push counts, also one that is refused.
#[test]
fn pushes_keep_it_alive_and_leave_its_ttl() {
    let gateway = OwnGateway::alone(&[]);
    gateway.put("/metrics/job/other", "# TYPE m gauge\nm 1\n");
    push(&gateway, "PUT", "j", "2s", "# TYPE m gauge\nm 1\n");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        gateway.put("/metrics/job/j", "# TYPE m gauge\nm 2\n");
        assert_eq!(gateway.value("j", TTL), Some(2.0));
        std::thread::sleep(Duration::from_millis(300));
    }
    while start.elapsed() < Duration::from_secs(7) {
        let (status, _) = push(&gateway, "POST", "j", "9h", "# TYPE m counter\nm 3\n");
        assert_eq!(status, 400);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(gateway.value("j", TTL), Some(2.0));
    assert_eq!(gateway.value("j", "m"), Some(2.0));
    eventually("it has expired", || !has(&gateway, "j"));
}

#[test]
fn zero_removes_it() {
    let gateway = OwnGateway::alone(&[]);
    push(&gateway, "PUT", "j", "1s", "m 1\n");
    assert_eq!(push(&gateway, "POST", "j", "0", "").0, 200);
    assert_eq!(gateway.value("j", TTL), None);
    // Deleted and made again, it has none either.
    push(&gateway, "PUT", "k", "1h", "m 1\n");
    gateway.request("DELETE", "/metrics/job/k", &[], "");
    gateway.put("/metrics/job/k", "m 1\n");
    assert_eq!(gateway.value("k", TTL), None);
    std::thread::sleep(Duration::from_secs(2));
    assert!(has(&gateway, "j"));
}

#[test]
fn it_takes_precedence_over_the_gateways() {
    let gateway = OwnGateway::alone(&["--group.ttl=2s"]);
    gateway.put("/metrics/job/none", "m 1\n");
    push(&gateway, "PUT", "longer", "1h", "m 1\n");
    push(&gateway, "PUT", "zero", "1h", "m 1\n");
    push(&gateway, "PUT", "zero", "0s", "m 1\n");
    let start = Instant::now();
    push(&gateway, "PUT", "shorter", "300ms", "m 1\n");
    eventually("one expires", || !has(&gateway, "shorter"));
    assert!(start.elapsed() < Duration::from_millis(1900) && has(&gateway, "none"));
    eventually("the others expire", || {
        !has(&gateway, "none") && !has(&gateway, "zero")
    });
    assert!(has(&gateway, "longer"));
    let page = gateway.get("/").1;
    assert!(
        page.contains("<dt>Time to live</dt><dd>60 minutes after the last push</dd>"),
        "{page}"
    );
    assert!(
        page.contains("unless it has a time to live of its own"),
        "{page}"
    );
}

#[test]
fn it_survives_the_end_of_the_gateway_and_kill() {
    let sandbox = Sandbox::new();
    let mut gateway = OwnGateway::start(&dir(&sandbox), &[]);
    push(&gateway, "PUT", "a", "2s", "m 1\n");
    push(&gateway, "PUT", "b", "1h", "m 1\n");
    // Of the row that it is folded into, and of the log.
    std::thread::sleep(Duration::from_millis(1500));
    push(&gateway, "PUT", "c", "2h", "m 1\n");
    push(&gateway, "PUT", "d", "3h", "m 1\n");
    push(&gateway, "PUT", "d", "0", "m 1\n");
    gateway.kill();
    std::thread::sleep(Duration::from_secs(1));
    let gateway = OwnGateway::start(&dir(&sandbox), &[]);
    eventually("what has expired meanwhile goes", || !has(&gateway, "a"));
    let ttls = ["b", "c", "d"].map(|job| gateway.value(job, TTL));
    assert_eq!(ttls, [Some(3600.0), Some(7200.0), None]);
    drop(gateway);
    // After an orderly end too, and to other gateways.
    let gateway = OwnGateway::start(&dir(&sandbox), &[]);
    assert_eq!(gateway.value("c", TTL), Some(7200.0));
    let importer = Sandbox::new();
    importer
        .run(&format!("gateway import {}", gateway.url()))
        .code(0)
        .out("imported 3 groups");
    let imported = OwnGateway::start(&dir(&importer), &[]);
    assert_eq!(imported.value("b", TTL), Some(3600.0));
}

#[test]
fn a_header_that_is_no_duration_is_refused() {
    let gateway = OwnGateway::alone(&[]);
    for (value, problem) in [
        ("1 hor", "unknown time unit"),
        ("36", "time unit needed"),
        ("", "value was empty"),
        ("-1s", "expected number at 0"),
        ("99999999999999999999h", "number is too large"),
    ] {
        let (status, text) = push(&gateway, "PUT", "j", value, "m 1\n");
        assert_eq!(status, 400, "{value:?}");
        assert!(
            text.starts_with(&format!("Pushgateway-TTL {value:?} is not a duration: ")),
            "{text}"
        );
        assert!(text.contains(problem), "{text}");
    }
    assert!(!has(&gateway, "j"));
    // Far beyond the end of time.
    assert_eq!(push(&gateway, "PUT", "j", "500000000years", "m 1\n").0, 200);
    assert!(has(&gateway, "j"));
}

#[test]
fn no_push_can_show_another_one() {
    let gateway = OwnGateway::alone(&[]);
    let body = format!("# TYPE {TTL} gauge\n{TTL} 7\nm 1\n");
    push(&gateway, "PUT", "j", "1h", &body);
    gateway.put("/metrics/job/k", &body);
    assert_eq!(gateway.value("j", TTL), Some(3600.0));
    assert_eq!(gateway.value("k", TTL), None);
    assert!(has(&gateway, "k"));
}

#[test]
fn the_api_and_selectors_show_it() {
    let gateway = OwnGateway::alone(&[]);
    push(&gateway, "PUT", "j", "1h", "m 1\n");
    gateway.put("/metrics/job/k", "m 1\n");
    let api: serde_json::Value = serde_json::from_str(&gateway.get("/api/v1/metrics").1).unwrap();
    assert_eq!(api["data"][0][TTL]["metrics"][0]["value"], "3600");
    assert!(api["data"][1].get(TTL).is_none());
    let selected = gateway.get(&format!("/metrics?match[]={TTL}")).1;
    let samples: Vec<&str> = selected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(samples, [format!("{TTL}{{instance=\"\",job=\"j\"}} 3600")]);
}

/// Also from the outbox, where a newer report takes the place of an older one.
#[test]
fn it_is_delivered_later_too() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::alone(&[]);
    let down = "http://127.0.0.1:1";
    let push = |options: &str, body: &str| {
        let line = format!("push --job j --gateway {down} {options}");
        sandbox.run_with_input(&line, body).code(69);
    };
    push("--ttl 1h", "m 1\n");
    push("--method put", "m 2\n");
    sandbox.redirect_outbox(down, &gateway.url());
    sandbox
        .run(&format!("outbox flush --gateway {}", gateway.url()))
        .code(0);
    assert_eq!(gateway.value("j", "m"), Some(2.0));
    assert_eq!(gateway.value("j", TTL), Some(3600.0));
}

/// A Pushgateway ignores it.
fn jobs_with_a_ttl_report_to_any_gateway(gateway: &TestGateway) {
    gateway.run("exec --job j --ttl 36h -- true").code(0);
    gateway
        .sandbox
        .run_with_input("push --job k --ttl 0", "m 1\n")
        .code(0);
    assert_eq!(gateway.value("j", "batch_job_success"), Some(1.0));
    assert_eq!(gateway.value("k", "m"), Some(1.0));
}

/// Without a process that serves it, nothing is removed, and nothing shows what will be.
#[test]
fn the_embedded_gateway_hides_what_has_expired() {
    let sandbox = Sandbox::new();
    sandbox.run("exec --job short --ttl 1s -- true").code(0);
    sandbox.run("exec --job long --ttl 1h -- true").code(0);
    sandbox.run("status").code(0).out("short");
    eventually("it has expired", || {
        !sandbox.run("status").stdout().contains("short")
    });
    sandbox.run("status").code(0).out("long");
    let gateway = OwnGateway::start(&dir(&sandbox), &[]);
    eventually("it is removed", || {
        gateway.own("metricsjob_gateway_groups") == 1.0
    });
    assert_eq!(gateway.value("long", TTL), Some(3600.0));
    // A run gives its report to the gateway that serves the state.
    sandbox.run("exec --job long --ttl 2h -- true").code(0);
    assert_eq!(gateway.value("long", TTL), Some(7200.0));
}

#[test]
fn a_bad_ttl_is_named() {
    let sandbox = Sandbox::new();
    let bad = sandbox.run("exec --job j --ttl 36 -- true");
    bad.code(2)
        .err("error: invalid value '36' for '--ttl <DURATION>': needs a unit: 36s, 36m");
    sandbox
        .run("push --job j --ttl soon /dev/null")
        .code(2)
        .err("is not a duration");
    // A dry run shows the header.
    let dry = sandbox.run("exec --job j --ttl 36h --dry-run -- true");
    dry.code(0).out("\nPushgateway-TTL: 1day 12h\n\n");
}
