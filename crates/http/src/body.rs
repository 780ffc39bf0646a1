//! Bodies whose sizes are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{Exchange, RequestProgress};

pin_project! {
    /// Body of a request or a response of a [`MeasuredService`](crate::MeasuredService).
    ///
    /// An exchange is over when the body of its response is dropped: sent, failed or given up.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        #[pin]
        body: B,
        side: BodySide,
    }
}

#[derive(Debug)]
enum BodySide {
    Request(Arc<RequestProgress>),
    Response(Exchange),
}

impl<B> MeasuredBody<B> {
    pub(crate) fn request(body: B, progress: Arc<RequestProgress>) -> Self {
        let side = BodySide::Request(progress);
        MeasuredBody { body, side }
    }

    pub(crate) fn response(body: B, exchange: Exchange) -> Self {
        let side = BodySide::Response(exchange);
        MeasuredBody { body, side }
    }
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &polled {
            let size = frame.data_ref().map_or(0, Buf::remaining);
            match this.side {
                BodySide::Request(progress) => progress.received(size),
                BodySide::Response(exchange) => exchange.sent(size),
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
