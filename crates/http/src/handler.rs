//! The service at `/metrics`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use metricsjob_metrics::registry::gather;
use prometheus::Registry;
use tower_service::Service;

use crate::negotiation::{accepts_gzip, gzipped, negotiate, response};

/// Tower service that responds with the metrics of a registry: to `GET` and `HEAD`, in the text format 0.0.4, in
/// OpenMetrics or in protobuf, as `Accept` says, and compressed if `Accept-Encoding` allows gzip.
///
/// In axum it is for `Router::route_service`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use metricsjob_http::MetricsHandler;
/// use tower::ServiceExt;
///
/// let registry = prometheus::Registry::new();
/// let handler = MetricsHandler::new(&registry);
/// let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
/// let response = handler.oneshot(request.body(())?).await?;
/// let content_type = &response.headers()["content-type"];
/// assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct MetricsHandler {
    registry: Registry,
}

impl MetricsHandler {
    /// Creates the handler of a registry, which is gathered at each request, in the thread that serves it: its
    /// collectors must not block for long.
    pub fn new(registry: &Registry) -> Self {
        MetricsHandler {
            registry: registry.clone(),
        }
    }

    fn respond(&self, method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if *method != Method::GET && *method != Method::HEAD {
            let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        let (format, _) = negotiate(headers);
        let is_gzip = accepts_gzip(headers);
        let mut bytes = format.encode(&gather(&self.registry));
        if is_gzip {
            bytes = match gzipped(&[bytes]) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(err = %error, "metrics cannot be compressed");
                    let text = "the metrics cannot be compressed\n";
                    return failure(StatusCode::INTERNAL_SERVER_ERROR, text);
                }
            };
        }
        let length = HeaderValue::from(bytes.len());
        if *method == Method::HEAD {
            bytes.clear();
        }
        let mut response = response(Full::new(bytes), format, None, is_gzip);
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
    }
}

fn failure(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

impl<B> Service<Request<B>> for MetricsHandler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request.method(), request.headers())))
    }
}
