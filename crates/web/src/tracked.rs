//! Stream of a connection that reports its progress to its state.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::entry::ConnectionState;
use super::stream::Stream;

/// Limits, in bytes and in time, on reading an unwanted body before the connection is closed.
const MAX_REST: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream whose progress is tracked.
pub struct TrackedStream {
    stream: TokioIo<Stream>,
    entry: Arc<ConnectionState>,
    /// While the connection is lingering before its end: the deadline, and how many bytes the client has sent
    /// since.
    lingers: Option<(Pin<Box<Sleep>>, usize)>,
}

impl TrackedStream {
    pub fn new(stream: Stream, entry: Arc<ConnectionState>) -> Self {
        TrackedStream {
            stream: TokioIo::new(stream),
            entry,
            lingers: None,
        }
    }

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

impl Read for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.entry.received();
        }
        read
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
            Poll::Ready(Ok(())) => self.entry.flushed(),
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
