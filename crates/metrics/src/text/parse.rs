//! Reader of the text format 0.0.4.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::declare;
use super::draft::{Draft, Part, Sample};
use super::input::{self, Input};
use super::labels::LabelReader;
use super::limits::Limits;
use super::number::float;
use super::openmetrics_type;
use super::quoted::{self, Escapes};
use super::remarks::Remarks;
use crate::excerpt;
use crate::family::{Family, Kind};
use crate::index::PairIndex;
use crate::labels::Labels;
use crate::name::{Names, continues_metric_name, starts_metric_name};

/// Reason why text was refused, and the line. Messages quote it in excerpts only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// The line number, from 1.
    pub line: usize,
    /// The problem, in words.
    pub problem: String,
    /// True if reading stopped because the text has more than [`Limits::max_series`].
    pub has_too_many_series: bool,
}

/// Parses text format 0.0.4 as the Pushgateway does.
///
/// Families keep the order in which they first appear; one that has HELP or TYPE but no samples is dropped.
/// Timestamps and duplicate series are kept, see [`check`](crate::check).
///
/// # Errors
///
/// Refuses, among others, a last line without line feed (the text may be truncated), carriage returns, an unknown
/// TYPE, a second HELP or TYPE of a name, TYPE after samples, a repeated label, a `le` or `quantile` that is not a
/// number, a blank at the end of a sample line, unknown escapes, invalid names, and bytes that are not UTF-8.
pub fn parse(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    parse_within(text, &Limits::default())
}

/// Parses text as [`parse`] does, within `limits`.
///
/// # Errors
///
/// Fails as [`parse`] does, and if the text exceeds one of `limits`.
pub fn parse_within(text: &[u8], limits: &Limits) -> Result<Vec<Family>, ParseError> {
    parse_names(text, limits, Names::Legacy)
}

/// Parses text as [`parse_within`] does, with the names that `names` allows. Names that text 0.0.4 does not allow are
/// in quotes, as in Prometheus 3: a label's in its place, a metric's first within the braces,
/// `{"my.metric","my.label"="value"} 1`, or before them, which the Pushgateway accepts too.
///
/// # Errors
///
/// Fails as [`parse_within`] does.
pub fn parse_names(text: &[u8], limits: &Limits, names: Names) -> Result<Vec<Family>, ParseError> {
    let drafts = read(text, limits, names, false)?.into_iter();
    Ok(drafts.filter_map(Draft::finish).collect())
}

/// Parses text of a user who wants to push it: as [`parse`] does, but accepts insignificant differences, and refuses
/// what a gateway would refuse, or store differently from what is written.
///
/// Insignificant are carriage returns before line feeds, a missing line feed at the end, blanks after a value or a
/// TYPE, and a byte order mark at the beginning.
///
/// # Errors
///
/// Fails as [`parse`] does; and on timestamps, duplicate series or parts of them, lines of a summary or histogram
/// without `quantile` or `le`, and counts that a gateway would change.
pub fn parse_strictly(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    Ok(parse_input(text)?.families)
}

/// Parses text as [`parse_strictly`] does, with remarks on what is lost.
pub(super) fn parse_input(text: &[u8]) -> Result<Input, ParseError> {
    let text = input::significant(text);
    let drafts = read(&text, &Limits::default(), Names::Legacy, true)?;
    Ok(Input::of(drafts, Remarks::default()))
}

