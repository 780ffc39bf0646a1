//! Parser of selectors, by the grammar of PromQL in Prometheus 3.

use super::error::MAX_BYTES;
use super::pattern::{Budget, Pattern};
use super::{METRIC_NAME, Matcher, SelectorProblem, Test};
use crate::name::{
    continues_label_name, continues_metric_name, starts_label_name, starts_metric_name,
};

/// A problem and the byte where it is.
type Failure = (usize, SelectorProblem);

pub struct SelectorParser<'t> {
    text: &'t str,
    at: usize,
    budget: &'t mut Budget,
}

impl<'t> SelectorParser<'t> {
    pub fn new(text: &'t str, budget: &'t mut Budget) -> Self {
        SelectorParser {
            text,
            at: 0,
            budget,
        }
    }

    /// Reads `NAME{MATCHERS}`, either part of which may be missing.
    pub fn selector(&mut self) -> Result<Vec<Matcher>, Failure> {
        if self.text.len() > MAX_BYTES {
            return Err((0, SelectorProblem::TooLong));
        }
        let mut matchers = Vec::new();
        self.skip_blanks();
        let name = self.name(starts_metric_name, continues_metric_name);
        if !name.is_empty() {
            matchers.push(Matcher::of_name(name.to_owned()));
        }
        let has_name = !name.is_empty();
        self.skip_blanks();
        if self.takes('{') {
            self.matchers(&mut matchers, has_name)?;
            self.skip_blanks();
            if !self.rest().is_empty() {
                return self.expected("the end behind the }");
            }
        } else if !has_name {
            return self.expected("{, as in {job=\"ci\"}");
        } else if !self.rest().is_empty() {
            return self.expected("{ with matchers in it, as in {job=\"ci\"}");
        }
        Ok(matchers)
    }

