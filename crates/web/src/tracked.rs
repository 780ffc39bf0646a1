//! Stream and bodies of a connection that report its progress to its entry in the pool.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::entry::ConnectionState;
use super::pace::Pace;
use super::stream::Stream;

/// Limits, in bytes and in time, on reading an unwanted body before the connection is closed.
const MAX_REST: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream whose progress is tracked.
pub struct TrackedStream {
    stream: TokioIo<Stream>,
    entry: Arc<ConnectionState>,
    /// Bytes that were read from the stream and have to be read again.
    first: Bytes,
    /// While the connection is lingering before its end: the deadline, and how many bytes the client has sent
    /// since.
    lingers: Option<(Pin<Box<Sleep>>, usize)>,
}

impl TrackedStream {
    pub fn new(stream: Stream, entry: Arc<ConnectionState>) -> Self {
        TrackedStream {
            stream: TokioIo::new(stream),
            entry,
            first: Bytes::new(),
            lingers: None,
        }
    }

    /// Puts back `bytes`, which were read from the stream, so that they are read again.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.first = Bytes::copy_from_slice(bytes);
    }

    /// Waits until the client sends something; returns `false` if it has closed the connection. This reads a
    /// byte, because there is no other way to know with TLS.
    pub async fn is_sent_to(&mut self) -> bool {
        if self.first.is_empty() {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            let read =
                poll_fn(|cx| Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer)).await;
            if read.is_err() || buffer.filled().is_empty() {
                return false;
            }
            self.first = Bytes::copy_from_slice(buffer.filled());
        }
        self.entry.received();
        true
    }
}

impl Read for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(count));
            // Usually the rest has arrived as well. An error will be returned again by the next call.
            if buffer.remaining() > 0 {
                let _ = Pin::new(&mut self.stream).poll_read(cx, buffer);
            }
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.entry.received();
        }
        read
    }
}

impl TrackedStream {
    /// Reads and discards what the client is still sending, for a while: unread bytes would reset the
    /// connection when it is closed, and the client would lose the response.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (deadline, taken) = self
            .lingers
            .get_or_insert_with(|| (Box::pin(sleep(PATIENCE)), 0));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut rest = [0; 16 * 1024];
        while *taken < MAX_REST {
            let mut buffer = ReadBuf::new(&mut rest);
            match Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *taken += buffer.filled().len();
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.entry.wrote(written.is_ready());
        written
    }
}

impl Write for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match flushed {
            Poll::Ready(Ok(())) => {
                self.entry.wrote(true);
                self.entry.flushed();
            }
            // With TLS, bytes may remain in its buffer.
            Poll::Pending => self.entry.wrote(false),
            Poll::Ready(Err(_)) => {}
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
            if ended.is_pending() {
                self.entry.wrote(false);
            }
            if !matches!(ended, Poll::Ready(Ok(()))) || !self.entry.may_be_sent_to() {
                return ended;
            }
        }
        self.poll_linger(cx).map(Ok)
    }
}

/// A request body. While it exists, the connection is not idle, even if the response has been sent.
pub struct RequestBody {
    body: Incoming,
    entry: Arc<ConnectionState>,
    pace: Pace,
    /// True if the end of the body has been seen.
    has_ended: bool,
}

impl RequestBody {
    pub fn new(body: Incoming, entry: Arc<ConnectionState>) -> Self {
        RequestBody {
            body,
            entry,
            pace: Pace::default(),
            has_ended: false,
        }
    }

    /// Returns true if the whole body has been received, once it is no longer wanted.
    fn is_whole(&mut self) -> bool {
        if self.has_ended || self.body.is_end_stream() {
            return true;
        }
        // Bytes that came with the head are available, even if nobody has asked for them.
        let mut nobody = Context::from_waker(Waker::noop());
        let next = Pin::new(&mut self.body).poll_frame(&mut nobody);
        matches!(next, Poll::Ready(None)) || self.body.is_end_stream()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let is_whole = self.is_whole();
        self.entry.read(is_whole);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        match &frame {
            Poll::Pending => this.entry.awaits_body(|| this.pace.waits()),
            Poll::Ready(frame) => {
                this.entry.has_body();
                match frame {
                    None => this.has_ended = true,
                    Some(Ok(frame)) => this.pace.came(frame.data_ref().map_or(0, Bytes::len)),
                    Some(Err(_)) => {}
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body, which is dropped once all of it has been handed over for sending.
pub struct AnswerBody {
    body: axum::body::Body,
    entry: Arc<ConnectionState>,
}

impl AnswerBody {
    pub fn new(body: axum::body::Body, entry: Arc<ConnectionState>) -> Self {
        AnswerBody { body, entry }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.entry.answered();
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
