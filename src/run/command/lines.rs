//! Lines in a stream of bytes, and the last of them.

use std::collections::VecDeque;

use memchr::memchr;

/// Cuts a stream into lines, with memory for one.
#[derive(Default)]
pub struct Lines {
    line: Vec<u8>,
}

/// What of a longer line lies behind this is dropped.
const MAX_LINE: usize = 64 * 1024;

impl Lines {
    /// Gives each line that `bytes` ends to `each`, without line feed and the carriage return
    /// before it.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(end);
            match self.line.is_empty() {
                // Most lines are whole, and need no copy.
                true => each(trim(&head[..head.len().min(MAX_LINE)])),
                false => {
                    self.extend(head);
                    each(trim(&self.line));
                    self.line.clear();
                }
            }
            bytes = &rest[1..];
        }
        self.extend(bytes);
    }

    /// Gives the last line to `each` if it has no line feed.
    pub fn finish(self, mut each: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            each(trim(&self.line));
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The last lines of a stream.
#[derive(Default)]
pub struct Tail {
    capacity: usize,
    lines: VecDeque<Vec<u8>>,
}

/// What of a longer line lies behind this is not kept in a [`Tail`].
const MAX_TAIL_LINE: usize = 4096;

impl Tail {
    pub fn new(capacity: usize) -> Self {
        Tail {
            capacity,
            lines: VecDeque::new(),
        }
    }

    pub fn push(&mut self, line: &[u8]) {
        let mut kept = match self.lines.len() < self.capacity {
            true => Vec::new(),
            // Its memory is used again.
            false => self.lines.pop_front().unwrap_or_default(),
        };
        kept.clear();
        kept.extend_from_slice(&line[..line.len().min(MAX_TAIL_LINE)]);
        if self.capacity > 0 {
            self.lines.push_back(kept);
        }
    }

    /// The lines in their order. What is not UTF-8 is replaced.
    pub fn text(&self) -> Vec<String> {
        let text = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
        self.lines.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_come_in_any_pieces() {
        let text = b"a\n\nbc\r\n\xffd";
        let whole = lines(&[text]);
        assert_eq!(whole, [&b"a"[..], b"", b"bc", b"\xffd"]);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes), whole);
        assert_eq!(lines(&[b"a\n"]).len(), 1);
        assert!(lines(&[b""]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 3 * MAX_LINE];
        for pieces in [
            vec![&long[..], b"\ny\n"],
            vec![&[&long[..], b"\ny\n"].concat()],
        ] {
            let found = lines(&pieces);
            assert_eq!(found[0].len(), MAX_LINE);
            assert_eq!(found[1], b"y");
        }
    }

    #[test]
    fn a_tail_is_the_end() {
        let mut tail = Tail::new(2);
        for line in ["1", "2", "3"] {
            tail.push(line.as_bytes());
        }
        assert_eq!(tail.text(), ["2", "3"]);
        let mut none = Tail::new(0);
        none.push(b"1");
        assert!(none.text().is_empty());
    }
}
