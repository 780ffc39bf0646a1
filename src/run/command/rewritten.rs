//! Lines as a terminal would show them in the end, for people to read.

use std::mem;
use std::time::{Duration, Instant};

use crate::run::lines::{LineEnd, parts};

/// Longer lines are cut to this length.
pub const MAX_LINE: usize = 64 * 1024;

/// Passing states of a line are at least this far apart.
const INTERVAL: Duration = Duration::from_secs(1);

/// A stream in lines, where a line that carriage returns rewrite, such as a progress bar, is a single one. It is given
/// in its last state that is not empty, and before that in a passing one from time to time.
#[derive(Default)]
pub struct Rewritten {
    /// Text since the last line end.
    line: Vec<u8>,
    /// The last state of the line that carriage returns have ended, if `since` is set.
    state: Vec<u8>,
    /// Time of the line's first state, or of the last passing one that was given.
    since: Option<Instant>,
    /// `state` was given as a passing one.
    is_given: bool,
}

/// Place of a text in the life of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The line is still being rewritten.
    Passing,
    /// The line is complete.
    Last,
    /// The line is complete, and its text was given as a passing state before.
    LastAgain,
}

impl Rewritten {
    /// Gives the lines that `bytes` end to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], Stage)) {
        let mut now = None;
        for (text, end) in parts(bytes) {
            if end == Some(LineEnd::Feed) && self.line.is_empty() && self.since.is_none() {
                // Most lines are whole, and need no copy.
                each(&text[..text.len().min(MAX_LINE)], Stage::Last);
                continue;
            }
            let room = MAX_LINE - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            match end {
                None => {}
                Some(LineEnd::Feed) => self.end_line(&mut each),
                Some(LineEnd::Return) => {
                    self.end_state(*now.get_or_insert_with(Instant::now), &mut each);
                }
            }
        }
    }

    /// Time at which [`pass`](Self::pass) has a state to give.
    pub fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.is_given);
        since.map(|since| since + INTERVAL)
    }

    /// Gives the present state of a line that is being rewritten, if it is due.
    pub fn pass(&mut self, mut each: impl FnMut(&[u8], Stage)) {
        let Some(due) = self.due() else { return };
        let now = Instant::now();
        if now >= due {
            each(&self.state, Stage::Passing);
            (self.is_given, self.since) = (true, Some(now));
        }
    }

    /// Gives the last line, where the stream has ended without a line feed.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8], Stage)) {
        if !self.line.is_empty() || self.since.is_some() {
            self.end_line(&mut each);
        }
    }

    fn end_state(&mut self, now: Instant, each: &mut impl FnMut(&[u8], Stage)) {
        if self.line.is_empty() {
            return;
        }
        mem::swap(&mut self.line, &mut self.state);
        self.line.clear();
        let since = *self.since.get_or_insert(now);
        self.is_given = now.duration_since(since) >= INTERVAL;
        if self.is_given {
            each(&self.state, Stage::Passing);
            self.since = Some(now);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(&[u8], Stage)) {
        match (self.line.is_empty(), self.since) {
            (true, Some(_)) if self.is_given => each(&self.state, Stage::LastAgain),
            (true, Some(_)) => each(&self.state, Stage::Last),
            _ => each(&self.line, Stage::Last),
        }
        self.line.clear();
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut found) = (Rewritten::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line, stage| found.push((line.to_vec(), stage)));
        }
        lines.finish(|line, stage| found.push((line.to_vec(), stage)));
        let lines = found.into_iter().map(|(line, stage)| {
            assert_eq!(stage, Stage::Last);
            line
        });
        lines.collect()
    }

    #[test]
    fn lines_come_in_any_pieces() {
        for (text, expected) in [
            (
                &b"a\n\nbc\r\n\xffd"[..],
                &[&b"a"[..], b"", b"bc", b"\xffd"][..],
            ),
            (b"a\n", &[b"a"]),
            (b"\r\n\r\n", &[b"", b""]),
            (b"\r 10%\r 20%\r100%\nend", &[b"100%", b"end"]),
            (b" 10%\r100%\r\nend\n", &[b"100%", b"end"]),
            (b" 10%\r100%\r\r\n\n", &[b"100%", b""]),
            (b"1\r2\r3", &[b"3"]),
            (b"1\r2\r", &[b"2"]),
            (b"1\n\r\r", &[b"1"]),
            (b"", &[]),
        ] {
            assert_eq!(lines(&[text]), expected, "{text:?}");
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(lines(&bytes), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 3 * MAX_LINE];
        for pieces in [
            vec![&long[..], b"\ny\n"],
            vec![&[&long[..], b"\ny\n"].concat()],
            vec![&[&long[..], b"\r\ny\n"].concat()],
        ] {
            let found = lines(&pieces);
            assert_eq!(found[0].len(), MAX_LINE);
            assert_eq!(found[1], b"y");
        }
    }

    #[test]
    fn a_passing_state_is_not_given_again() {
        let (mut lines, mut found) = (Rewritten::default(), Vec::new());
        let mut each = |line: &[u8], stage| found.push((line[0], stage));
        lines.feed(b"1\r", &mut each);
        lines.pass(&mut each);
        let first = lines.due().unwrap() - INTERVAL;
        // As if a second had gone by.
        lines.since = first.checked_sub(INTERVAL);
        lines.feed(b"2\r3\r", &mut each);
        assert!(lines.due().is_some());
        lines.since = first.checked_sub(INTERVAL);
        lines.pass(&mut each);
        assert_eq!(lines.due(), None);
        lines.feed(b"\n4\n", &mut each);
        let passing = [(b'2', Stage::Passing), (b'3', Stage::Passing)];
        let last = [(b'3', Stage::LastAgain), (b'4', Stage::Last)];
        assert_eq!(found, [passing, last].concat());
    }
}
