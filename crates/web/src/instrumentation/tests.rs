use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tower::Service;
use tower::util::MapRequestLayer;

use super::*;
use crate::entry::ConnectionState;
use crate::observed::{received, sent};
use crate::pool::PoolTimeouts;
use metricsjob_metrics::text;

struct Server {
    metrics: Arc<ServerMetrics>,
    app: Router,
}

impl Server {
    fn start() -> Self {
        let metrics = ServerMetrics::new("test");
        let fallback = async |request: Request| {
            if request.uri().path().starts_with("/named/") {
                name_endpoint(request.extensions(), "/named/*");
            }
            StatusCode::NOT_FOUND
        };
        let app = Router::new()
            .route("/users/{id}", get(async || "hello"))
            .route("/echo", post(async |body: Bytes| body))
            .route("/fail", get(async || StatusCode::BAD_GATEWAY))
            .route("/stuck", get(async || pending::<()>().await))
            .fallback(fallback)
            .layer(MapRequestLayer::new(name_matched));
        Server { metrics, app }
    }

    fn call(&mut self, method: &str, path: &str, body: &'static str) -> impl Future<Output = Body> {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .body(Body::from(body));
        let entry = Arc::new(ConnectionState::new(PoolTimeouts {
            read: Duration::MAX,
            idle: Duration::MAX,
        }));
        let (exchange, request) = received(&self.metrics.http, &entry, None, request.unwrap());
        let answer = self.app.call(request);
        async { Body::new(sent(exchange, entry, answer.await.unwrap()).into_body()) }
    }

    /// Sends a request and returns the size of the response body.
    async fn request(&mut self, method: &str, path: &str, body: &'static str) -> usize {
        let body = self.call(method, path, body).await;
        body.collect().await.unwrap().to_bytes().len()
    }

    fn text(&self) -> String {
        text::encode(&self.metrics.families())
    }

    #[track_caller]
    fn shows(&self, sample: &str) {
        let text = self.text();
        let is_there = text.lines().any(|line| line == sample);
        assert!(is_there, "{sample}\n{text}");
    }
}

#[tokio::test]
async fn endpoints_and_methods() {
    let mut server = Server::start();
    for id in 0..100 {
        server.request("GET", &format!("/users/{id}"), "").await;
        server.request("GET", &format!("/{id}"), "").await;
        server.request("BREW", &format!("/named/{id}"), "").await;
    }
    // The endpoint is known for a router's own refusals, too.
    server.request("PUT", "/users/1", "").await;
    server
        .shows(r#"http_requests_total{endpoint="/users/{id}",method="GET",status_code="200"} 100"#);
    server.shows(r#"http_requests_total{endpoint="/users/{id}",method="PUT",status_code="405"} 1"#);
    server.shows(r#"http_requests_total{endpoint="other",method="GET",status_code="404"} 100"#);
    server
        .shows(r#"http_requests_total{endpoint="/named/*",method="other",status_code="404"} 100"#);
    server.shows(r#"errors_total{service="test",type="client_error"} 201"#);
    let text = server.text();
    assert_eq!(text.matches("\nhttp_requests_total{").count(), 4, "{text}");
    assert_eq!(text.matches("\nhttp_request_size_bytes_count{").count(), 4);
}

#[tokio::test]
async fn errors() {
    let mut server = Server::start();
    server.shows(r#"errors_total{service="test",type="client_error"} 0"#);
    server.request("GET", "/fail", "").await;
    server.request("GET", "/users/1", "").await;
    server.shows(r#"errors_total{service="test",type="server_error"} 1"#);
    server.shows(r#"errors_total{service="test",type="client_error"} 0"#);
    server.shows(r#"http_requests_total{endpoint="/fail",method="GET",status_code="502"} 1"#);
}

#[tokio::test]
async fn sizes() {
    let mut server = Server::start();
    assert_eq!(server.request("POST", "/echo", "12345").await, 5);
    assert_eq!(server.request("GET", "/users/1", "").await, 5);
    // Its head says 5, but no body is sent.
    assert_eq!(server.request("HEAD", "/users/1", "").await, 0);
    // This body is never read.
    assert_eq!(server.request("GET", "/users/1", "unread").await, 5);
    server.shows(r#"http_request_size_bytes_sum{endpoint="/echo",method="POST"} 5"#);
    server.shows(r#"http_response_size_bytes_sum{endpoint="/echo",method="POST"} 5"#);
    server.shows(r#"http_response_size_bytes_bucket{endpoint="/echo",method="POST",le="256"} 1"#);
    server.shows(r#"http_request_size_bytes_sum{endpoint="/users/{id}",method="GET"} 0"#);
    server.shows(r#"http_response_size_bytes_sum{endpoint="/users/{id}",method="GET"} 10"#);
    server.shows(r#"http_response_size_bytes_sum{endpoint="/users/{id}",method="HEAD"} 0"#);
}

#[tokio::test]
async fn they_end_with_the_answers_body() {
    let mut server = Server::start();
    let answer = server.call("GET", "/users/1", "").await;
    server.shows("http_requests_in_flight 1");
    assert!(!server.text().contains("http_requests_total"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(answer);
    server.shows("http_requests_in_flight 0");
    server.shows(r#"http_requests_total{endpoint="/users/{id}",method="GET",status_code="200"} 1"#);
    let labels = r#"endpoint="/users/{id}",method="GET""#;
    server.shows(&format!("http_response_size_bytes_sum{{{labels}}} 0"));
    server.shows(&format!(
        "http_request_duration_seconds_count{{{labels}}} 1"
    ));
    let bucket = format!("http_request_duration_seconds_bucket{{{labels},le=\"0.01\"}} 0");
    server.shows(&bucket);
}

#[tokio::test]
async fn clients_that_go_away() {
    let mut server = Server::start();
    let answer = server.call("GET", "/stuck", "");
    let answer = tokio::time::timeout(Duration::from_millis(10), answer);
    assert!(answer.await.is_err());
    server.shows("http_requests_in_flight 0");
    server.shows(r#"http_requests_total{endpoint="/stuck",method="GET",status_code="499"} 1"#);
}
