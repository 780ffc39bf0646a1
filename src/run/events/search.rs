//! The search for metrics in a command's output.

use regex_automata::util::captures::Captures;
use regex_automata::{Input, PatternID, Span};

use crate::job::metric_rule::MetricRule;
use crate::job::output_pattern::OutputStream;
use crate::run::lines::{LineEnd, parts};
use metricsjob_metrics::Kind;

/// A longer line is searched in pieces of this length.
const PIECE: usize = 64 * 1024;

/// Pieces of a line overlap by this much: a match up to this length is found wherever it lies.
const OVERLAP: usize = 4 * 1024;

/// Bytes beside the searched ones that `^`, `$` and `\b` get to see: a character in UTF-8.
const CONTEXT: usize = 4;

/// A search for metrics in one stream, line by line. CR, LF and CR LF each end a line.
pub struct Search {
    pub stream: OutputStream,
    rules: Vec<RuleSearch>,
    /// The line that has not ended yet, from `offset` on.
    line: Vec<u8>,
    offset: usize,
    /// The last line was ended by a carriage return, directly before.
    is_after_return: bool,
}

/// The search by one rule in the line that has not ended yet.
struct RuleSearch {
    rule: MetricRule,
    captures: Captures,
    progress: SearchProgress,
}

/// How far a line was searched, as offsets in the line.
#[derive(Clone, Copy, Default)]
struct SearchProgress {
    from: usize,
    /// End of the last match. An empty match there would be a part of it.
    last_end: Option<usize>,
}

/// A match of a rule's pattern.
pub struct Hit<'a> {
    pub rule: &'a MetricRule,
    text: &'a [u8],
    /// Offset of the text in its line.
    offset: usize,
    captures: &'a Captures,
}

/// Text to be searched.
struct TextPiece<'a> {
    text: &'a [u8],
    /// Offset of the text in its line.
    offset: usize,
    /// Matches end up to here, also as offsets in the line.
    end: usize,
    /// Matches that start from here on are left to the next piece.
    cut: usize,
}

impl Search {
    /// A search by those of `rules` that read `stream`.
    pub fn new(stream: OutputStream, rules: &[MetricRule]) -> Self {
        let rules = rules.iter().filter_map(|rule| {
            let source = rule.source.as_ref();
            let source = source.filter(|source| source.stream.includes(stream))?;
            Some(RuleSearch {
                captures: source.pattern.create_captures(),
                rule: rule.clone(),
                progress: SearchProgress::default(),
            })
        });
        Search {
            stream,
            rules: rules.collect(),
            line: Vec::new(),
            offset: 0,
            is_after_return: false,
        }
    }

