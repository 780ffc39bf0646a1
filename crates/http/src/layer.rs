//! The tower layer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Exchange, HttpMetrics, MeasuredBody};

impl<S> Layer<S> for HttpMetrics {
    type Service = MeasuredService<S>;

    fn layer(&self, service: S) -> MeasuredService<S> {
        MeasuredService {
            metrics: self.clone(),
            service,
        }
    }
}

/// Service whose requests are counted by [`HttpMetrics`].
///
/// A request counts once, when the body of its response has been sent or is dropped. One whose future is dropped
/// earlier has the status 499; one whose service fails or panics has 500.
#[derive(Debug, Clone)]
pub struct MeasuredService<S> {
    metrics: HttpMetrics,
    service: S,
}

impl<S, B, R> Service<Request<B>> for MeasuredService<S>
where
    S: Service<Request<MeasuredBody<B>>, Response = Response<R>>,
{
    type Response = Response<MeasuredBody<R>>;
    type Error = S::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut exchange = self.metrics.begin(&mut request);
        let progress = exchange.progress();
        let request = request.map(|body| MeasuredBody::request(body, progress));
        // The status in case of a panic.
        exchange.answered(StatusCode::INTERNAL_SERVER_ERROR);
        let future = self.service.call(request);
        exchange.unanswered();
        MeasuredFuture {
            future,
            exchange: Some(exchange),
        }
    }
}

pin_project! {
    /// Future of a [`MeasuredService`]'s response.
    #[derive(Debug)]
    pub struct MeasuredFuture<F> {
        #[pin]
        future: F,
        // `None` once the response is ready.
        exchange: Option<Exchange>,
    }
}

impl<F, R, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<MeasuredBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The status in case of an error or a panic.
        if let Some(exchange) = this.exchange {
            exchange.answered(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let polled = this.future.poll(cx);
        if let (Some(exchange), Poll::Pending) = (&mut *this.exchange, &polled) {
            exchange.unanswered();
        }
        let result = ready!(polled);
        let mut exchange = this.exchange.take().expect("polled after it was ready");
        Poll::Ready(result.map(|response| {
            exchange.answered(response.status());
            response.map(|body| MeasuredBody::response(body, exchange))
        }))
    }
}
