//! Text to families.

use super::cursor::Cursor;
use super::declare;
use super::draft::{Draft, Part, Sample};
use super::labels::LabelReader;
use super::limits::Limits;
use super::number::float;
use crate::metrics::excerpt;
use crate::metrics::family::{Family, Kind};
use crate::metrics::index::Index;
use crate::metrics::labels::Labels;
use crate::metrics::name::{continues_metric_name, starts_metric_name};

/// Why text is not in the format, and the line (from 1) that shows it. Of the text it has no more
/// than excerpts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    pub line: usize,
    pub problem: String,
}

/// Reads text format 0.0.4 as the Pushgateway's parser does.
///
/// Families come in the order in which they first appear; one that has HELP or TYPE but no samples
/// is dropped. Timestamps are kept. Series that stand twice are kept too, see
/// [`check`](crate::metrics::check).
///
/// # Errors
///
/// Among what is refused: a last line without line feed (the text may have been cut off), carriage
/// returns, an unknown TYPE, a second HELP or TYPE of a name, TYPE after samples, a label given
/// twice, a `le` or `quantile` that is no number, a blank after the value, unknown escapes, invalid
/// names, and bytes that are not UTF-8.
pub fn parse(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    read(text, &Limits::default(), false)
}

/// Reads text as [`parse`] does, but not beyond `limits`.
///
/// # Errors
///
/// Those of [`parse`]; and a series with more labels, or a name or value longer than `limits` say.
pub fn parse_within(text: &[u8], limits: &Limits) -> Result<Vec<Family>, ParseError> {
    read(text, limits, false)
}

/// Reads text as [`parse`] does, and refuses further what that would not keep as it was written, or
/// no gateway would take.
///
/// # Errors
///
/// Those of [`parse`]; and timestamps, series and their parts that stand twice, lines of a summary
/// or histogram without `quantile` or `le`, and counts that are not whole.
pub fn parse_strictly(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    read(text, &Limits::default(), true)
}

fn read<'a>(
    text: &'a [u8],
    limits: &'a Limits,
    is_strict: bool,
) -> Result<Vec<Family>, ParseError> {
    let mut parser = Parser {
        cursor: Cursor::new(text),
        limits,
        is_strict,
        families: Vec::new(),
        by_name: Index::default(),
        current: 0,
        labels: LabelReader::new(limits),
    };
    parser.run()?;
    let drafts = parser.families.into_iter();
    Ok(drafts.filter_map(Draft::finish).collect())
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    is_strict: bool,
    families: Vec<Draft>,
    by_name: Index,
    /// The family of the line before, which is most likely the next one's too.
    current: usize,
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
        let name = self.cursor.name(starts_metric_name, continues_metric_name);
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
            } else {
                declare::kind(draft, rest)
            };
            declared.or_else(|problem| self.cursor.fail(problem))?;
        }
        self.cursor.next_line();
        Ok(())
    }

    fn sample(&mut self) -> Result<(), ParseError> {
        let name = self.cursor.name(starts_metric_name, continues_metric_name);
        if name.is_empty() {
            let found = self.cursor.found();
            return self
                .cursor
                .fail(format!("expected a metric name, found {found}"));
        }
        let (family, part) = self.family(name)?;
        let kind = *self.families[family].kind.get_or_insert(Kind::Untyped);
        self.cursor.skip_blanks();
        let (labels, selector) = if self.cursor.current()? == b'{' {
            self.cursor.advance(1);
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
        if self.is_strict {
            let added = draft.add_strictly(kind, sample);
            added.or_else(|problem| self.cursor.fail(problem))?;
        } else {
            draft.add(kind, sample);
        }
        self.cursor.next_line();
        Ok(())
    }

    fn value(&mut self) -> Result<f64, ParseError> {
        let word = self.cursor.word();
        self.cursor.current()?;
        match float(word) {
            Some(value) => Ok(value),
            None if word.contains(&b'\r') => self.cursor.fail(CARRIAGE_RETURN.into()),
            None => self.cursor.fail(format!(
                "expected a number as value, found {}",
                excerpt::quoted(word)
            )),
        }
    }

    /// Reads what stands between the value and the end of the line.
    fn timestamp(&mut self) -> Result<Option<i64>, ParseError> {
        let cursor = &mut self.cursor;
        if cursor.current()? == b'\n' {
            return Ok(None);
        }
        cursor.skip_blanks();
        let word = cursor.word();
        cursor.current()?;
        let Some(timestamp) = str::from_utf8(word).ok().and_then(|word| word.parse().ok()) else {
            if word.is_empty() {
                return cursor.fail("blank after the value".into());
            }
            if word.contains(&b'\r') {
                return cursor.fail(CARRIAGE_RETURN.into());
            }
            return cursor.fail(format!(
                "expected a timestamp in whole milliseconds after the value, found {}",
                excerpt::quoted(word)
            ));
        };
        let rest = cursor.rest_of_line()?;
        if !rest.is_empty() {
            return cursor.fail(format!(
                "unexpected {} after the timestamp",
                excerpt::quoted(rest)
            ));
        }
        Ok(Some(timestamp))
    }

    /// The family that a line with `name` belongs to, made if it is new. `name_count`, `name_sum`
    /// and `name_bucket` belong to a summary or histogram `name` that was declared before.
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

const CARRIAGE_RETURN: &str = "carriage return: lines end in a line feed alone (convert the text, for example with tr -d '\\r')";

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
