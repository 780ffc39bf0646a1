//! Text to families.

use std::collections::HashMap;

use super::draft::{Draft, Part, Sample, SampleLabels};
use crate::metrics::family::{Family, Kind};
use crate::metrics::name::{
    continues_label_name, continues_metric_name, starts_label_name, starts_metric_name,
};

/// Why text is not in the format, and the line (from 1) that shows it.
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
    read(text, false)
}

/// Reads text as [`parse`] does, and refuses further what that would not keep as it was written, or
/// no gateway would take.
///
/// # Errors
///
/// Those of [`parse`]; and timestamps, series and their parts that stand twice, lines of a summary
/// or histogram without `quantile` or `le`, and counts that are not whole.
pub fn parse_strictly(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    read(text, true)
}

fn read(text: &[u8], is_strict: bool) -> Result<Vec<Family>, ParseError> {
    let mut parser = Parser {
        is_strict,
        text,
        at: 0,
        line: 1,
        families: Vec::new(),
        by_name: HashMap::new(),
    };
    parser.run()?;
    Ok(parser
        .families
        .into_iter()
        .filter_map(Draft::finish)
        .collect())
}

struct Parser<'a> {
    is_strict: bool,
    text: &'a [u8],
    at: usize,
    line: usize,
    families: Vec<Draft>,
    by_name: HashMap<String, usize>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), ParseError> {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(()),
                Some(b'\n') => self.next_line(),
                Some(b'#') => self.comment()?,
                Some(_) => self.sample()?,
            }
        }
    }

    fn comment(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        self.skip_blanks();
        let keyword = self.word();
        if keyword != b"HELP" && keyword != b"TYPE" {
            self.rest_of_line()?;
            self.next_line();
            return Ok(());
        }
        self.skip_blanks();
        let name = self.name(starts_metric_name, continues_metric_name);
        match self.current()? {
            b'\n' => {
                self.next_line();
                return Ok(());
            }
            b' ' | b'\t' => {}
            _ => {
                let found = self.found();
                return self.fail(format!("invalid metric name in a comment, at {found}"));
            }
        }
        let (family, _) = self.family(name);
        self.skip_blanks();
        let is_help = keyword == b"HELP";
        let start = self.line;
        let rest = self.rest_of_line()?;
        if !rest.is_empty() {
            let draft = &mut self.families[family];
            let problem = if is_help {
                if draft.help.is_some() {
                    Some(format!("second HELP line for {}", draft.name))
                } else {
                    match unescape_help(rest) {
                        Ok(help) => {
                            draft.help = Some(help);
                            None
                        }
                        Err(problem) => Some(problem),
                    }
                }
            } else if draft.kind.is_some() {
                Some(format!(
                    "second TYPE line for {}, or TYPE after its samples",
                    draft.name
                ))
            } else {
                draft.kind = str::from_utf8(rest).ok().and_then(Kind::from_name);
                draft.kind.is_none().then(|| {
                    let known = Kind::ALL.map(Kind::name).join(", ");
                    format!("unknown TYPE {} (known: {known})", quote(rest))
                })
            };
            if let Some(problem) = problem {
                return Err(ParseError {
                    line: start,
                    problem,
                });
            }
        }
        self.next_line();
        Ok(())
    }

    fn sample(&mut self) -> Result<(), ParseError> {
        let name = self.name(starts_metric_name, continues_metric_name);
        if name.is_empty() {
            let found = self.found();
            return self.fail(format!("expected a metric name, found {found}"));
        }
        let (family, part) = self.family(name);
        let kind = *self.families[family].kind.get_or_insert(Kind::Untyped);
        self.skip_blanks();
        let labels = if self.current()? == b'{' {
            self.at += 1;
            self.labels(kind)?
        } else {
            SampleLabels::default()
        };
        self.skip_blanks();
        let value = self.value()?;
        let timestamp_ms = self.timestamp()?;
        let sample = Sample {
            part,
            labels,
            value,
            timestamp_ms,
        };
        let loss = self.families[family].add(kind, sample);
        if let (Err(problem), true) = (loss, self.is_strict) {
            return self.fail(problem);
        }
        self.next_line();
        Ok(())
    }

    /// Reads behind `{`, up to and with `}`.
    fn labels(&mut self, kind: Kind) -> Result<SampleLabels, ParseError> {
        let selector = match kind {
            Kind::Summary => Some("quantile"),
            Kind::Histogram => Some("le"),
            _ => None,
        };
        let mut labels = SampleLabels::default();
        loop {
            self.skip_blanks();
            if self.current()? == b'}' {
                break;
            }
            let name = self.name(starts_label_name, continues_label_name);
            if name.is_empty() {
                let found = self.found();
                return self.fail(format!("expected a label name or }}, found {found}"));
            }
            if name == "__name__" {
                return self.fail("the label name __name__ is reserved".into());
            }
            self.skip_blanks();
            if self.current()? != b'=' {
                let found = self.found();
                return self.fail(format!(
                    "expected = after the label name {name}, found {found}"
                ));
            }
            if labels.labels.contains_key(name) {
                return self.fail(format!("the label {name} is given twice"));
            }
            self.at += 1;
            self.skip_blanks();
            let value = self.label_value(name)?;
            if Some(name) == selector {
                match float(value.as_bytes()) {
                    Some(number) => labels.selector = Some(number),
                    None => {
                        return self
                            .fail(format!("the label {name} must be a number, not {value:?}"));
                    }
                }
            } else {
                labels.labels.insert(name, value);
            }
            self.skip_blanks();
            match self.current()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => {
                    let found = self.found();
                    return self.fail(format!("expected , or }} after a label, found {found}"));
                }
            }
        }
        self.at += 1;
        Ok(labels)
    }

    fn label_value(&mut self, name: &str) -> Result<String, ParseError> {
        if self.current()? != b'"' {
            let found = self.found();
            return self.fail(format!(
                "expected \" at the start of the value of label {name}, found {found}"
            ));
        }
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.current()?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\n' => return self.fail(format!("the value of label {name} has no closing \"")),
                b'\\' => {
                    let escaped = self.current()?;
                    self.at += 1;
                    value.push(match escaped {
                        b'"' | b'\\' => escaped,
                        b'n' => b'\n',
                        _ => {
                            return self.fail(format!(
                                "unknown escape \\{} in the value of label {name} (known: \\\\ \\\" \\n)",
                                escaped.escape_ascii()
                            ));
                        }
                    });
                }
                _ => value.push(byte),
            }
        }
        match String::from_utf8(value) {
            Ok(value) => Ok(value),
            Err(_) => self.fail(format!("the value of label {name} is not UTF-8")),
        }
    }

    fn value(&mut self) -> Result<f64, ParseError> {
        let word = self.word();
        self.current()?;
        match float(word) {
            Some(value) => Ok(value),
            None if word.contains(&b'\r') => self.fail(CARRIAGE_RETURN.into()),
            None => self.fail(format!("expected a number as value, found {}", quote(word))),
        }
    }

    /// Reads what stands between the value and the end of the line.
    fn timestamp(&mut self) -> Result<Option<i64>, ParseError> {
        if self.current()? == b'\n' {
            return Ok(None);
        }
        self.skip_blanks();
        let word = self.word();
        self.current()?;
        let Some(timestamp) = str::from_utf8(word).ok().and_then(|word| word.parse().ok()) else {
            if word.is_empty() {
                return self.fail("blank after the value".into());
            }
            if word.contains(&b'\r') {
                return self.fail(CARRIAGE_RETURN.into());
            }
            return self.fail(format!(
                "expected a timestamp in whole milliseconds after the value, found {}",
                quote(word)
            ));
        };
        let rest = self.rest_of_line()?;
        if !rest.is_empty() {
            return self.fail(format!("unexpected {} after the timestamp", quote(rest)));
        }
        Ok(Some(timestamp))
    }

    /// The family that a line with `name` belongs to, made if it is new. `name_count`, `name_sum`
    /// and `name_bucket` belong to a summary or histogram `name` that was declared before.
    fn family(&mut self, name: &str) -> (usize, Part) {
        if let Some(&family) = self.by_name.get(name) {
            return (family, Part::Own);
        }
        for (suffix, part) in [
            ("_count", Part::Count),
            ("_sum", Part::Sum),
            ("_bucket", Part::Own),
        ] {
            let declared = name
                .strip_suffix(suffix)
                .and_then(|base| self.by_name.get(base));
            if let Some(&family) = declared
                && self.families[family]
                    .kind
                    .is_some_and(|kind| kind.suffixes().contains(&suffix))
            {
                return (family, part);
            }
        }
        let family = self.families.len();
        self.by_name.insert(name.to_owned(), family);
        self.families.push(Draft::new(name));
        (family, Part::Own)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The byte under the cursor, where the text must not end.
    fn current(&self) -> Result<u8, ParseError> {
        match self.peek() {
            Some(byte) => Ok(byte),
            None => self.fail(
                "the text ends inside this line: its last line must end in a line feed".into(),
            ),
        }
    }

    fn fail<T>(&self, problem: String) -> Result<T, ParseError> {
        Err(ParseError {
            line: self.line,
            problem,
        })
    }

    fn found(&self) -> String {
        match self.peek() {
            None => "the end of the text".into(),
            Some(b'\n') => "the end of the line".into(),
            Some(_) => {
                let rest = &self.text[self.at..];
                let end = rest
                    .iter()
                    .position(|byte| b" \t\n".contains(byte))
                    .unwrap_or(rest.len());
                quote(&rest[..end.max(1)])
            }
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
    }

    /// Everything up to a blank, a line feed or the end.
    fn word(&mut self) -> &'a [u8] {
        self.take(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
    }

    /// Everything up to the line feed, which must be there.
    fn rest_of_line(&mut self) -> Result<&'a [u8], ParseError> {
        let rest = self.take(|byte| byte != b'\n');
        self.current()?;
        Ok(rest)
    }

    fn name(&mut self, starts: fn(u8) -> bool, continues: fn(u8) -> bool) -> &'a str {
        if !self.peek().is_some_and(starts) {
            return "";
        }
        str::from_utf8(self.take(continues)).unwrap_or_default()
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|&byte| !wanted(byte))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