fn read<'a>(
    text: &'a [u8],
    limits: &'a Limits,
    names: Names,
    is_strict: bool,
) -> Result<Vec<Draft>, ParseError> {
    let mut parser = Parser {
        cursor: Cursor::new(text),
        limits,
        names,
        is_strict,
        families: Vec::new(),
        by_name: PairIndex::default(),
        current: 0,
        series: 0,
        labels: LabelReader::new(limits, names, Escapes::Known),
    };
    parser.run()?;
    Ok(parser.families)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    names: Names,
    is_strict: bool,
    families: Vec<Draft>,
    by_name: PairIndex,
    /// Index of the family of the previous line, most likely that of the next one too.
    current: usize,
    /// Number of series so far.
    series: usize,
    labels: LabelReader<'a>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), ParseError> {
        loop {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => return Ok(()),
                Some(b'\n') => self.cursor.next_line(),
                Some(b'#') => self.comment()?,
                Some(_) => self.sample()?,
            }
        }
    }

    /// Refuses a number of series or families beyond the limit, before the rest takes memory.
    fn check_count(&self, count: usize) -> Result<(), ParseError> {
        if count <= self.limits.max_series {
            return Ok(());
        }
        let problem = format!("more than {} series", self.limits.max_series);
        self.cursor.fail(problem).map_err(|error| ParseError {
            has_too_many_series: true,
            ..error
        })
    }

    fn comment(&mut self) -> Result<(), ParseError> {
        self.cursor.advance(1);
        self.cursor.skip_blanks();
        let keyword = self.cursor.word();
        if keyword != b"HELP" && keyword != b"TYPE" {
            self.cursor.rest_of_line()?;
            self.cursor.next_line();
            return Ok(());
        }
        self.cursor.skip_blanks();
        let plain = self.cursor.name(starts_metric_name, continues_metric_name);
        let quoted;
        let name = match (plain, self.names, self.cursor.peek()) {
            ("", Names::Utf8, Some(b'"')) => {
                quoted = quoted::name(&mut self.cursor)?;
                &*quoted
            }
            _ => plain,
        };
        match self.cursor.current()? {
            b'\n' => {
                self.cursor.next_line();
                return Ok(());
            }
            b' ' | b'\t' => {}
            _ => {
                let found = self.cursor.found();
                return self
                    .cursor
                    .fail(format!("invalid metric name in a comment, at {found}"));
            }
        }
        let (family, _) = self.family(name)?;
        self.cursor.skip_blanks();
        let rest = self.cursor.rest_of_line()?;
        if !rest.is_empty() {
            let draft = &mut self.families[family];
            let declared = if keyword == b"HELP" {
                declare::help(draft, rest)
            } else if self.is_strict {
                let word = input::without_blanks(rest);
                let hint = openmetrics_type::hint(word).unwrap_or_default();
                declare::kind(draft, word).map_err(|problem| problem + hint)
            } else {
                declare::kind(draft, rest)
            };
            declared.or_else(|problem| self.cursor.fail(problem))?;
        }
        self.cursor.next_line();
        Ok(())
    }

    fn sample(&mut self) -> Result<(), ParseError> {
        let plain = self.cursor.name(starts_metric_name, continues_metric_name);
        let quoted;
        let mut is_in_braces = false;
        let name = match plain {
            "" => {
                (quoted, is_in_braces) = self.quoted_name()?;
                &*quoted
            }
            plain => plain,
        };
        let (family, part) = self.family(name)?;
        let kind = *self.families[family].kind.get_or_insert(Kind::Untyped);
        self.cursor.skip_blanks();
        let (labels, selector) = if is_in_braces || self.cursor.current()? == b'{' {
            self.cursor.advance(usize::from(!is_in_braces));
            self.labels.read(&mut self.cursor, name, kind)?
        } else {
            (Labels::new(), None)
        };
        self.cursor.skip_blanks();
        let value = self.value()?;
        let sample = Sample {
            part,
            labels,
            selector,
            value,
            timestamp_ms: self.timestamp()?,
        };
        let draft = &mut self.families[family];
        let before = draft.series();
        if self.is_strict {
            let added = draft.add_strictly(kind, sample);
            added.or_else(|problem| self.cursor.fail(problem))?;
        } else {
            draft.add(kind, sample);
        }
        self.series += draft.series() - before;
        self.check_count(self.series)?;
        self.cursor.next_line();
        Ok(())
    }

    /// Reads the name of a sample line that does not begin with a plain one. Returns true if it is within the braces,
    /// so that labels follow without an opening one.
    #[cold]
    fn quoted_name(&mut self) -> Result<(Cow<'a, str>, bool), ParseError> {
        let cursor = &mut self.cursor;
        match (self.names, cursor.peek()) {
            (Names::Utf8, Some(b'"')) => return Ok((quoted::name(cursor)?, false)),
            (Names::Utf8, Some(b'{')) => cursor.advance(1),
            _ => {
                let found = cursor.found();
                return cursor.fail(format!("expected a metric name, found {found}"));
            }
        }
        cursor.skip_blanks();
        if cursor.current()? != b'"' {
            let found = cursor.found();
            return cursor.fail(format!(
                "expected the metric's name in quotes after {{, found {found}"
            ));
        }
        let name = quoted::name(cursor)?;
        cursor.skip_blanks();
        match cursor.current()? {
            b',' => cursor.advance(1),
            b'}' => {}
            b'=' => {
                return cursor.fail("the metric's name stands before all labels".into());
            }
            _ => {
                let found = cursor.found();
                return cursor.fail(format!(
                    "expected , or }} after the metric's name, found {found}"
                ));
            }
        }
        Ok((name, true))
    }

    fn value(&mut self) -> Result<f64, ParseError> {
        let word = self.cursor.word();
        self.cursor.current()?;
        match float(word) {
            Some(value) => Ok(value),
            None if word.contains(&b'\r') => self.carriage_return(),
            None => self.cursor.fail(format!(
                "expected a number as value, found {}",
                excerpt::quoted(word)
            )),
        }
    }

    /// Reads the rest of the line after the value.
    fn timestamp(&mut self) -> Result<Option<i64>, ParseError> {
        let cursor = &mut self.cursor;
        if cursor.current()? == b'\n' {
            return Ok(None);
        }
        cursor.skip_blanks();
        if self.is_strict && cursor.current()? == b'\n' {
            return Ok(None);
        }
        let word = cursor.word();
        cursor.current()?;
        let Some(timestamp) = str::from_utf8(word).ok().and_then(|word| word.parse().ok()) else {
            if word.is_empty() {
                return cursor.fail("blank after the value".into());
            }
            if word.contains(&b'\r') {
                return self.carriage_return();
            }
            return cursor.fail(format!(
                "expected a timestamp in whole milliseconds after the value, found {}",
                excerpt::quoted(word)
            ));
        };
        if self.is_strict {
            cursor.skip_blanks();
        }
        let rest = cursor.rest_of_line()?;
        if !rest.is_empty() {
            return cursor.fail(format!(
                "unexpected {} after the timestamp",
                excerpt::quoted(rest)
            ));
        }
        Ok(Some(timestamp))
    }

    fn carriage_return<T>(&self) -> Result<T, ParseError> {
        self.cursor.fail(if self.is_strict { "carriage return within the line: lines end in a line feed, or both (convert the text, for example with tr '\\r' '\\n')".into() } else { "carriage return: lines end in a line feed alone (convert the text, for example with tr -d '\\r')".into() })
    }

    /// Returns the family of a line with `name`, which is created if it is new, and the part. `name_count`,
    /// `name_sum` and `name_bucket` belong to a summary or histogram `name` that was declared before.
    fn family(&mut self, name: &str) -> Result<(usize, Part), ParseError> {
        let current = self.families.get(self.current);
        if current.is_some_and(|draft| draft.name == name) {
            return Ok((self.current, Part::Own));
        }
        let (family, part) = match self.find(name) {
            Some(found) => found,
            None => {
                self.limits
                    .check_name(name)
                    .or_else(|problem| self.cursor.fail(problem))?;
                self.families.push(Draft::new(name));
                self.by_name.grew(&self.families, family_name);
                self.check_count(self.families.len())?;
                (self.families.len() - 1, Part::Own)
            }
        };
        self.current = family;
        Ok((family, part))
    }

    fn find(&self, name: &str) -> Option<(usize, Part)> {
        let find = |name| self.by_name.find(&self.families, family_name, name);
        if let Some(family) = find(name) {
            return Some((family, Part::Own));
        }
        let suffixes = [
            ("_count", Part::Count),
            ("_sum", Part::Sum),
            ("_bucket", Part::Own),
        ];
        suffixes.into_iter().find_map(|(suffix, part)| {
            let family = find(name.strip_suffix(suffix)?)?;
            let kind = self.families[family].kind?;
            kind.suffixes().contains(&suffix).then_some((family, part))
        })
    }
}