    /// Reads from behind `{` up to and including `}`. With `has_name` there was a metric name before it.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>, mut has_name: bool) -> Result<(), Failure> {
        loop {
            self.skip_blanks();
            if self.takes('}') {
                return Ok(());
            }
            let start = self.at;
            let (matcher, is_bare_name) = self.matcher()?;
            if has_name && matcher.label == METRIC_NAME {
                return Err((start, SelectorProblem::SecondName));
            }
            has_name |= is_bare_name;
            matchers.push(matcher);
            self.skip_blanks();
            if !self.takes(',') && !self.rest().starts_with('}') {
                return self.expected(", or } after a matcher");
            }
        }
    }

    /// Reads a matcher, or the name of a metric in quotes. Also returns true for the latter.
    fn matcher(&mut self) -> Result<(Matcher, bool), Failure> {
        let start = self.at;
        let (label, is_quoted) = match self.quoted()? {
            Some(name) if name.is_empty() => return Err((start, SelectorProblem::EmptyName)),
            Some(name) => (name, true),
            None => {
                let name = self.name(starts_label_name, continues_label_name);
                (name.to_owned(), false)
            }
        };
        if label.is_empty() {
            return self.expected("a label name or }, as in {job=\"ci\"}");
        }
        let end = self.at;
        self.skip_blanks();
        let (is_pattern, is_negated) = match self.operator() {
            Some(found) => found,
            None if is_quoted => {
                self.at = end;
                return Ok((Matcher::of_name(label), true));
            }
            None => return self.expected("=, !=, =~ or !~ after a label name"),
        };
        self.skip_blanks();
        let start = self.at;
        let Some(value) = self.quoted()? else {
            return self.expected("a value in quotes, as in {job=\"ci\"}");
        };
        let test = if is_pattern {
            let pattern = Pattern::new(&value, self.budget);
            Test::Pattern(pattern.map_err(|problem| (start, problem))?)
        } else {
            Test::Equal(value)
        };
        let matcher = Matcher {
            label,
            test,
            is_negated,
        };
        Ok((matcher, false))
    }

    /// Reads an operator: true if it takes a regular expression, and if it is negated.
    fn operator(&mut self) -> Option<(bool, bool)> {
        let operators = [
            ("=~", (true, false)),
            ("!~", (true, true)),
            ("!=", (false, true)),
            ("=", (false, false)),
        ];
        let rest = self.rest();
        let (text, found) = operators.iter().find(|(text, _)| rest.starts_with(text))?;
        self.at += text.len();
        Some(*found)
    }

    /// Reads text in quotes, if there is some: with escapes between `"` or `'`, as it is between backticks.
    fn quoted(&mut self) -> Result<Option<String>, Failure> {
        let start = self.at;
        let Some(quote) = self.rest().chars().next().filter(|c| is_quote(*c)) else {
            return Ok(None);
        };
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let here = self.at;
            let next = self.next().filter(|c| quote == '`' || *c != '\n');
            match next {
                None => return Err((start, SelectorProblem::Unclosed(quote))),
                Some(symbol) if symbol == quote => break,
                Some('\\') if quote != '`' => {
                    if self.escape(quote, &mut bytes).is_none() {
                        let next = self.rest().chars().next().map_or(0, char::len_utf8);
                        let end = match self.at - here {
                            1 => self.at + next,
                            _ => self.at,
                        };
                        let escape = self.text[here..end].to_owned();
                        return Err((here, SelectorProblem::Escape(escape)));
                    }
                }
                Some(symbol) => {
                    bytes.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err((start, SelectorProblem::NotUtf8)),
        }
    }

    /// Reads an escape of Go from behind its backslash. Stops before the first character that does not belong to one.
    fn escape(&mut self, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
        let symbol = self.rest().chars().next()?;
        let simple = match symbol {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            _ if symbol == quote => quote as u8,
            '0'..='7' => {
                bytes.push(u8::try_from(self.digits(3, 8)?).ok()?);
                return Some(());
            }
            'x' | 'u' | 'U' => {
                self.at += 1;
                let count = match symbol {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let code = self.digits(count, 16)?;
                if symbol == 'x' {
                    bytes.push(u8::try_from(code).ok()?);
                } else {
                    let symbol = char::from_u32(code)?;
                    bytes.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
                }
                return Some(());
            }
            _ => return None,
        };
        self.at += 1;
        bytes.push(simple);
        Some(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let mut value: u32 = 0;
        for _ in 0..count {
            let digit = self.rest().chars().next()?.to_digit(radix)?;
            value = value.checked_mul(radix)?.checked_add(digit)?;
            self.at += 1;
        }
        Some(value)
    }

    fn name(&mut self, starts: fn(u8) -> bool, continues: fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let length = match bytes.first() {
            Some(first) if starts(*first) => bytes
                .iter()
                .position(|byte| !continues(*byte))
                .unwrap_or(bytes.len()),
            _ => 0,
        };
        self.at += length;
        &rest[..length]
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn takes(&mut self, symbol: char) -> bool {
        let is_there = self.rest().starts_with(symbol);
        self.at += if is_there { symbol.len_utf8() } else { 0 };
        is_there
    }

    /// Skips blanks and comments.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest().trim_start_matches(is_blank);
            self.at = self.text.len() - rest.len();
            if !rest.starts_with('#') {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, Failure> {
        let found = match self.rest().chars().next() {
            Some(symbol) => format!("{symbol:?}"),
            None => "the end".into(),
        };
        Err((self.at, SelectorProblem::Unexpected { expected, found }))
    }
}

impl Matcher {
    fn of_name(name: String) -> Self {
        Matcher {
            label: METRIC_NAME.into(),
            test: Test::Equal(name),
            is_negated: false,
        }
    }
}

fn is_quote(symbol: char) -> bool {
    matches!(symbol, '"' | '\'' | '`')
}

fn is_blank(symbol: char) -> bool {
    matches!(symbol, ' ' | '\t' | '\n' | '\r')
}
