//! Layer that counts the requests of a service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::HttpMetrics;
use super::exchange::Exchange;
use metricsjob_system::panics;

/// Wraps services in [`HttpService`].
#[derive(Clone)]
pub struct HttpLayer {
    metrics: Arc<HttpMetrics>,
}

impl HttpLayer {
    pub(super) fn new(metrics: Arc<HttpMetrics>) -> Self {
        HttpLayer { metrics }
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = HttpService<S>;

    fn layer(&self, inner: S) -> HttpService<S> {
        HttpService {
            inner,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// A service whose requests are counted.
#[derive(Clone)]
pub struct HttpService<S> {
    inner: S,
    metrics: Arc<HttpMetrics>,
}

impl<S> Service<Request> for HttpService<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answer<S::Future> {
        let metrics = Arc::clone(&self.metrics);
        let (exchange, request) = Exchange::begin(metrics, Instant::now(), request);
        Answer {
            answer: panics::caught(|| self.inner.call(request)).ok(),
            exchange: Some(exchange),
        }
    }
}

fn internal_error() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "an internal error\n").into_response()
}

/// Future of a response. It becomes a 500 if the service panics.
pub struct Answer<F> {
    /// `None` after a panic.
    answer: Option<F>,
    exchange: Option<Exchange>,
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self
            .answer
            .as_mut()
            .and_then(|answer| panics::caught(|| Pin::new(answer).poll(cx)).ok());
        let answer = match polled {
            Some(polled) => ready!(polled),
            None => {
                self.answer = None;
                Ok(internal_error())
            }
        };
        let exchange = self.exchange.take();
        Poll::Ready(answer.map(|answer| match exchange {
            Some(exchange) => exchange.answer(answer),
            None => answer,
        }))
    }
}