fn family_name(draft: &Draft) -> &str {
    &draft.name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, limits: Limits) -> String {
        let error = parse_within(text.as_bytes(), &limits).expect_err("beyond the limits");
        error.to_string()
    }

    #[test]
    fn limits() {
        let text = "# TYPE h histogram\nh_bucket{le=\"1000\",abc=\"d\\ne\",f=\"\"} 1\n";
        let limits = Limits {
            max_labels: 2,
            max_label_value_bytes: 3,
            max_name_bytes: 8,
            max_series: usize::MAX,
        };
        assert!(parse_within(text.as_bytes(), &limits).is_ok());
        assert_eq!(
            problem("a 1\nlong_name 1\n", limits),
            "line 2: the name long_name has 9 bytes, and the limit is 8"
        );
        assert_eq!(
            problem("a{long_name=\"\"} 1\n", limits),
            "line 1: the name long_name has 9 bytes, and the limit is 8"
        );
        assert_eq!(
            problem("a{b=\"\",c=\"\",d=\"\"} 1\n", limits),
            "line 1: a series of a has 3 labels or more, and the limit is 2"
        );
        let value = "x".repeat(10_000_000);
        assert_eq!(
            problem(&format!("a{{b=\"{value}\"}} 1\n"), limits),
            "line 1: the value of label b has 10000000 bytes, and the limit is 3"
        );
    }

    fn parse_utf8(text: &str) -> Result<Vec<Family>, ParseError> {
        parse_names(text.as_bytes(), &Limits::default(), Names::Utf8)
    }

    #[test]
    fn quoted_names() {
        let plain = parse(b"# TYPE m gauge\nm{a=\"1\",b=\"2\"} 3\n").unwrap();
        for text in [
            "# TYPE \"m\" gauge\n{\"m\",a=\"1\",b=\"2\"} 3\n",
            "# TYPE m gauge\n { \"m\" , \"b\" = \"2\" , a=\"1\" , } 3\n",
            "# TYPE m gauge\n\"m\" {\"a\"=\"1\",b=\"2\"} 3\n",
        ] {
            assert_eq!(parse_utf8(text).as_deref(), Ok(&plain[..]), "{text}");
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let text = "{\"a \\\"\\\\\\n\",\"é.\"=\"1\"} 2\n{\"b.\"} 3\n{\"b.\",} 4\n";
        let families = parse_utf8(text).unwrap();
        assert_eq!(families[0].name, "a \"\\\n");
        assert_eq!(families[0].metrics[0].labels.get("é."), Some("1"));
        assert_eq!(families[1].metrics.len(), 2);
        let histogram =
            "# TYPE \"h.\" histogram\n{\"h._bucket\",\"le\"=\"1\"} 2\n{\"h._count\"} 2\n";
        let families = parse_utf8(histogram).unwrap();
        assert_eq!(families.len(), 1);
        assert!(matches!(
            &families[0].metrics[0].value,
            crate::Value::Histogram { count, buckets, .. }
                if *count == 2.into() && buckets.len() == 1
        ));
    }

    #[test]
    fn broken_quoted_names() {
        for (text, expected) in [
            (
                "{} 1\n",
                "expected the metric's name in quotes after {, found \"}\"",
            ),
            (
                "{m} 1\n",
                "expected the metric's name in quotes after {, found \"m}\"",
            ),
            (
                "{\"a\"=\"b\",\"m\"} 1\n",
                "the metric's name stands before all labels",
            ),
            (
                "{\"m\" a=\"b\"} 1\n",
                "expected , or } after the metric's name, found \"a=\\\"b\\\"}\"",
            ),
            (
                "{\"m\",\"n\"} 1\n",
                "expected = after the label name n, found \"}\"",
            ),
            (
                "\"m\"{\"n\"} 1\n",
                "expected = after the label name n, found \"}\"",
            ),
            ("{\"\"} 1\n", "there is no name between the quotes"),
            ("{\"m\n\"} 1\n", "a quoted name has no closing \""),
            (
                "{\"\\t\"} 1\n",
                "unknown escape \\t in a quoted name (known: \\\\ \\\" \\n)",
            ),
            (
                "m{\"__name__\"=\"a\"} 1\n",
                "the label name __name__ is reserved",
            ),
            (
                "# TYPE \"m\"gauge\n",
                "invalid metric name in a comment, at \"gauge\"",
            ),
        ] {
            let error = parse_utf8(text).expect_err(text);
            assert_eq!(error.problem, expected, "{text}");
        }
        let not_utf8 = parse_names(b"{\"\xff\"} 1\n", &Limits::default(), Names::Utf8);
        assert_eq!(not_utf8.unwrap_err().problem, "a quoted name is not UTF-8");
        let limits = Limits {
            max_name_bytes: 3,
            max_series: usize::MAX,
            ..Limits::default()
        };
        for text in ["{\"a.bc\"} 1\n", "{\"m\",\"a.bc\"=\"\"} 1\n"] {
            assert!(parse_names(text.as_bytes(), &limits, Names::Utf8).is_err());
        }
        let long = "é".repeat(1_000_000);
        for text in [
            format!("{{\"{long}\"=\"\"}} 1\n"),
            format!("{{\"m\",\"{long}\"}} 1\n"),
            format!("# TYPE \"{long}\" gauge\n# TYPE \"{long}\" gauge\n"),
        ] {
            let error = parse_utf8(&text).expect_err(&text[..20]);
            assert!(error.problem.len() < 300, "{error}");
        }
    }

    #[test]
    fn label_names_with_escapes() {
        let families = parse_utf8("m{z=\"1\",\"\\\\a\"=\"2\",b=\"3\"} 4\nm{b=\"5\"} 6\n").unwrap();
        let metrics = &families[0].metrics;
        let labels: Vec<_> = metrics[0].labels.iter().collect();
        assert_eq!(labels, [("\\a", "2"), ("b", "3"), ("z", "1")]);
        assert_eq!(metrics[1].labels.len(), 1);
        for (text, expected) in [
            (
                "m{\"\\\\a\"=\"1\",\"\\\\a\"=\"2\"} 1\n",
                "the label \\a is given twice",
            ),
            (
                "m{\"\\\\a\"=1} 1\n",
                "expected \" at the start of the value of label \\\\a, found \"1}\"",
            ),
        ] {
            assert_eq!(parse_utf8(text).unwrap_err().problem, expected);
        }
        // The limit applies to the unescaped name.
        let limits = Limits {
            max_name_bytes: 2,
            max_series: usize::MAX,
            ..Limits::default()
        };
        let text = b"m{\"\\\\\\\\\"=\"1\"} 1\n";
        assert!(parse_names(text, &limits, Names::Utf8).is_ok());
    }

    #[test]
    fn messages_have_excerpts_of_long_input() {
        let long = "x".repeat(1_000_000);
        let broken = [
            format!("{long}\n"),
            format!("{long} {long}\n"),
            format!("{long} 1 {long}\n"),
            format!("{long} 1 1 {long}\n"),
            format!("a{{{long}!\"\"}} 1\n"),
            format!("a{{{long}=x}} 1\n"),
            format!("a{{{long}=\"\n"),
            format!("a{{{long}=\"\\x\"}} 1\n"),
            format!("a{{{long}=\"\" {long}=\"\"}} 1\n"),
            format!("a{{{long}=\"\",{long}=\"\"}} 1\n"),
            format!("a{{b={long}}} 1\n"),
            format!("# HELP {long} a\n# HELP {long} b\n"),
            format!("# TYPE {long} gauge\n# TYPE {long} gauge\n"),
            format!("# TYPE a {long}\n"),
            format!("# HELP {long}!\n"),
            format!("# TYPE a histogram\na_bucket{{le=\"{long}\"}} 1\n"),
            format!("a{{b=\"{long}\"}} 1 1\n"),
            format!("# TYPE {long} summary\n{long}{{b=\"{long}\"}} 1\n"),
        ];
        for text in broken {
            let error = parse_strictly(text.as_bytes()).expect_err(&text[..20]);
            assert!(error.problem.len() < 300, "{error}");
        }
    }

    #[test]
    fn hostile_sizes_take_linear_time() {
        let labels: String = (0..200_000)
            .map(|n| format!("l{}=\"\",", n * 7919 % 200_000))
            .collect();
        let families = parse(format!("a{{{labels}}} 1\n").as_bytes()).unwrap();
        assert_eq!(families[0].metrics[0].labels.len(), 200_000);
        let twice = parse(format!("a{{{labels}l5=\"\"}} 1\n").as_bytes());
        assert_eq!(
            twice.unwrap_err().to_string(),
            "line 1: the label l5 is given twice"
        );
        let families: String = (0..100_000).map(|n| format!("m{n}_sum 1\n")).collect();
        assert_eq!(parse(families.as_bytes()).unwrap().len(), 100_000);
        let series: String = ["_sum", "_count"]
            .iter()
            .flat_map(|part| (0..50_000).map(move |n| format!("h{part}{{n=\"{n}\"}} 1\n")))
            .collect();
        let series = format!("# TYPE h histogram\n{series}");
        assert_eq!(parse(series.as_bytes()).unwrap()[0].metrics.len(), 50_000);
        assert!(parse_strictly(series.as_bytes()).is_ok());
    }
}
