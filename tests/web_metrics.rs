//! What a server says of its requests, of itself and of its machine, and its access log.

use std::io::{Read, Write};
use std::thread;

use crate::common::eventually;
use crate::common::own_gateway::OwnGateway;

const GROUP: &str = "/metrics/job/{job}/*labels";

/// How many series begin with `start`.
fn count(gateway: &OwnGateway, start: &str) -> usize {
    gateway.samples(start).len()
}

#[test]
fn requests_by_route_template() {
    let gateway = OwnGateway::alone(&["--web.enable-admin-api"]);
    for n in 0..20 {
        gateway.put(&format!("/metrics/job/j{n}/a/{n}"), "m 1\n");
        gateway.put(&format!("/metrics/job@base64/ag/b/{n}"), "n 1\n");
        assert_eq!(gateway.get(&format!("/unknown/{n}")).0, 404);
        let (status, _) = gateway.request(&format!("BREW{n}"), "/", &[], "");
        assert_eq!(status, 405);
    }
    for path in [
        "/",
        "/status",
        "/static/page.css",
        "/static/icon.svg",
        "/api/v1/status",
        "/-/ready",
    ] {
        assert_eq!(gateway.get(path).0, 200, "{path}");
    }
    assert_eq!(gateway.get("/api//v1/status/").0, 301);
    gateway.request("PUT", "/api/v1/admin/wipe", &[], "");
    gateway.metrics();
    let requests = gateway.samples("http_requests_total{");
    let expected = [
        (GROUP, "PUT", 200, 40.0),
        ("other", "GET", 404, 20.0),
        ("/", "other", 405, 20.0),
        ("/", "GET", 200, 2.0),
        ("/static/*", "GET", 200, 2.0),
        ("/api/v1/status", "GET", 200, 1.0),
        ("/api/v1/status", "GET", 301, 1.0),
        ("/api/v1/admin/wipe", "PUT", 202, 1.0),
        ("/-/ready", "GET", 200, 1.0),
        ("/metrics", "GET", 200, 1.0),
    ];
    for (endpoint, method, status, count) in expected {
        let series = format!(
            "http_requests_total{{endpoint=\"{endpoint}\",method=\"{method}\",status_code=\"{status}\"}}"
        );
        assert_eq!(
            requests.get(&series),
            Some(&count),
            "{series}: {requests:#?}"
        );
    }
    assert_eq!(requests.len(), expected.len(), "{requests:#?}");
}

