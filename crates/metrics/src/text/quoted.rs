//! Quoted text: values of labels, and names that text 0.0.4 does not allow.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr3;

use super::cursor::Cursor;
use super::parse::ParseError;
use crate::excerpt;

/// Subject of the quoted text in messages.
#[derive(Clone, Copy)]
pub enum Quoted<'n> {
    Name,
    /// The value of the label with this name.
    ValueOf(&'n str),
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quoted::Name => f.write_str("a quoted name"),
            Quoted::ValueOf(label) => write!(f, "the value of label {}", excerpt::word(label)),
        }
    }
}

/// Escapes accepted in quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// `\\`, `\"` and `\n`; others are refused, as in the Pushgateway.
    Known,
    /// Others too, which stand for both of their characters, as in OpenMetrics.
    Any,
}

/// Reads a quoted name, with the escapes of label values.
#[cold]
pub fn name<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, ParseError> {
    let name = read(cursor, Quoted::Name, Escapes::Known)?;
    if name.is_empty() {
        cursor.fail("there is no name between the quotes".into())
    } else {
        Ok(name)
    }
}

/// Reads from the opening quote up to and including the closing one.
#[inline]
pub fn read<'a>(
    cursor: &mut Cursor<'a>,
    what: Quoted<'_>,
    escapes: Escapes,
) -> Result<Cow<'a, str>, ParseError> {
    if cursor.current()? != b'"' {
        let found = cursor.found();
        return cursor.fail(format!("expected \" at the start of {what}, found {found}"));
    }
    cursor.advance(1);
    let rest = cursor.rest();
    let text = match memchr3(b'"', b'\\', b'\n', rest) {
        Some(end) if rest[end] == b'"' => {
            cursor.advance(end);
            let text = cursor.str_before(&rest[..end]).map(Cow::Borrowed);
            cursor.advance(1);
            text
        }
        _ => {
            let text = escaped(cursor, what, escapes)?;
            String::from_utf8(text).ok().map(Cow::Owned)
        }
    };
    match text {
        Some(text) => Ok(text),
        None => cursor.fail(format!("{what} is not UTF-8")),
    }
}

/// Reads from behind the opening quote up to and including the closing one.
fn escaped(
    cursor: &mut Cursor<'_>,
    what: Quoted<'_>,
    escapes: Escapes,
) -> Result<Vec<u8>, ParseError> {
    let mut text = Vec::new();
    loop {
        let rest = cursor.rest();
        let plain = memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
        text.extend_from_slice(&rest[..plain]);
        cursor.advance(plain);
        match cursor.current()? {
            b'"' => {
                cursor.advance(1);
                return Ok(text);
            }
            b'\n' => return cursor.fail(format!("{what} has no closing \"")),
            _ => cursor.advance(1),
        }
        let byte = match cursor.current()? {
            escaped @ (b'"' | b'\\') => escaped,
            b'n' => b'\n',
            b'\n' if escapes == Escapes::Any => continue,
            other if escapes == Escapes::Any => {
                text.push(b'\\');
                other
            }
            unknown => {
                return cursor.fail(format!(
                    "unknown escape \\{} in {what} (known: \\\\ \\\" \\n)",
                    unknown.escape_ascii()
                ));
            }
        };
        text.push(byte);
        cursor.advance(1);
    }
}
