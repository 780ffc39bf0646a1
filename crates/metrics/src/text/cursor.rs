//! Position of a parser in its text.

use memchr::memchr;

use super::parse::ParseError;
use crate::excerpt;

/// Position in the text, with the reading steps that all lines share.
pub struct Cursor<'a> {
    text: &'a [u8],
    /// The text, if all of it is UTF-8, so that parts need no validation.
    utf8: Option<&'a str>,
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Cursor {
            text,
            utf8: str::from_utf8(text).ok(),
            at: 0,
            line: 1,
        }
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Returns the byte under the cursor; fails at the end of the text.
    pub fn current(&self) -> Result<u8, ParseError> {
        match self.peek() {
            Some(byte) => Ok(byte),
            None => self.fail(
                "the text ends inside this line: its last line must end in a line feed".into(),
            ),
        }
    }

    pub fn fail<T>(&self, problem: String) -> Result<T, ParseError> {
        Err(ParseError {
            has_too_many_series: false,
            line: self.line,
            problem,
        })
    }

    /// Describes the input at the cursor for a message.
    pub fn found(&self) -> String {
        match self.peek() {
            None => "the end of the text".into(),
            Some(b'\n') => "the end of the line".into(),
            Some(_) => {
                let rest = self.rest();
                let end = rest.iter().position(|byte| b" \t\n".contains(byte));
                excerpt::quoted(&rest[..end.unwrap_or(rest.len()).max(1)])
            }
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
    }

    pub fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes everything up to a blank, a tab, a line feed or the end.
    pub fn word(&mut self) -> &'a [u8] {
        self.take(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
    }

    /// Takes everything up to the line feed; fails if there is none.
    pub fn rest_of_line(&mut self) -> Result<&'a [u8], ParseError> {
        let rest = self.rest();
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += length;
        self.current()?;
        Ok(&rest[..length])
    }

    /// Takes a name; empty if there is none. `continues` must accept ASCII bytes only.
    pub fn name(&mut self, starts: impl Fn(u8) -> bool, continues: impl Fn(u8) -> bool) -> &'a str {
        if !self.peek().is_some_and(starts) {
            return "";
        }
        let name = self.take(continues);
        self.str_before(name).unwrap_or_default()
    }

    /// Returns `bytes`, which end at the cursor, as a string if they are UTF-8.
    pub fn str_before(&self, bytes: &'a [u8]) -> Option<&'a str> {
        match self.utf8 {
            Some(text) => text.get(self.at - bytes.len()..self.at),
            None => str::from_utf8(bytes).ok(),
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !wanted(byte));
        let length = length.unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}