#[test]
fn paths_of_strangers_make_no_series() {
    let gateway = OwnGateway::alone(&[]);
    // On few connections, as there are so many.
    let request = |start: usize| {
        let mut stream = gateway.connect();
        let mut reader = stream.try_clone().unwrap();
        let reader = thread::spawn(move || {
            let mut answers = Vec::new();
            reader.read_to_end(&mut answers).unwrap();
            let answers = String::from_utf8_lossy(&answers);
            answers.matches("HTTP/1.1 404").count()
        });
        for n in start..start + 25_000 {
            let end = if n + 1 == start + 25_000 {
                "Connection: close\r\n"
            } else {
                ""
            };
            let text = format!("M{n} /{n}/%{n} HTTP/1.1\r\nHost: localhost\r\n{end}\r\n");
            stream.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(reader.join().unwrap(), 25_000);
    };
    request(0);
    let before = count(&gateway, "http_");
    thread::scope(|scope| {
        for at in 1..4 {
            let request = &request;
            scope.spawn(move || request(at * 25_000));
        }
    });
    // The scrapes between them made some.
    let of_scrapes = gateway
        .samples("http_")
        .keys()
        .filter(|series| series.contains("/metrics"))
        .count();
    assert_eq!(count(&gateway, "http_") - of_scrapes, before);
    let series = r#"http_requests_total{endpoint="other",method="other",status_code="404"}"#;
    assert_eq!(gateway.samples("http_requests_total")[series], 100_000.0);
}

#[test]
fn sizes_durations_and_errors() {
    let gateway = OwnGateway::alone(&[]);
    let errors = |kind: &str| {
        let series = format!("errors_total{{service=\"gateway\",type=\"{kind}\"}}");
        gateway.samples("errors_total")[&series]
    };
    assert_eq!([errors("client_error"), errors("server_error")], [0.0, 0.0]);
    gateway.put("/metrics/job/j", "m 1\n");
    let (status, refusal) = gateway.request("PUT", "/metrics/job/j", &[], "not a metric\n");
    assert_eq!(status, 400);
    assert_eq!([errors("client_error"), errors("server_error")], [1.0, 0.0]);
    let of_pushes = |name: &str| {
        let series = format!("{name}{{endpoint=\"{GROUP}\",method=\"PUT\"}}");
        gateway.samples(name)[&series]
    };
    assert_eq!(of_pushes("http_request_size_bytes_sum"), 17.0);
    assert_eq!(of_pushes("http_request_size_bytes_count"), 2.0);
    assert_eq!(
        of_pushes("http_response_size_bytes_sum"),
        refusal.len() as f64
    );
    assert_eq!(of_pushes("http_request_duration_seconds_count"), 2.0);
    let seconds = of_pushes("http_request_duration_seconds_sum");
    assert!((1e-6..60.0).contains(&seconds), "{seconds}");
    // What is sent of a scrape, which is what the next one says.
    let text = gateway.metrics();
    let scrapes = gateway.samples("http_response_size_bytes_sum");
    let sent = scrapes[r#"http_response_size_bytes_sum{endpoint="/metrics",method="GET"}"#];
    assert!(sent >= text.len() as f64);
}

#[test]
fn in_flight() {
    let gateway = OwnGateway::alone(&[]);
    // The scrape.
    assert_eq!(gateway.own("http_requests_in_flight"), 1.0);
    let mut stream = gateway.connect();
    let head = "PUT /metrics/job/j HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nm ";
    stream.write_all(head.as_bytes()).unwrap();
    eventually("the push is in flight", || {
        gateway.own("http_requests_in_flight") == 2.0
    });
    stream.write_all(b"1\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(gateway.own("http_requests_in_flight"), 1.0);
    // One that goes away.
    let mut stream = gateway.connect();
    stream.write_all(head.as_bytes()).unwrap();
    eventually("the push is in flight", || {
        gateway.own("http_requests_in_flight") == 2.0
    });
    drop(stream);
    eventually("the push is gone", || {
        gateway.own("http_requests_in_flight") == 1.0
    });
}

#[test]
fn refused_by_the_web_config() {
    let dir = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("password", 4).unwrap();
    let config = dir.path().join("web.yml");
    std::fs::write(&config, format!("basic_auth_users: {{alice: {hash}}}")).unwrap();
    let gateway = OwnGateway::alone(&["--web.config.file", config.to_str().unwrap()]);
    assert_eq!(gateway.get("/metrics").0, 401);
    let credentials = [("Authorization", "Basic YWxpY2U6cGFzc3dvcmQ=")];
    let (status, text) = gateway.request("GET", "/metrics", &credentials, "");
    assert_eq!(status, 200);
    let line = r#"http_requests_total{endpoint="other",method="GET",status_code="401"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains(r#"errors_total{service="gateway",type="client_error"} 1"#));
}

#[test]
fn pushes_are_not_refused_because_of_them() {
    let gateway = OwnGateway::alone(&[]);
    gateway.metrics();
    let before = gateway.metrics();
    for name in [
        "http_requests_total",
        "http_request_duration_seconds",
        "http_response_size_bytes_sum",
        "errors_total",
        "process_threads",
        "system_tcp_connections",
        "metricsjob_build_info",
    ] {
        assert!(before.contains(name), "{name}");
        for kind in ["gauge", "counter", "untyped"] {
            let path = format!("/metrics/job/{name}");
            gateway.put(&path, format!("# TYPE {name} {kind}\n{name} 7\n"));
            let text = gateway.metrics();
            let line = format!("{name}{{instance=\"\",job=\"{name}\"}} 7\n");
            assert!(text.contains(&line), "{name} {kind}");
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
        }
        gateway.request("DELETE", &format!("/metrics/job/{name}"), &[], "");
    }
    // They are there again.
    assert!(
        gateway
            .metrics()
            .contains("# TYPE http_requests_total counter\n")
    );
    // As at a Pushgateway.
    let body = "# TYPE process_open_fds counter\nprocess_open_fds 1\n";
    assert_eq!(gateway.request("PUT", "/metrics/job/j", &[], body).0, 400);
}

#[test]
fn process_runtime_and_machine() {
    let gateway = OwnGateway::alone(&[]);
    eventually("time passes", || {
        gateway.own("metricsjob_uptime_seconds") > 0.0
    });
    assert!(gateway.own("process_threads") >= 2.0);
    assert!(gateway.own("tokio_workers") >= 1.0);
    assert!(gateway.own("tokio_alive_tasks") >= 1.0);
    let busy = gateway.own("system_cpu_usage_ratio");
    assert!((0.0..=1.0).contains(&busy), "{busy}");
    let memory = gateway.own("system_memory_usage_bytes");
    assert!((1.0..gateway.own("system_memory_total_bytes")).contains(&memory));
    let tcp = gateway.samples("system_tcp_connections{");
    assert_eq!(tcp.len(), 11);
    assert!(tcp[r#"system_tcp_connections{state="listen"}"#] >= 1.0);
    let build: Vec<_> = gateway
        .samples("metricsjob_build_info")
        .into_iter()
        .collect();
    let [(series, value)] = &build[..] else {
        panic!("{build:?}")
    };
    assert_eq!(*value, 1.0);
    let version = env!("CARGO_PKG_VERSION");
    for label in [
        "revision=\"",
        "rustversion=\"1.",
        &format!("version=\"{version}\""),
    ] {
        assert!(series.contains(label), "{series}");
    }
    // Its connections are open files.
    let before = gateway.own("process_open_fds");
    let connections: Vec<_> = (0..10).map(|_| gateway.connect()).collect();
    eventually("they are open", || {
        gateway.own("process_open_fds") >= before + 9.0
    });
    drop(connections);
}

#[test]
fn access_log() {
    let gateway = OwnGateway::alone(&["--log.level=debug"]);
    gateway.put("/metrics/job/a%0Ab/c/d", "m 1\n");
    gateway.logs("level=debug msg=request method=PUT endpoint=/metrics/job/{job}/*labels path=/metrics/job/a%0Ab/c/d status=200 seconds=");
    gateway.get("/a=b");
    gateway.logs("endpoint=other path=\"/a=b\" status=404 seconds=");
    eventually("its sizes and its client", || {
        let log = gateway.log();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("msg=request method=PUT"));
        let line = lines.next().unwrap_or_default();
        let end = line.split_once(" request_bytes=").map(|(_, end)| end);
        end.is_some_and(|end| end.starts_with("4 response_bytes=0 client=127.0.0.1:"))
    });
    // Only ours, whatever libraries have to say.
    for line in gateway.log().lines() {
        assert!(line.starts_with("ts=2"), "{line}");
        assert!(!line.contains("hyper"), "{line}");
    }

    let gateway = OwnGateway::alone(&["--log.format=json", "--log.level=debug"]);
    gateway.get("/-/ready");
    gateway.logs(r#","level":"debug","msg":"request","method":"GET","endpoint":"/-/ready","path":"/-/ready","status":200,"seconds":"#);

    let gateway = OwnGateway::alone(&[]);
    gateway.get("/-/ready");
    gateway.metrics();
    assert!(!gateway.log().contains("msg=request"));
}
