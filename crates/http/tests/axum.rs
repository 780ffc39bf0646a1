//! The layer, the handler and the access log in axum.

#![cfg(feature = "axum")]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use common::{Exposed, drained};
use http::{Request, StatusCode};
use metricsjob_http::{AccessRecord, ClientAddress, HttpMetrics, MetricsHandler};
use tower::ServiceExt;

fn app(shown: &Exposed, http: HttpMetrics) -> Router {
    let users = Router::new()
        .route("/users/{id}", get(async || "Ada"))
        .fallback(async || StatusCode::NOT_FOUND);
    Router::new()
        .nest("/api", users)
        .route("/echo", post(async |body: Bytes| body))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(http)
        .route_service("/metrics", MetricsHandler::new(&shown.registry))
}

async fn ask(app: &Router, method: &str, path: &str, body: &'static str) -> (StatusCode, usize) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from(body)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    (response.status(), drained(response).await.len())
}

#[tokio::test]
async fn endpoints_are_templates() {
    let shown = Exposed::default();
    let http = HttpMetrics::builder().register(&shown.registry).unwrap();
    let app = app(&shown, http);
    for id in 0..100 {
        ask(&app, "GET", &format!("/api/users/{id}"), "").await;
        ask(&app, "GET", &format!("/{id}"), "").await;
        ask(&app, "GET", &format!("/api/{id}"), "").await;
    }
    assert_eq!(
        ask(&app, "POST", "/echo", "12345").await,
        (StatusCode::OK, 5)
    );
    assert_eq!(ask(&app, "PUT", "/api/users/1", "").await.0, 405);
    // The body of the response to HEAD is not sent.
    assert_eq!(
        ask(&app, "HEAD", "/api/users/1", "").await,
        (StatusCode::OK, 0)
    );
    let requests = |endpoint: &str, method: &str, status: u16| {
        format!(
            r#"http_requests_total{{endpoint="{endpoint}",method="{method}",status_code="{status}"}}"#
        )
    };
    shown.shows(&(requests("/api/users/{id}", "GET", 200) + " 100"));
    shown.shows(&(requests("/api/users/{id}", "PUT", 405) + " 1"));
    shown.shows(&(requests("/api/users/{id}", "HEAD", 200) + " 1"));
    shown.shows(&(requests("/echo", "POST", 200) + " 1"));
    shown.shows(r#"http_request_size_bytes_sum{endpoint="/echo",method="POST"} 5"#);
    shown.shows(r#"http_response_size_bytes_sum{endpoint="/api/users/{id}",method="HEAD"} 0"#);
    shown.shows(&(requests("other", "GET", 404) + " 200"));

    // The routes that are added after the layer do not count.
    let before = shown.text();
    assert_eq!(
        ask(&app, "GET", "/metrics", "").await,
        (StatusCode::OK, before.len())
    );
    assert_eq!(ask(&app, "HEAD", "/metrics", "").await, (StatusCode::OK, 0));
    assert_eq!(ask(&app, "POST", "/metrics", "").await.0, 405);
    assert_eq!(shown.text(), before);
}

#[tokio::test]
async fn access_log() {
    let shown = Exposed::default();
    let records = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&records);
    let log = move |record: &AccessRecord| {
        kept.lock().unwrap().push(record.clone());
        panic!("a log that fails, as one to a closed pipe");
    };
    let http = HttpMetrics::builder().access_log(log);
    let app = app(&shown, http.register(&shown.registry).unwrap());
    let client: SocketAddr = "192.0.2.1:1234".parse().unwrap();
    let proxied: SocketAddr = "192.0.2.2:1".parse().unwrap();
    let request = || {
        let request =
            Request::post("/echo?password=secret").header("user-agent", &b"curl/8\xe9"[..]);
        request.extension(ConnectInfo(client))
    };
    drained(
        app.clone()
            .oneshot(request().body(Body::from("12345")).unwrap())
            .await
            .unwrap(),
    )
    .await;
    let request = request()
        .extension(ClientAddress(proxied))
        .body(Body::empty());
    drained(app.clone().oneshot(request.unwrap()).await.unwrap()).await;
    ask(&app, "BREW", "/api/users/1", "").await;
    let records = records.lock().unwrap();
    let [first, second, third] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("POST", "/echo")
    );
    assert_eq!(
        (first.status, first.request_bytes, first.response_bytes),
        (200, 5, 5)
    );
    assert_eq!(
        (first.endpoint.as_str(), first.client),
        ("/echo", Some(client))
    );
    assert_eq!(first.user_agent.as_deref(), Some("curl/8\u{fffd}"));
    assert_eq!(second.client, Some(proxied));
    assert_eq!((third.method.as_str(), third.status), ("BREW", 405));
    assert_eq!((third.client, third.user_agent.as_deref()), (None, None));
    assert_eq!(third.endpoint, "/api/users/{id}");
    shown.shows("http_requests_in_flight 0");
}