    /// Gives the matches in the lines that `bytes` end to `found`.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Hit<'_>)) {
        if self.rules.is_empty() {
            return;
        }
        for (text, end) in parts(bytes) {
            let is_second_half =
                self.is_after_return && text.is_empty() && end == Some(LineEnd::Feed);
            self.is_after_return = end == Some(LineEnd::Return);
            if is_second_half {
                continue;
            }
            // Most lines are whole, and need no copy.
            if end.is_some() && self.line.is_empty() && text.len() <= PIECE {
                end_line(&mut self.rules, text, 0, &mut found);
                continue;
            }
            self.extend(text, &mut found);
            if end.is_some() {
                self.finish(&mut found);
            }
        }
    }

    /// Gives the remaining matches in a line that has ended.
    pub fn finish(&mut self, mut found: impl FnMut(Hit<'_>)) {
        if !self.line.is_empty() {
            end_line(&mut self.rules, &self.line, self.offset, &mut found);
            self.line.clear();
            self.offset = 0;
        }
    }

    /// A line has begun that has not ended.
    pub fn has_unfinished(&self) -> bool {
        !self.line.is_empty()
    }

    /// Gives the matches in the line that has not ended, without regard to this when it ends. A number or a label at
    /// its very end may still become longer, and is not given.
    pub fn peek(&mut self, mut found: impl FnMut(Hit<'_>)) {
        let end = self.offset + self.line.len();
        // `$` must not match.
        self.line.push(b'\n');
        let piece = TextPiece {
            text: &self.line,
            offset: self.offset,
            end,
            cut: usize::MAX,
        };
        for rule in &mut self.rules {
            let progress = rule.progress;
            rule.search(&piece, &mut |match_: Hit<'_>| {
                if match_.captured_end() < end {
                    found(match_);
                }
            });
            rule.progress = progress;
        }
        self.line.pop();
    }

    fn extend(&mut self, mut text: &[u8], found: &mut impl FnMut(Hit<'_>)) {
        while !text.is_empty() {
            let room = PIECE + CONTEXT - self.line.len();
            let (head, rest) = text.split_at(text.len().min(room));
            self.line.extend_from_slice(head);
            text = rest;
            if head.len() == room {
                self.search_piece(found);
            }
        }
    }

    /// Searches the line as far as it is there, and keeps of it what the next piece needs.
    fn search_piece(&mut self, found: &mut impl FnMut(Hit<'_>)) {
        let end = self.offset + self.line.len() - CONTEXT;
        let piece = TextPiece {
            text: &self.line,
            offset: self.offset,
            end,
            cut: end - OVERLAP,
        };
        for rule in &mut self.rules {
            rule.search(&piece, found);
        }
        let done = piece.cut - CONTEXT - self.offset;
        self.line.drain(..done);
        self.offset += done;
    }
}

/// Searches the rest of a line; `text` is its part from `offset` on.
fn end_line(rules: &mut [RuleSearch], text: &[u8], offset: usize, found: &mut impl FnMut(Hit<'_>)) {
    let piece = TextPiece {
        text,
        offset,
        end: offset + text.len(),
        cut: usize::MAX,
    };
    for rule in rules {
        rule.search(&piece, found);
        rule.progress = SearchProgress::default();
    }
}

impl RuleSearch {
    fn search(&mut self, piece: &TextPiece<'_>, found: &mut impl FnMut(Hit<'_>)) {
        let Some(source) = &self.rule.source else {
            return;
        };
        let end = piece.end - piece.offset;
        loop {
            let from = self.progress.from - piece.offset;
            // What lies beside the range is seen by `^`, `$` and `\b`, but is no part of a match.
            let mut input = Input::new(piece.text).range(from..end);
            source.pattern.search_captures(&input, &mut self.captures);
            let is_part_of_last = |span: Span| {
                span.is_empty() && Some(span.end + piece.offset) == self.progress.last_end
            };
            if self.span().is_some_and(is_part_of_last) {
                if from == end {
                    break;
                }
                input.set_start(from + 1);
                source.pattern.search_captures(&input, &mut self.captures);
            }
            let Some(span) = self.span() else { break };
            if span.start + piece.offset >= piece.cut {
                break;
            }
            let end = span.end + piece.offset;
            self.progress = SearchProgress {
                from: end,
                last_end: Some(end),
            };
            found(Hit {
                rule: &self.rule,
                text: piece.text,
                offset: piece.offset,
                captures: &self.captures,
            });
        }
        self.progress.from = self.progress.from.max(piece.cut);
    }

    /// Place of the match, if there is one.
    fn span(&self) -> Option<Span> {
        self.captures.get_group(0)
    }
}

impl Hit<'_> {
    /// The number that was found: the group `value`, else the first group without a name that has matched, else the
    /// whole match. `None` if the match itself counts, because the pattern captures no number.
    pub fn value(&self) -> Option<&[u8]> {
        let source = self.rule.source.as_ref();
        let counts = self.rule.kind == Kind::Counter && !source?.captures_number();
        (!counts).then(|| self.value_span().map_or(&b""[..], |span| &self.text[span]))
    }

    /// The labels that were found: name and value of each other group that has a name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.label_spans().map(|(name, span)| {
            let value = span.map_or(&b""[..], |span| &self.text[span]);
            (name, value)
        })
    }

    /// Offset in the line at which the value and the labels end.
    fn captured_end(&self) -> usize {
        let labels = self.label_spans().filter_map(|(_, span)| span);
        let ends = labels.chain(self.value_span()).map(|span| span.end);
        self.offset + ends.max().unwrap_or_default()
    }

    fn groups(&self) -> impl Iterator<Item = (Option<&str>, Option<Span>)> {
        let names = self.captures.group_info().pattern_names(PatternID::ZERO);
        names.zip(self.captures.iter()).skip(1)
    }

    fn value_span(&self) -> Option<Span> {
        let unnamed = || {
            self.groups()
                .find_map(|(name, span)| span.filter(|_| name.is_none()))
        };
        let value = self.captures.get_group_by_name("value");
        value.or_else(unnamed).or(self.captures.get_group(0))
    }

    fn label_spans(&self) -> impl Iterator<Item = (&str, Option<Span>)> {
        let named = self.groups().filter_map(|(name, span)| Some((name?, span)));
        named.filter(|(name, _)| *name != "value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::output_pattern::OutputPattern;

    fn search(pattern: &str) -> Search {
        let rule = MetricRule {
            source: Some(OutputPattern::new(pattern).unwrap()),
            ..MetricRule::new("n".into(), Kind::Gauge)
        };
        Search::new(OutputStream::Stdout, &[rule])
    }

    impl Hit<'_> {
        /// Where the match lies in its line.
        fn place(&self) -> (usize, usize) {
            let span = self.captures.get_group(0).unwrap();
            (self.offset + span.start, self.offset + span.end)
        }
    }

    fn value(found: &Hit<'_>) -> String {
        String::from_utf8(found.value().unwrap().to_vec()).unwrap()
    }

    /// The values that `pattern` finds in a stream that comes in pieces.
    fn values<'a>(pattern: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let (mut search, mut values) = (search(pattern), Vec::new());
        for piece in pieces {
            search.feed(piece, |found| values.push(value(&found)));
        }
        search.finish(|found| values.push(value(&found)));
        values
    }

    #[test]
    fn each_line_end_ends_one_line() {
        let text = b"a1\r\nb2\rc3\n\rd4\r\re5\n\n6";
        for (pattern, expected) in [
            (r"^\w?(\d)$", &["1", "2", "3", "4", "5", "6"][..]),
            // Two of them are empty behind a line end of their own.
            ("^(x?)$", &["", "", ""]),
        ] {
            assert_eq!(values(pattern, [&text[..]]), expected, "{pattern}");
            assert_eq!(values(pattern, text.chunks(1)), expected, "{pattern}");
        }
    }

    /// Wherever a match lies in a long line, it is found as in the whole line at once.
    #[test]
    fn pieces_find_what_a_whole_line_has() {
        let stride = PIECE - OVERLAP;
        let mut text = vec![b'-'; 4 * PIECE];
        let mut put =
            |at: usize, word: &str| text[at..at + word.len()].copy_from_slice(word.as_bytes());
        put(0, "7 first ");
        for end in [
            PIECE,
            stride,
            2 * stride,
            PIECE + stride,
            2 * PIECE,
            3 * PIECE,
        ] {
            for (shift, word) in [(0, "12345 é"), (40, "x y"), (80, "99 é99 ")] {
                for place in [end - 4 + shift, end - 200 - shift, end + 300 + shift] {
                    put(place, word);
                }
            }
        }
        put(4 * PIECE - 8, " 8 last");
        for pattern in [
            r"(\d+)",
            r"^(\d+)",
            r"(\d+)\b.{0,3}",
            r"\b(\d+)$",
            r"(?<value>\d+) last.?$",
            r"^-*(\d*)",
            r"\b(\w)\b",
            r"(\d+) é",
            r"(x?)é",
            r"(\d*)$",
            r"(-{300})",
            r"-(\d\d?)",
            r"(?s-u:\xc3(.))9",
            r"\b(\d*)",
        ] {
            let regex = OutputPattern::new(pattern).unwrap().pattern;
            let expected: Vec<(usize, usize)> = (regex.find_iter(&text))
                .map(|found| (found.start(), found.end()))
                .collect();
            for size in [1000, 4096, PIECE - 1, PIECE, PIECE + 1, text.len()] {
                let (mut search, mut places) = (search(pattern), Vec::new());
                for piece in text.chunks(size) {
                    search.feed(piece, |found| places.push(found.place()));
                }
                assert!(search.line.capacity() <= 3 * PIECE);
                search.finish(|found| places.push(found.place()));
                assert_eq!(places, expected, "{pattern} {size}");
            }
        }
    }

    #[test]
    fn an_unfinished_line_counts_as_far_as_it_is_sure() {
        let mut search = search(r"done=(\d+)%?");
        let mut peek = |bytes: &[u8]| {
            let (mut found, mut peeked) = (Vec::new(), Vec::new());
            search.feed(bytes, |match_| found.push(value(&match_)));
            search.peek(|match_| peeked.push(value(&match_)));
            (found.join(" "), peeked.join(" "))
        };
        let all = |found: &str, peeked: &str| (found.to_owned(), peeked.to_owned());
        assert_eq!(peek(b"done=1"), all("", ""));
        assert_eq!(peek(b"0% "), all("", "10"));
        assert_eq!(peek(b"done=11%"), all("", "10 11"));
        assert_eq!(peek(b"\r"), all("10 11", ""));
        assert_eq!(peek(b"\ndone=12%"), all("", "12"));
        assert_eq!(peek(&vec![b'-'; 2 * PIECE]), all("12", ""));
        assert_eq!(peek(b"done=13%"), all("", "13"));
        assert_eq!(peek(b"\n"), all("13", ""));
    }
}
