//! The API under real requests: all series with their values, and the access log.

use examples_harness::{Program, Response, awaited};
use serde_json::{Value, json};

use crate::{USERS, body, start};

const HEALTH: &str = "/api/v1/health";

fn post(api: &Program, body: &str) -> Response {
    api.request(
        "POST",
        USERS,
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    )
}

#[test]
fn users() {
    let api = start();
    let list = body(&api.get(USERS));
    assert_eq!((&list["total"], &list["active"]), (&json!(3), &json!(2)));
    for (n, user) in list["users"].as_array().unwrap().iter().enumerate() {
        assert_eq!(user["id"], n + 1);
        for key in ["name", "email", "status", "created"] {
            assert!(user[key].is_string(), "{key}");
        }
        assert_eq!(body(&api.get(&format!("{USERS}/{}", n + 1))), *user);
    }
    let created = post(
        &api,
        r#"{"name": "Alan \"T\"", "email": "alan@example.com", "id": 99}"#,
    );
    assert_eq!(created.status, 201);
    let created = body(&created);
    assert_eq!(
        (&created["id"], &created["status"]),
        (&json!(4), &json!("active"))
    );
    assert_eq!(created["name"], "Alan \"T\"");
    assert_eq!(body(&api.get(&format!("{USERS}/4"))), created);
    let list = body(&api.get(USERS));
    assert_eq!((&list["total"], &list["active"]), (&json!(4), &json!(3)));
    assert_eq!(api.request("HEAD", USERS, &[], b"").status, 200);
    api.terminate();
}

