//! The layer around services: which labels, sizes and statuses are counted, and that each request counts once.

mod common;

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Exposed, drained};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use metricsjob_http::{HttpLabel, HttpMetrics, HttpMetricsBuilder, MeasuredBody, name_endpoint};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;
type Incoming = Request<MeasuredBody<Body>>;

fn request(method: &str, path: &str) -> Request<Body> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Request::builder().method(method).uri(path);
    request.body(Body::from("12345")).unwrap()
}

/// Metrics whose endpoint is the first part of the path, if it is `/known`.
fn metrics(shown: &Exposed) -> HttpMetrics {
    let metrics = HttpMetrics::builder()
        .route(|uri, _| uri.path().starts_with("/known").then_some("/known/*"));
    metrics.register(&shown.registry).unwrap()
}

#[tokio::test]
async fn labels_are_bounded_whatever_clients_send() {
    let shown = Exposed::default();
    let service = metrics(&shown).layer(service_fn(async |request: Incoming| {
        if request.uri().path().starts_with("/named") {
            name_endpoint(request.extensions(), "/named/*");
            // The first name counts.
            name_endpoint(request.extensions(), "/other-name");
        }
        Ok::<_, Infallible>(Response::new(Body::from("hello")))
    }));
    for n in 0..200 {
        for path in [
            format!("/known/{n}"),
            format!("/named/{n}"),
            format!("/%00{n}?a={n}"),
        ] {
            for method in ["GET", "get", &format!("M{n}")] {
                drained(
                    service
                        .clone()
                        .oneshot(request(method, &path))
                        .await
                        .unwrap(),
                )
                .await;
            }
        }
    }
    let requests = |endpoint: &str, method: &str, count: u64| {
        shown.shows(&format!(
            r#"http_requests_total{{endpoint="{endpoint}",method="{method}",status_code="200"}} {count}"#
        ));
    };
    for endpoint in ["/known/*", "/named/*", "other"] {
        requests(endpoint, "GET", 200);
        requests(endpoint, "other", 400);
    }
    assert_eq!(shown.text().matches("\nhttp_requests_total{").count(), 6);
    assert_eq!(
        shown
            .text()
            .matches("\nhttp_request_duration_seconds_count{")
            .count(),
        6
    );
}

