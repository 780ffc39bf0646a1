//! Bodies whose progress is reported to the state of the connection and to the metrics.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metricsjob_http::{ClientAddress, Exchange, HttpMetrics, RequestProgress};

use super::entry::ConnectionState;
use super::pace::Pace;

/// Begins the exchange of a request that arrives on the connection with the state `entry`. `client` is the
/// address for the debug log.
pub fn received<B>(
    metrics: &HttpMetrics,
    entry: &Arc<ConnectionState>,
    client: Option<SocketAddr>,
    mut request: Request<B>,
) -> (Exchange, Request<Body>)
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
{
    if let Some(client) = client {
        request.extensions_mut().insert(ClientAddress(client));
    }
    let exchange = metrics.begin(&mut request);
    let has_body = !request.body().is_end_stream();
    entry.requested(has_body);
    let request = request.map(|body| {
        if !has_body {
            return Body::empty();
        }
        Body::new(ObservedBody {
            body,
            entry: Arc::clone(entry),
            side: ObservedSide::Request {
                progress: exchange.progress(),
                pace: Pace::default(),
                has_ended: false,
            },
        })
    });
    (exchange, request)
}

/// Continues the exchange until the body of the response has been handed over for sending or dropped.
pub fn sent(
    mut exchange: Exchange,
    entry: Arc<ConnectionState>,
    response: Response,
) -> Response<ObservedBody<Body>> {
    exchange.answered(response.status());
    response.map(|body| ObservedBody {
        body,
        entry,
        side: ObservedSide::Response(exchange),
    })
}

/// The body of a request or a response. While that of a request exists, the connection is not idle, even if
/// the response has been sent.
pub struct ObservedBody<B: HttpBody<Data = Bytes> + Unpin> {
    body: B,
    entry: Arc<ConnectionState>,
    side: ObservedSide,
}

enum ObservedSide {
    Request {
        progress: Arc<RequestProgress>,
        pace: Pace,
        /// True if the end of the body has been seen.
        has_ended: bool,
    },
    Response(Exchange),
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let ObservedBody { body, entry, side } = &mut *self;
        let polled = Pin::new(body).poll_frame(cx);
        let size = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        match side {
            ObservedSide::Response(exchange) => exchange.sent(size),
            ObservedSide::Request { pace, .. } if polled.is_pending() => {
                entry.awaits_body(|| pace.waits())
            }
            ObservedSide::Request {
                progress,
                pace,
                has_ended,
            } => {
                entry.has_body();
                pace.came(size);
                progress.received(size);
                *has_ended |= matches!(polled, Poll::Ready(None));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> Drop for ObservedBody<B> {
    fn drop(&mut self) {
        match self.side {
            ObservedSide::Response(_) => self.entry.answered(),
            ObservedSide::Request { has_ended, .. } => {
                let is_whole = has_ended || is_whole(&mut self.body);
                self.entry.read(is_whole);
            }
        }
    }
}

/// Returns true if the whole body has been received, once it is no longer wanted.
fn is_whole(body: &mut (impl HttpBody + Unpin)) -> bool {
    if body.is_end_stream() {
        return true;
    }
    // Bytes that came with the head are available, even if nobody has asked for them.
    let mut nobody = Context::from_waker(Waker::noop());
    let next = Pin::new(&mut *body).poll_frame(&mut nobody);
    matches!(next, Poll::Ready(None)) || body.is_end_stream()
}
