//! Large responses while they are being sent: the memory that slow readers hold is bounded, and freed piece
//! by piece.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as HttpBody;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};

use crate::byte_budget::{ByteBudget, Reservation};

/// Maximum number of bytes that all responses together may hold for their readers. A larger response is sent
/// only while no other holds any.
const MOST: usize = 256 * 1024 * 1024;

/// Size of the pieces that are freed one by one. Anything smaller is sent in one go anyway.
const PIECE: usize = 64 * 1024;

/// Smaller pieces are joined: sending each by itself takes longer, and takes more memory than it has bytes.
const TINY: usize = 4096;

/// Bounds the memory of all responses that are being sent.
pub struct Sendings(ByteBudget);

impl Default for Sendings {
    fn default() -> Self {
        Sendings(ByteBudget::new(MOST))
    }
}

impl Sendings {
    /// Begins a response, if there is room for it. Large pieces are copied, so this should run on a thread
    /// that may block.
    pub fn begin(&self, pieces: Vec<Bytes>) -> Result<Sending, TooMany> {
        let left: usize = pieces.iter().map(Bytes::len).sum();
        let reserved = self.0.reserve(left.min(self.0.bytes())).ok_or(TooMany)?;
        Ok(Sending {
            pieces: held(cut(pieces), reserved),
            left,
        })
    }
}

/// Cuts the pieces so that none is empty or large, and joins tiny ones that follow each other.
fn cut(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut cut = Vec::with_capacity(pieces.len());
    let mut joined = Vec::new();
    for piece in pieces {
        if piece.len() < TINY {
            joined.extend_from_slice(&piece);
            if joined.len() < PIECE - TINY {
                continue;
            }
        }
        if !joined.is_empty() {
            cut.push(mem::take(&mut joined).into());
        }
        match piece.len() {
            0..TINY => {}
            TINY..=PIECE => cut.push(piece),
            // A slice of the piece would keep all of it in memory.
            _ => cut.extend(piece.chunks(PIECE).map(Bytes::copy_from_slice)),
        }
    }
    if !joined.is_empty() {
        cut.push(joined.into());
    }
    cut
}

/// Gives each piece its share of the reservation. If that does not cover all pieces, it covers the last ones.
fn held(pieces: Vec<Bytes>, mut reserved: Reservation) -> VecDeque<Bytes> {
    let mut all = VecDeque::with_capacity(pieces.len());
    for bytes in pieces.into_iter().rev() {
        let _reserved = reserved.split(bytes.len());
        all.push_front(Bytes::from_owner(Held { bytes, _reserved }));
    }
    all
}

/// A piece whose share of the reservation is released once nothing has to send it any more.
struct Held {
    bytes: Bytes,
    _reserved: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Error: other responses already hold too many bytes for their readers.
#[derive(Debug, Clone)]
pub struct TooMany;

impl IntoResponse for TooMany {
    fn into_response(self) -> Response {
        let text = "too many bytes of other responses are waiting for their readers: try again in a moment\n";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        (status, [(header::RETRY_AFTER, "1")], text).into_response()
    }
}

/// A body made of consecutive pieces. Its clones share them.
#[derive(Debug, Clone)]
pub struct Sending {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Sending {
    pub fn body(self) -> HttpBody {
        HttpBody::new(UnsyncBoxBody::new(self))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.left -= piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_is_held() {
        let sendings = Sendings(ByteBudget::new(512 * 1024));
        let begin = |sizes: &[usize]| {
            let pieces = sizes.iter().map(|&size| Bytes::from(vec![b'x'; size]));
            sendings.begin(pieces.collect())
        };
        let free = || sendings.0.free() / 1024;
        let mut cx = Context::from_waker(Waker::noop());
        let mut next = |sending: &mut Sending| match Pin::new(sending).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap().len(),
            _ => 0,
        };

        let mut first = begin(&[100, 0, 300 * 1024]).unwrap();
        assert_eq!(free(), 211);
        assert!(begin(&[212 * 1024]).is_err());
        let second = begin(&[211 * 1024]).unwrap();
        assert_eq!(first.size_hint().exact(), Some(300 * 1024 + 100));
        assert_eq!(next(&mut first), 100);
        assert_eq!((next(&mut first), free()), (PIECE, 65));
        drop(second);
        let sent: usize = std::iter::repeat_with(|| next(&mut first))
            .take_while(|&length| length > 0)
            .sum();
        assert_eq!((sent, free()), (300 * 1024 - PIECE, 512));

        // Clones share what they hold.
        let mut first = begin(&[100, 200 * 1024]).unwrap();
        let mut second = first.clone();
        assert_eq!(free(), 311);
        while next(&mut first) > 0 {}
        assert_eq!(free(), 311);
        assert_eq!(
            (next(&mut second), next(&mut second), free()),
            (100, PIECE, 376)
        );
        drop(second);
        assert_eq!(free(), 512);
        let mut tiny = begin(&[30; 10_000]).unwrap();
        assert!(next(&mut tiny) > PIECE / 2);
        drop(tiny);

        // A response of any size can be sent, but only one.
        let mut large = begin(&[400 * 1024, 400 * 1024]).unwrap();
        assert_eq!(free(), 0);
        assert!(begin(&[1]).is_err());
        // Its first 400 KiB are seven pieces; after them, the rest needs less than the whole reservation.
        for _ in 0..7 {
            next(&mut large);
        }
        assert_eq!(free(), 112);
        drop(large);
        assert_eq!(free(), 512);
    }
}