const CARRIAGE_RETURN: &str = "carriage return: lines end in a line feed alone (convert the text, for example with tr -d '\\r')";

/// A number as Go's `strconv.ParseFloat` reads it: no sign before `NaN`, and out of range is an
/// error, not an infinity.
fn float(word: &[u8]) -> Option<f64> {
    let number: f64 = str::from_utf8(word).ok()?.parse().ok()?;
    let spelled = |letter: u8| word.iter().any(|byte| byte.eq_ignore_ascii_case(&letter));
    let accepted = if number.is_nan() {
        !matches!(word.first(), Some(b'+' | b'-'))
    } else {
        number.is_finite() || spelled(b'i')
    };
    accepted.then_some(number)
}

fn unescape_help(text: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(text).map_err(|_| "the HELP text is not UTF-8".to_owned())?;
    let mut help = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\') => help.push('\\'),
                Some('n') => help.push('\n'),
                Some(other) => {
                    return Err(format!(
                        "unknown escape \\{other} in the HELP text (known: \\\\ \\n)"
                    ));
                }
                None => return Err("the HELP text ends in a lone \\".into()),
            },
            _ => help.push(c),
        }
    }
    Ok(help)
}

/// Input as an error message shows it: quoted, escaped, and cut where it is long.
fn quote(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
