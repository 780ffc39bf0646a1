//! The cost of one client of the gateway: its series are bounded, its memory is given back, and scrapes share their work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::own_gateway::OwnGateway;
use crate::common::{awaited, eventually};

const TOO_LARGE: u16 = 413;
const FULL: u16 = 507;

fn families(count: usize) -> String {
    (0..count).map(|n| format!("family_{n} 1\n")).collect()
}

#[test]
fn series_of_a_push() {
    let gateway = OwnGateway::alone(&["--push.max-series=3"]);
    let histogram =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
    gateway.put("/metrics/job/j", families(3));
    gateway.put(
        "/metrics/job/j",
        format!("{histogram}a 1\nb{{x=\"1\"}} 1\n"),
    );
    let before = gateway.metrics();
    let shown = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("job=\"j\""));
        lines.map(str::to_owned).collect()
    };
    // A counter in each message.
    let protobuf: Vec<u8> = (b'a'..b'e')
        .flat_map(|name| [7, 0x0a, 1, name, 0x22, 2, 0x1a, 0])
        .collect();
    let content_type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    for (headers, body) in [
        (&[][..], families(4).into_bytes()),
        (
            &[],
            b"m{a=\"1\"} 1\nm{a=\"2\"} 1\nm{a=\"3\"} 1\nm{a=\"4\"} 1\n".to_vec(),
        ),
        // Families without series take memory, too.
        (
            &[],
            b"# TYPE a gauge\n# TYPE b gauge\n# TYPE c gauge\n# TYPE d gauge\n".to_vec(),
        ),
        (&[("Content-Type", content_type)], protobuf),
    ] {
        let (status, text) = gateway.request("PUT", "/metrics/job/j", headers, body);
        assert_eq!(status, TOO_LARGE, "{text}");
        assert!(text.contains("more than 3 series"), "{text}");
        assert!(text.contains("--push.max-series"), "{text}");
    }
    assert_eq!(shown(&gateway.metrics()), shown(&before));
}

#[test]
fn a_million_families_are_refused_by_default() {
    let gateway = OwnGateway::alone(&[]);
    let (status, text) = gateway.request("PUT", "/metrics/job/j", &[], families(1_000_000));
    assert_eq!(status, TOO_LARGE, "{text}");
    assert!(text.contains("100000"), "{text}");
    gateway.put("/metrics/job/j", families(100_000));
}

#[test]
fn series_of_all_groups() {
    // Two series for the push times of each group.
    let gateway = OwnGateway::alone(&["--storage.max-series=10"]);
    let push = |path: &str, count| gateway.request("POST", path, &[], families(count));
    gateway.put("/metrics/job/a", "a 1\nb 1\n");
    assert_eq!(push("/metrics/job/b", 4).0, 200);
    let (status, text) = push("/metrics/job/c", 0);
    assert_eq!(status, FULL, "{text}");
    assert!(text.contains("--storage.max-series"), "{text}");
    // A refusal makes no group either, and marks one that is there.
    assert_eq!(
        gateway
            .request("PUT", "/metrics/job/c", &[], "a{job=\"x\"} 1 5\n")
            .0,
        FULL
    );
    assert_eq!(push("/metrics/job/a", 1).0, FULL);
    let failed = gateway.value("a", "push_failure_time_seconds");
    assert!(failed.unwrap() > 0.0);
    assert_eq!(gateway.own("metricsjob_gateway_groups"), 2.0);
    assert_eq!(gateway.own("metricsjob_gateway_series"), 6.0);
    assert_eq!(gateway.own("metricsjob_gateway_series_limit"), 10.0);
    // As many can be replaced, and fewer make room.
    gateway.put("/metrics/job/a", "c 1\nd 1\n");
    gateway.put("/metrics/job/a", "c 1\n");
    gateway.put("/metrics/job/b", "e 1\n");
    assert_eq!(push("/metrics/job/c", 2).0, 200);
    assert_eq!(gateway.request("DELETE", "/metrics/job/c", &[], "").0, 202);
    assert_eq!(push("/metrics/job/d", 2).0, 200);
}

#[test]
fn a_lower_limit_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = OwnGateway::start(dir.path(), &[]);
    gateway.put("/metrics/job/a", families(10));
    gateway.terminate();
    drop(gateway);
    let gateway = OwnGateway::start(dir.path(), &["--storage.max-series=4"]);
    gateway.put("/metrics/job/a", families(9));
    assert_eq!(
        gateway.request("PUT", "/metrics/job/b", &[], "m 1\n").0,
        FULL
    );
    let flags = ["--storage.max-series=4", "--push.disable-consistency-check"];
    drop(gateway);
    let gateway = OwnGateway::start(dir.path(), &flags);
    assert_eq!(
        gateway.request("PUT", "/metrics/job/b", &[], "m 1\n").0,
        FULL
    );
}

#[test]
fn memory_after_everything_was_deleted() {
    let gateway = OwnGateway::alone(&["--push.max-series=200000"]);
    gateway.put("/metrics/job/first", "first 1\n");
    gateway.metrics();
    let before = gateway.resident_mib();
    gateway.put("/metrics/job/large", families(200_000));
    gateway.metrics();
    let large = gateway.resident_mib();
    assert!(large > before + 48, "{before} MiB, then {large} MiB");
    gateway.request("DELETE", "/metrics/job/large", &[], "");
    // Others go on meanwhile: it does not take an idle gateway.
    let after = awaited(Duration::from_secs(10), || {
        gateway.put("/metrics/job/first", "first 1\n");
        let after = gateway.resident_mib();
        let is_free = after <= before + 32;
        let memory = format!("{before} MiB, {large} MiB, {after} MiB");
        is_free.then_some(after).ok_or(memory)
    });
    println!("{before} MiB before, {large} MiB with it, {after} MiB after");
}

#[test]
fn scrapes_whose_clients_have_gone() {
    let gateway = OwnGateway::alone(&[]);
    gateway.put("/metrics/job/large", families(50_000));
    let ask = || {
        let mut stream = gateway.connect();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
            Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let answered = |mut stream: TcpStream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(all.starts_with(b"HTTP/1.1 200 "), "{} bytes", all.len());
        all
    };
    let start = Instant::now();
    answered(ask());
    let one = start.elapsed();
    let start = Instant::now();
    for _ in 0..300 {
        drop(ask());
    }
    answered(ask());
    let took = start.elapsed();
    println!("one takes {one:?}, one after 300 that have gone {took:?}");
    assert!(
        took < 20 * one + Duration::from_secs(2),
        "{one:?}, then {took:?}"
    );

    // Those who stay are served all, and what was pushed before they asked is there.
    let streams: Vec<TcpStream> = (0..20).map(|_| ask()).collect();
    gateway.put("/metrics/job/new", "pushed_before 1\n");
    let last = answered(ask());
    assert!(last.windows(13).any(|bytes| bytes == b"pushed_before"));
    streams.into_iter().map(answered).for_each(drop);
    eventually("it is unharmed", || gateway.get("/-/ready").0 == 200);
}