#[tokio::test]
async fn names_beyond_the_maximum() {
    let shown = Exposed::default();
    let metrics = HttpMetrics::builder()
        .max_endpoints(3)
        .route(|uri, _| Some(uri.path()))
        .register(&shown.registry);
    let service = metrics.unwrap().layer(service_fn(async |_: Incoming| {
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    for n in 0..100 {
        let request = request("GET", &format!("/{n}"));
        drained(service.clone().oneshot(request).await.unwrap()).await;
    }
    shown.shows(r#"http_requests_total{endpoint="/2",method="GET",status_code="200"} 1"#);
    shown.shows(r#"http_requests_total{endpoint="other",method="GET",status_code="200"} 97"#);
}

#[tokio::test]
async fn sizes_are_what_was_read_and_sent() {
    let shown = Exposed::default();
    let service = metrics(&shown).layer(service_fn(async |request: Incoming| {
        if request.method() == Method::POST {
            drop(request.into_body().collect().await);
        }
        let mut parts = ["12", "", "345"].map(Ok::<_, Infallible>).into_iter();
        Ok::<_, Infallible>(Response::new(BodyParts(move || parts.next())))
    }));
    drained(
        service
            .clone()
            .oneshot(request("POST", "/known"))
            .await
            .unwrap(),
    )
    .await;
    shown.shows(r#"http_request_size_bytes_sum{endpoint="/known/*",method="POST"} 5"#);
    shown.shows(r#"http_response_size_bytes_sum{endpoint="/known/*",method="POST"} 5"#);
    shown.shows(r#"http_response_size_bytes_bucket{endpoint="/known/*",method="POST",le="100"} 1"#);

    // A body that nobody reads, and a response that is given up after its first part.
    let mut response = service.oneshot(request("PUT", "/known")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    shown.shows("http_requests_in_flight 1");
    assert!(!shown.text().contains("PUT"));
    drop(response);
    shown.shows("http_requests_in_flight 0");
    shown.shows(r#"http_requests_total{endpoint="/known/*",method="PUT",status_code="200"} 1"#);
    shown.shows(r#"http_request_size_bytes_sum{endpoint="/known/*",method="PUT"} 0"#);
    shown.shows(r#"http_response_size_bytes_sum{endpoint="/known/*",method="PUT"} 2"#);
}

/// A body of the parts that a function returns.
struct BodyParts<F>(F);

impl<E, F: FnMut() -> Option<Result<&'static str, E>> + Unpin> http_body::Body for BodyParts<F> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        Poll::Ready((self.0)().map(|part| Ok(Frame::data(part?.into()))))
    }
}

#[tokio::test]
async fn a_response_that_fails_counts_once() {
    let shown = Exposed::default();
    let service = metrics(&shown).layer(service_fn(async |_: Incoming| {
        let mut parts = [Ok("12"), Err("broken")].into_iter();
        Ok::<_, Infallible>(Response::new(BodyParts(move || parts.next())))
    }));
    let response = service.oneshot(request("GET", "/known")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap_err(), "broken");
    shown.shows("http_requests_in_flight 0");
    shown.shows(r#"http_requests_total{endpoint="/known/*",method="GET",status_code="200"} 1"#);
    shown.shows(r#"http_response_size_bytes_sum{endpoint="/known/*",method="GET"} 2"#);
}

#[tokio::test]
async fn clients_that_go_away() {
    let shown = Exposed::default();
    let service = metrics(&shown).layer(service_fn(async |_: Incoming| {
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let mut response = Box::pin(service.oneshot(request("GET", "/known")));
    poll_fn(|cx| {
        assert!(response.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    shown.shows("http_requests_in_flight 1");
    drop(response);
    shown.shows("http_requests_in_flight 0");
    shown.shows(r#"http_requests_total{endpoint="/known/*",method="GET",status_code="499"} 1"#);
    shown.shows(r#"errors_total{service="http",type="client_error"} 1"#);
}

#[tokio::test]
async fn services_that_fail_or_panic() {
    let shown = Exposed::default();
    let mut service = metrics(&shown).layer(service_fn(|request: Incoming| {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/known/now");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(path, "/known/later");
            match path.as_str() {
                "/known/error" => Err("broken"),
                _ => Ok(Response::builder()
                    .status(503)
                    .body(Body::default())
                    .unwrap()),
            }
        }
    }));
    let failed = service
        .ready()
        .await
        .unwrap()
        .call(request("GET", "/known/error"))
        .await;
    assert_eq!(failed.unwrap_err(), "broken");
    for path in ["/known/now", "/known/later"] {
        let mut service = service.clone();
        // The future outlives the panic, as in a middleware that catches panics.
        let task = tokio::spawn(AssertUnwindSafe(async move {
            drop(service.call(request("POST", path)).await);
        }));
        assert!(task.await.unwrap_err().is_panic());
    }
    drained(service.call(request("PUT", "/known")).await.unwrap()).await;
    for (method, status, count) in [("GET", 500, 1), ("POST", 500, 2), ("PUT", 503, 1)] {
        shown.shows(&format!(
            r#"http_requests_total{{endpoint="/known/*",method="{method}",status_code="{status}"}} {count}"#
        ));
    }
    shown.shows("http_requests_in_flight 0");
    shown.shows(r#"errors_total{service="http",type="server_error"} 4"#);
    shown.shows(r#"errors_total{service="http",type="client_error"} 0"#);
}

#[tokio::test]
async fn panics_that_are_caught_outside_count_as_500() {
    let shown = Exposed::default();
    let mut service = metrics(&shown).layer(service_fn(
        async |_: Incoming| -> Result<Response<Body>, Infallible> { panic!("on purpose") },
    ));
    let mut response = Box::pin(service.call(request("GET", "/known")));
    let polled = poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| response.as_mut().poll(cx).is_ready());
        Poll::Ready(std::panic::catch_unwind(poll))
    });
    assert!(polled.await.is_err());
    // The future is dropped only now.
    drop(response);
    shown.shows(r#"http_requests_total{endpoint="/known/*",method="GET",status_code="500"} 1"#);
}

#[tokio::test]
async fn status_on_histograms() {
    let shown = Exposed::default();
    let metrics = HttpMetrics::builder().status_on_histograms();
    let service =
        metrics
            .register(&shown.registry)
            .unwrap()
            .layer(service_fn(async |_: Incoming| {
                let mut response = Response::new(Body::from("hello"));
                *response.status_mut() = StatusCode::CREATED;
                Ok::<_, Infallible>(response)
            }));
    drained(service.oneshot(request("GET", "/")).await.unwrap()).await;
    let labels = r#"{endpoint="other",method="GET",status_code="201"}"#;
    shown.shows(&format!("http_request_duration_seconds_count{labels} 1"));
    shown.shows(&format!("http_request_size_bytes_count{labels} 1"));
    shown.shows(&format!("http_response_size_bytes_sum{labels} 5"));
    // The default buckets.
    for bound in ["0.001", "0.005", "0.01", "2.5", "10"] {
        assert!(shown.text().contains(&format!("le=\"{bound}\"")), "{bound}");
    }
}

#[test]
fn settings_that_cannot_be_used() {
    let registry = prometheus::Registry::new();
    let refused = |builder: HttpMetricsBuilder| builder.register(&registry).unwrap_err();
    refused(HttpMetrics::builder().namespace("a-b"));
    refused(HttpMetrics::builder().rename_label(HttpLabel::Method, "a-b"));
    refused(HttpMetrics::builder().duration_buckets(&[2.0, 1.0]));
    refused(HttpMetrics::builder().size_buckets(&[f64::NAN]));
    refused(HttpMetrics::builder().const_label("method", "x"));
    refused(HttpMetrics::builder().rename_label(HttpLabel::Endpoint, "le"));
    refused(HttpMetrics::builder().rename_label(HttpLabel::Endpoint, "method"));
    let taken = prometheus::IntGauge::new("errors_total", "Taken.").unwrap();
    registry.register(Box::new(taken.clone())).unwrap();
    refused(HttpMetrics::builder());
    registry.unregister(Box::new(taken)).unwrap();
    // Nothing of all that is left.
    assert_eq!(registry.gather().len(), 0);
    let registry = prometheus::Registry::new();
    let refused = |builder: HttpMetricsBuilder| builder.register(&registry).unwrap_err();
    HttpMetrics::builder().register(&registry).unwrap();
    refused(HttpMetrics::builder());
    HttpMetrics::builder()
        .namespace("another")
        .register(&registry)
        .unwrap();
}
