//! Labels of a sample line.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::limits::Limits;
use super::number::float;
use super::parse::ParseError;
use super::quoted::{self, Escapes, Quoted};
use crate::excerpt;
use crate::family::Kind;
use crate::labels::Labels;
use crate::name::{Names, continues_label_name, starts_label_name};

/// Reader of the labels of sample lines.
pub struct LabelReader<'a> {
    limits: &'a Limits,
    names: Names,
    /// The escapes accepted in values.
    escapes: Escapes,
    /// Labels of the current line, except `quantile` or `le`.
    pairs: Vec<(&'a str, Cow<'a, str>)>,
    /// Names with escapes, and the index of each in `pairs`. Kept apart because hardly any text has one, and all
    /// others are read faster without.
    escaped_names: Vec<(usize, String)>,
}

impl<'a> LabelReader<'a> {
    pub fn new(limits: &'a Limits, names: Names, escapes: Escapes) -> Self {
        LabelReader {
            limits,
            names,
            escapes,
            pairs: Vec::new(),
            escaped_names: Vec::new(),
        }
    }

    /// Reads from behind `{` up to and including `}`. Returns the labels, and the value of `quantile` or `le` if
    /// `kind` has it.
    pub fn read(
        &mut self,
        cursor: &mut Cursor<'a>,
        metric: &str,
        kind: Kind,
    ) -> Result<(Labels, Option<f64>), ParseError> {
        self.pairs.clear();
        let selector = self.pairs(cursor, metric, kind);
        if !self.escaped_names.is_empty() {
            return self.unescaped(cursor, selector);
        }
        match Labels::from_pairs(&self.pairs) {
            Ok(labels) => Ok((labels, selector?)),
            // It comes before an error behind it.
            Err(repeated) => cursor.fail(format!(
                "the label {} is given twice",
                excerpt::word(self.pairs[repeated].0)
            )),
        }
    }

    /// Builds the labels where some names have escapes.
    #[cold]
    fn unescaped(
        &mut self,
        cursor: &Cursor<'a>,
        selector: Result<Option<f64>, ParseError>,
    ) -> Result<(Labels, Option<f64>), ParseError> {
        let pairs = self.pairs.drain(..);
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            pairs.map(|(name, value)| (name.into(), value)).collect();
        for (place, name) in self.escaped_names.drain(..) {
            pairs[place].0 = name.into();
        }
        match Labels::from_pairs(&pairs) {
            Ok(labels) => Ok((labels, selector?)),
            Err(repeated) => cursor.fail(format!(
                "the label {} is given twice",
                excerpt::word(&pairs[repeated].0)
            )),
        }
    }

    /// Reads the labels into `pairs`, and returns the value of `quantile` or `le`.
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
                // Before its value, so that a repeated name is reported before an error in that.
                self.pairs.push((name, Cow::Borrowed("")));
                within(cursor, self.limits.check_count(metric, self.pairs.len()))?;
                let value = quoted::read(cursor, Quoted::ValueOf(name), self.escapes)?;
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

    /// Reads a label's name and the `=` after it.
    fn label_name(&mut self, cursor: &mut Cursor<'a>) -> Result<&'a str, ParseError> {
        let name = cursor.name(starts_label_name, continues_label_name);
        if name.is_empty() {
            return self.quoted_label_name(cursor);
        }
        equals_sign(cursor, name)?;
        within(cursor, self.limits.check_name(name))?;
        Ok(name)
    }

    /// Reads a quoted label name and the `=` after it. A name with escapes is returned as written.
    #[cold]
    fn quoted_label_name(&mut self, cursor: &mut Cursor<'a>) -> Result<&'a str, ParseError> {
        if self.names == Names::Legacy || cursor.current()? != b'"' {
            let found = cursor.found();
            return cursor.fail(format!("expected a label name or }}, found {found}"));
        }
        let start = cursor.rest();
        let name = quoted::name(cursor)?;
        let written = &start[1..start.len() - cursor.rest().len() - 1];
        equals_sign(cursor, &name)?;
        within(cursor, self.limits.check_name(&name))?;
        match name {
            Cow::Borrowed(name) => Ok(name),
            Cow::Owned(name) => {
                self.escaped_names.push((self.pairs.len(), name));
                Ok(str::from_utf8(written).unwrap_or_default())
            }
        }
    }
}

/// Reads the `=` after the name of a label.
fn equals_sign(cursor: &mut Cursor<'_>, name: &str) -> Result<(), ParseError> {
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
    Ok(())
}

fn bound(cursor: &mut Cursor<'_>, name: &str) -> Result<f64, ParseError> {
    let value = quoted::read(cursor, Quoted::ValueOf(name), Escapes::Known)?;
    match float(value.as_bytes()) {
        Some(number) => Ok(number),
        None => cursor.fail(format!(
            "the label {name} must be a number, not {}",
            excerpt::quoted(value.as_bytes())
        )),
    }
}

fn within(cursor: &Cursor<'_>, checked: Result<(), String>) -> Result<(), ParseError> {
    checked.or_else(|problem| cursor.fail(problem))
}
