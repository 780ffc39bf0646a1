//! Reads values of a job file and notes their problems.

use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::job::duration;
use crate::job::size::parse_size;
use crate::job::{Backoff, parse_backoff};

/// A key as the TOML parser gives it.
pub type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// A value as the TOML parser gives it.
pub type Value<'a> = Spanned<DeValue<'a>>;

/// Where in the text something stands.
pub type Span = Range<usize>;

/// Reader of values. Each method returns `None` for a bad value, after noting the problem.
pub struct Reader<'a> {
    pub text: &'a str,
    pub shown: &'a Path,
    /// With the offset that each is about.
    pub problems: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    pub fn table<'t>(
        &mut self,
        key: &Key<'a>,
        value: &'t Value<'a>,
    ) -> impl Iterator<Item = (&'t Key<'a>, &'t Value<'a>)> + use<'t, 'a> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table");
        }
        table.into_iter().flat_map(|table| table.iter())
    }

    pub fn string(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        text
    }

    pub fn boolean(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    /// A whole number from 0 to `max`.
    pub fn integer<T: TryFrom<u64> + Into<u64>>(
        &mut self,
        key: &Key<'a>,
        value: &Value<'a>,
        max: T,
    ) -> Option<T> {
        let max: u64 = max.into();
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| *number <= max);
        if number.is_none() {
            let key = key.get_ref();
            self.problem(
                value.span(),
                format!("{key} must be a whole number from 0 to {max}, not {integer}"),
            );
        }
        T::try_from(number?).ok()
    }

    /// A number, with or without fraction.
    pub fn number(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|number| number as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(key, value, "a number");
        }
        number
    }

    /// The elements of an array; `wanted` says what it should be an array of.
    pub fn array<'t>(
        &mut self,
        key: &Key<'a>,
        value: &'t Value<'a>,
        wanted: &str,
    ) -> Option<impl Iterator<Item = &'t Value<'a>> + use<'t, 'a>> {
        let array = value.get_ref().as_array();
        if array.is_none() {
            self.wrong_type(key, value, wanted);
        }
        Some(array?.iter())
    }

    /// A string that `T` is read from; its error follows key and value in the message.
    pub fn parsed<T: FromStr<Err = String>>(
        &mut self,
        key: &Key<'a>,
        value: &Value<'a>,
    ) -> Option<T> {
        let text = self.string(key, value)?;
        let result = text.parse();
        self.checked(key.get_ref(), value.span(), &text, result)
    }

    /// A number of bytes.
    pub fn size(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<usize> {
        let text = self.string(key, value)?;
        self.checked(key.get_ref(), value.span(), &text, parse_size(&text))
    }

    /// Waits between attempts.
    pub fn backoff(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Backoff> {
        let text = self.string(key, value)?;
        self.checked(key.get_ref(), value.span(), &text, parse_backoff(&text))
    }

    /// A time span.
    pub fn duration(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Duration> {
        let text = self.string(key, value)?;
        self.checked(key.get_ref(), value.span(), &text, duration::parse(&text))
    }

    /// A time span longer than 0.
    pub fn positive_duration(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Duration> {
        let text = self.string(key, value)?;
        self.checked(
            key.get_ref(),
            value.span(),
            &text,
            duration::parse_positive(&text),
        )
    }

    /// Unwraps `result`, which the value `text` at `span` was parsed to; an error becomes a problem.
    pub fn checked<T>(
        &mut self,
        key: &str,
        span: Span,
        text: &str,
        result: Result<T, String>,
    ) -> Option<T> {
        result
            .map_err(|problem| self.problem(span, format!("{key} {text:?} {problem}")))
            .ok()
    }

    pub fn wrong_type(&mut self, key: &Key<'a>, value: &Value<'a>, wanted: &str) {
        let (key, found) = (key.get_ref(), value.get_ref().type_str());
        self.problem(
            value.span(),
            format!("{key} must be {wanted}, but is of type {found}"),
        );
    }

    pub fn problem(&mut self, span: Span, text: String) {
        let place = self.place(span.start);
        self.problems.push((span.start, format!("{place} {text}")));
    }

    /// `jobs/backup.toml:4:11:`, the column in characters.
    pub fn place(&self, offset: usize) -> String {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}:", self.shown.display())
    }
}