#[test]
fn health() {
    let api = start();
    // One of fifty is unhealthy but for a chance of 1 in 2,500.
    let checks: Vec<Response> = (0..50).map(|_| api.get(HEALTH)).collect();
    let mut failures = 0.0;
    for check in &checks {
        let body = body(check);
        let is_up = |check: &str| match body["checks"][check].as_str() {
            Some("up") => true,
            Some("down") => false,
            _ => panic!("{body}"),
        };
        let is_healthy = is_up("database") && is_up("cache");
        assert_eq!(check.status, if is_healthy { 200 } else { 503 });
        assert_eq!(
            body["status"],
            if is_healthy { "healthy" } else { "unhealthy" }
        );
        assert!(body["timestamp"].is_string() && body["uptime"].as_f64().unwrap() > 0.0);
        failures += f64::from(!is_healthy);
    }
    let shown = |series: &str| api.value(series).unwrap_or(0.0);
    let requests = |status: u16| {
        shown(&format!(
            r#"http_requests_total{{endpoint="{HEALTH}",method="GET",status_code="{status}"}}"#
        ))
    };
    assert_eq!((requests(200), requests(503)), (50.0 - failures, failures));
    assert_eq!(
        shown(r#"errors_total{service="system",type="health_check_failed"}"#),
        failures
    );
    assert_eq!(
        shown(r#"errors_total{service="http",type="server_error"}"#),
        failures
    );
    assert_eq!(
        shown(r#"feature_usage_total{feature="health_check",user_type="system"}"#),
        50.0
    );
    let times = |status: &str| {
        shown(&format!(
            r#"processing_time_seconds_count{{operation="health_check",status="{status}"}}"#
        ))
    };
    assert_eq!(
        (times("success"), times("error")),
        (50.0 - failures, failures)
    );
    api.terminate();
}

#[test]
fn all_series() {
    let api = start();
    assert_eq!(api.value("active_users"), Some(2.0));
    let mut sizes = 0;
    for _ in 0..3 {
        sizes += api.get(USERS).body.len();
    }
    let mut created = 0;
    for n in 0..2 {
        let body = format!(r#"{{"name": "n{n}", "email": "{n}@example.com"}}"#);
        let response = post(&api, &body);
        assert_eq!(response.status, 201);
        created += response.body.len();
    }
    assert_eq!(post(&api, "{").status, 400);
    for (id, status) in [("1", 200), ("5", 200), ("6", 404), ("x", 400)] {
        assert_eq!(api.get(&format!("{USERS}/{id}")).status, status);
    }
    assert_eq!(api.get("/secret/../path").status, 404);
    api.shows(
        r#"background_jobs{job_type="welcome_email",status="completed"}"#,
        2.0,
    );

    let get = r#"endpoint="/api/v1/users",method="GET""#;
    let create = r#"endpoint="/api/v1/users",method="POST""#;
    let one = r#"endpoint="/api/v1/users/{id}",method="GET""#;
    for (series, value) in [
        (
            format!(r#"http_requests_total{{{get},status_code="200"}}"#),
            3.0,
        ),
        (
            format!(r#"http_requests_total{{{create},status_code="201"}}"#),
            2.0,
        ),
        (
            format!(r#"http_requests_total{{{create},status_code="400"}}"#),
            1.0,
        ),
        (
            format!(r#"http_requests_total{{{one},status_code="200"}}"#),
            2.0,
        ),
        (
            format!(r#"http_requests_total{{{one},status_code="404"}}"#),
            1.0,
        ),
        (
            format!(r#"http_requests_total{{{one},status_code="400"}}"#),
            1.0,
        ),
        (
            r#"http_requests_total{endpoint="other",method="GET",status_code="404"}"#.into(),
            1.0,
        ),
        (format!("http_request_duration_seconds_count{{{get}}}"), 3.0),
        (
            format!(r#"http_request_duration_seconds_bucket{{{get},le="2.5"}}"#),
            3.0,
        ),
        (
            format!("http_response_size_bytes_sum{{{get}}}"),
            sizes as f64,
        ),
        (
            format!(r#"http_response_size_bytes_bucket{{{get},le="100"}}"#),
            0.0,
        ),
        (
            format!(r#"http_response_size_bytes_bucket{{{get},le="1000"}}"#),
            3.0,
        ),
        (
            format!(r#"http_response_size_bytes_bucket{{{get},le="1000000"}}"#),
            3.0,
        ),
        (format!("http_response_size_bytes_count{{{create}}}"), 3.0),
        ("http_requests_in_flight".into(), 0.0),
        ("user_registrations_total".into(), 2.0),
        ("active_users".into(), 4.0),
        (
            r#"errors_total{service="http",type="client_error"}"#.into(),
            4.0,
        ),
        (
            r#"errors_total{service="http",type="server_error"}"#.into(),
            0.0,
        ),
        (
            r#"errors_total{service="user_service",type="validation_error"}"#.into(),
            2.0,
        ),
        (
            r#"errors_total{service="user_service",type="not_found"}"#.into(),
            1.0,
        ),
        (processing("list_users", "success", "count"), 3.0),
        (processing("create_user", "success", "count"), 2.0),
        (processing("create_user", "error", "count"), 1.0),
        (processing("get_user", "success", "count"), 2.0),
        (processing("get_user", "error", "count"), 2.0),
        ("queue_size".into(), 0.0),
        (
            r#"feature_usage_total{feature="list_users",user_type="api"}"#.into(),
            3.0,
        ),
        (
            r#"feature_usage_total{feature="create_user",user_type="api"}"#.into(),
            2.0,
        ),
        (
            r#"feature_usage_total{feature="get_user",user_type="api"}"#.into(),
            2.0,
        ),
        (
            r#"background_jobs{job_type="welcome_email",status="running"}"#.into(),
            0.0,
        ),
    ] {
        assert_eq!(api.value(&series), Some(value), "{series}");
    }
    assert!(
        api.value(&format!("http_response_size_bytes_sum{{{create}}}"))
            .unwrap()
            > created as f64
    );
    let connections = api.value("database_connections").unwrap();
    assert!((5.0..=14.0).contains(&connections), "{connections}");
    let text = api.get("/metrics").text();
    for bound in ["0.1", "0.5", "1", "2.5", "5", "10", "+Inf"] {
        let bucket = format!(r#"operation="get_user",status="success",le="{bound}""#);
        assert!(text.contains(&bucket), "{bucket}");
    }
    // The default buckets of the clients of Prometheus.
    assert_eq!(
        text.matches(&format!("http_request_duration_seconds_bucket{{{get}"))
            .count(),
        12
    );
    assert!(!text.contains("secret"));
    api.terminate();
}

fn processing(operation: &str, status: &str, part: &str) -> String {
    format!(r#"processing_time_seconds_{part}{{operation="{operation}",status="{status}"}}"#)
}

#[test]
fn access_log() {
    let api = start();
    let agent = [("User-Agent", "a \"test\"")];
    let list = api.request("GET", "/api/v1/users?token=secret", &agent, b"");
    api.get("/unknown%0A");
    api.get("/metrics");
    let lines = awaited("two lines", || {
        let log = api.stdout();
        (log.lines().count() >= 2).then_some(log)
    });
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [first, second] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&first["method"], &first["path"]),
        (&json!("GET"), &json!(USERS))
    );
    assert_eq!(
        (&first["status"], &first["size"]),
        (&json!(200), &json!(list.body.len()))
    );
    assert_eq!(first["user_agent"], "a \"test\"");
    assert!(first["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    let duration = first["duration_seconds"].as_f64().unwrap();
    assert!(duration > 0.0 && duration < 10.0, "{duration}");
    assert_eq!(
        (&second["status"], &second["user_agent"]),
        (&json!(404), &Value::Null)
    );
    api.terminate();
}
