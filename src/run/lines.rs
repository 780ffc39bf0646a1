//! Line ends in a stream of bytes.

use std::iter;
use std::mem;

use memchr::memchr2;

/// A byte that ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// A carriage return. Text that follows is written over the line, unless that is a line feed.
    Return,
    /// A line feed. Directly behind a carriage return it belongs to the same line end.
    Feed,
}

/// Splits `bytes` behind each line end. The last text has none where its line continues in the bytes that follow.
pub fn parts(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], Option<LineEnd>)> {
    iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some(at) = memchr2(b'\n', b'\r', bytes) else {
            return Some((mem::take(&mut bytes), None));
        };
        let (text, rest) = bytes.split_at(at);
        let end = match rest[0] {
            b'\n' => LineEnd::Feed,
            _ => LineEnd::Return,
        };
        bytes = &rest[1..];
        Some((text, Some(end)))
    })
}
