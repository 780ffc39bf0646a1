//! Bodies whose bytes are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::exchange::{Exchange, ExchangeProgress};

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

/// Returns the number of bytes in a frame.
fn size(polled: &Polled) -> usize {
    match polled {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
        _ => 0,
    }
}

/// A request body.
pub struct ReceivedBody {
    body: Body,
    progress: Arc<ExchangeProgress>,
}

impl ReceivedBody {
    pub fn new(body: Body, progress: Arc<ExchangeProgress>) -> Self {
        ReceivedBody { body, progress }
    }
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.received(size(&polled));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body. The exchange ends with it.
pub struct SentBody {
    body: Body,
    exchange: Exchange,
}

impl SentBody {
    pub fn new(body: Body, exchange: Exchange) -> Self {
        SentBody { body, exchange }
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.exchange.progress().sent(size(&polled));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
