//! The labels of a sample line.

use std::borrow::Cow;

use memchr::memchr3;

use super::cursor::Cursor;
use super::limits::Limits;
use super::number::float;
use super::parse::ParseError;
use crate::metrics::excerpt;
use crate::metrics::family::Kind;
use crate::metrics::labels::Labels;
use crate::metrics::name::{continues_label_name, starts_label_name};

/// Reads the labels of one line after the other.
pub struct LabelReader<'a> {
    limits: &'a Limits,
    /// Those of the line that is read.
    pairs: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> LabelReader<'a> {
    pub fn new(limits: &'a Limits) -> Self {
        LabelReader {
            limits,
            pairs: Vec::new(),
        }
    }

    /// Reads behind `{`, up to and with `}`: the labels, and what selects a quantile or bucket.
    pub fn read(
        &mut self,
        cursor: &mut Cursor<'a>,
        metric: &str,
        kind: Kind,
    ) -> Result<(Labels, Option<f64>), ParseError> {
        self.pairs.clear();
        let selector = self.pairs(cursor, metric, kind);
        match Labels::from_pairs(&self.pairs) {
            Ok(labels) => Ok((labels, selector?)),
            // That comes before whatever is wrong behind it.
            Err(repeated) => cursor.fail(format!(
                "the label {} is given twice",
                excerpt::word(self.pairs[repeated].0)
            )),
        }
    }

    /// Reads the labels into `pairs`, and returns what selects a quantile or bucket.
    fn pairs(
        &mut self,
        cursor: &mut Cursor<'a>,
        metric: &str,
        kind: Kind,
    ) -> Result<Option<f64>, ParseError> {
        let selector_name = match kind {
            Kind::Summary => "quantile",
            Kind::Histogram => "le",
            _ => "",
        };
        let mut selector = None;
        loop {
            cursor.skip_blanks();
            if cursor.current()? == b'}' {
                break;
            }
            let name = self.label_name(cursor)?;
            cursor.skip_blanks();
            if name == selector_name {
                selector = Some(bound(cursor, name)?);
            } else {
                // Before its value, so that a second one is seen where it begins.
                self.pairs.push((name, Cow::Borrowed("")));
                within(cursor, self.limits.check_count(metric, self.pairs.len()))?;
                let value = label_value(cursor, name)?;
                within(cursor, self.limits.check_value(name, &value))?;
                if let Some(pair) = self.pairs.last_mut() {
                    pair.1 = value;
                }
            }
            cursor.skip_blanks();
            match cursor.current()? {
                b',' => cursor.advance(1),
                b'}' => break,
                _ => {
                    let found = cursor.found();
                    return cursor.fail(format!("expected , or }} after a label, found {found}"));
                }
            }
        }
        cursor.advance(1);
        Ok(selector)
    }

    /// Reads a label's name and the `=` behind it.
    fn label_name(&self, cursor: &mut Cursor<'a>) -> Result<&'a str, ParseError> {
        let name = cursor.name(starts_label_name, continues_label_name);
        if name.is_empty() {
            let found = cursor.found();
            return cursor.fail(format!("expected a label name or }}, found {found}"));
        }
        if name == "__name__" {
            return cursor.fail("the label name __name__ is reserved".into());
        }
        cursor.skip_blanks();
        if cursor.current()? != b'=' {
            let found = cursor.found();
            return cursor.fail(format!(
                "expected = after the label name {}, found {found}",
                excerpt::word(name)
            ));
        }
        cursor.advance(1);
        within(cursor, self.limits.check_name(name))?;
        Ok(name)
    }
}

fn bound(cursor: &mut Cursor<'_>, name: &str) -> Result<f64, ParseError> {
    let value = label_value(cursor, name)?;
    match float(value.as_bytes()) {
        Some(number) => Ok(number),
        None => cursor.fail(format!(
            "the label {name} must be a number, not {}",
            excerpt::quoted(value.as_bytes())
        )),
    }
}

fn label_value<'a>(cursor: &mut Cursor<'a>, label: &str) -> Result<Cow<'a, str>, ParseError> {
    if cursor.current()? != b'"' {
        let found = cursor.found();
        return cursor.fail(format!(
            "expected \" at the start of the value of label {}, found {found}",
            excerpt::word(label)
        ));
    }
    cursor.advance(1);
    let rest = cursor.rest();
    let value = match memchr3(b'"', b'\\', b'\n', rest) {
        Some(end) if rest[end] == b'"' => {
            cursor.advance(end);
            let value = cursor.str_before(&rest[..end]).map(Cow::Borrowed);
            cursor.advance(1);
            value
        }
        _ => {
            let value = escaped_label_value(cursor, label)?;
            String::from_utf8(value).ok().map(Cow::Owned)
        }
    };
    match value {
        Some(value) => Ok(value),
        None => cursor.fail(format!(
            "the value of label {} is not UTF-8",
            excerpt::word(label)
        )),
    }
}

/// Reads behind `"`, up to and with the closing one.
fn escaped_label_value(cursor: &mut Cursor<'_>, label: &str) -> Result<Vec<u8>, ParseError> {
    let mut value = Vec::new();
    loop {
        let rest = cursor.rest();
        let plain = memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
        value.extend_from_slice(&rest[..plain]);
        cursor.advance(plain);
        match cursor.current()? {
            b'"' => {
                cursor.advance(1);
                return Ok(value);
            }
            b'\n' => {
                return cursor.fail(format!(
                    "the value of label {} has no closing \"",
                    excerpt::word(label)
                ));
            }
            _ => cursor.advance(1),
        }
        value.push(match cursor.current()? {
            escaped @ (b'"' | b'\\') => escaped,
            b'n' => b'\n',
            unknown => {
                return cursor.fail(format!(
                    "unknown escape \\{} in the value of label {} (known: \\\\ \\\" \\n)",
                    unknown.escape_ascii(),
                    excerpt::word(label)
                ));
            }
        });
        cursor.advance(1);
    }
}

fn within(cursor: &Cursor<'_>, checked: Result<(), String>) -> Result<(), ParseError> {
    checked.or_else(|problem| cursor.fail(problem))
}
