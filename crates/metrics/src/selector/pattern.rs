//! Regular expressions of matchers, in the syntax of Go.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::meta::{BuildError, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;

use super::SelectorProblem;
use crate::excerpt;

/// Most regular expressions of selectors that belong together.
pub const MAX_PATTERNS: usize = 64;

/// Most bytes of these once compiled.
pub const MAX_PATTERN_BYTES: usize = 2 << 20;

/// Memory for searching with one, besides its compiled form.
const CACHE_BYTES: usize = 256 << 10;

/// Most repetitions of one part, as in Go.
const MAX_REPEAT: u32 = 1000;

/// Room that is left for the regular expressions of selectors that belong together.
pub struct Budget {
    patterns: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            patterns: MAX_PATTERNS,
            bytes: MAX_PATTERN_BYTES,
        }
    }
}

/// A regular expression that matches whole values.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    pub fn new(text: &str, budget: &mut Budget) -> Result<Self, SelectorProblem> {
        let Some(left) = budget.patterns.checked_sub(1) else {
            return Err(SelectorProblem::ManyPatterns);
        };
        budget.patterns = left;
        let problem = |reason: String| SelectorProblem::Pattern {
            pattern: excerpt::quoted(text.as_bytes()),
            reason,
        };
        let translated = Translator::new(text).translated().map_err(problem)?;
        // A word boundary by ASCII may lie within a character.
        let syntax = syntax::Config::new().dot_matches_new_line(true).utf8(false);
        let config = Regex::config()
            .nfa_size_limit(Some(budget.bytes))
            .hybrid_cache_capacity(CACHE_BYTES)
            .which_captures(WhichCaptures::None);
        let built = Regex::builder()
            .configure(config)
            .syntax(syntax)
            .build(&format!(r"\A(?:{translated})\z"));
        let regex = match built {
            Ok(regex) => regex,
            Err(error) if error.size_limit().is_some() => {
                return Err(SelectorProblem::LargePatterns);
            }
            Err(error) => return Err(problem(reason(&error))),
        };
        budget.bytes = budget.bytes.saturating_sub(regex.memory_usage());
        Ok(Pattern(regex))
    }

    pub fn is_match(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

fn reason(error: &BuildError) -> String {
    let Some(error) = error.syntax_error() else {
        return error.to_string();
    };
    // Its last line names the problem; those before draw the expression.
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
}

/// Rewrites an expression of Go for the crate that compiles it, which differs: there `\d`, `\w`, `\s` and `\b` know all
/// of Unicode, classes can be nested, subtracted and intersected, `{` begins a repetition everywhere, and some more
/// escapes and flags exist.
struct Translator<'t> {
    rest: Peekable<Chars<'t>>,
    out: String,
    depth: usize,
}

/// The last part read, as far as a repetition may follow it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Item,
    /// A repetition, which may be made lazy.
    Repetition,
    LazyRepetition,
}

impl<'t> Translator<'t> {
    fn new(text: &'t str) -> Self {
        Translator {
            rest: text.chars().peekable(),
            out: String::with_capacity(text.len() + 16),
            depth: 0,
        }
    }

    fn translated(mut self) -> Result<String, String> {
        let mut last = Last::Item;
        while let Some(symbol) = self.rest.next() {
            let is_repetition = match symbol {
                '*' | '+' | '?' => {
                    self.out.push(symbol);
                    true
                }
                '{' => self.counted()?,
                _ => false,
            };
            last = match (is_repetition, last, symbol) {
                (false, ..) => Last::Item,
                (true, Last::Item, _) => Last::Repetition,
                (true, Last::Repetition, '?') => Last::LazyRepetition,
                (true, ..) => return Err("a repetition is repeated".into()),
            };
            match symbol {
                '*' | '+' | '?' | '{' => {}
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' if self.depth == 0 => return Err("unopened group".into()),
                ')' => {
                    self.depth -= 1;
                    self.out.push(')');
                }
                '}' => self.out.push_str("\\}"),
                other => self.out.push(other),
            }
        }
        Ok(self.out)
    }

    /// Reads `{2}`, `{2,}` or `{2,3}` from behind its brace; anything else is a brace as such. Returns true for a
    /// repetition.
    fn counted(&mut self) -> Result<bool, String> {
        let text: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let (least, most) = text.split_once(',').unwrap_or((&text, ""));
        let is_number = |text: &str| {
            !text.is_empty() && text.len() < 9 && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_closed = self.rest.clone().nth(text.chars().count()) == Some('}');
        if !is_closed || !is_number(least) || !(most.is_empty() || is_number(most)) {
            self.out.push_str("\\{");
            return Ok(false);
        }
        let is_large = |count: &str| count.parse().is_ok_and(|count: u32| count > MAX_REPEAT);
        if is_large(least) || is_large(most) {
            return Err(format!("more than {MAX_REPEAT} repetitions"));
        }
        self.rest.nth(text.len());
        self.out.push('{');
        self.out.push_str(&text);
        self.out.push('}');
        Ok(true)
    }

    /// Reads what follows `(`, to the end of its flags.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.depth += 1;
        if self.rest.peek() != Some(&'?') {
            return Ok(());
        }
        let head: String = self.rest.clone().take(2).collect();
        if matches!(&*head, "?P" | "?<") {
            self.copy(2);
            return Ok(());
        }
        self.copy(1);
        for flag in self.rest.by_ref() {
            self.out.push(flag);
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' => return Ok(()),
                ')' => {
                    self.depth -= 1;
                    return Ok(());
                }
                other => return Err(format!("unknown flag {other:?}")),
            }
        }
        Ok(())
    }

    /// Reads an escape from behind its backslash.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"(?-u:\B)"),
            Some('Q') => self.quoted(),
            Some(symbol @ ('A' | 'z')) => self.out.extend(['\\', symbol]),
            other => self.escape_anywhere(other)?,
        }
        Ok(())
    }

    /// Reads text between `\Q` and `\E`, which stands for itself.
    fn quoted(&mut self) {
        while let Some(symbol) = self.rest.next() {
            if symbol == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                return;
            }
            self.literal(symbol);
        }
    }

    /// Reads an escape that classes have too.
    fn escape_anywhere(&mut self, symbol: Option<char>) -> Result<(), String> {
        let Some(symbol) = symbol else {
            return Err("a backslash at its end".into());
        };
        match symbol {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            's' => self.out.push_str(r"[\t\n\x0C\r ]"),
            'S' => self.out.push_str(r"[^\t\n\x0C\r ]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'p' | 'P' => return Err("classes by Unicode property are not supported".into()),
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => self.out.extend(['\\', symbol]),
            'x' => {
                self.out.push_str("\\x");
                if self.rest.peek() == Some(&'{') {
                    for symbol in self.rest.by_ref() {
                        self.out.push(symbol);
                        if symbol == '}' {
                            break;
                        }
                    }
                } else {
                    self.copy(2);
                }
            }
            _ if symbol.is_ascii() && !symbol.is_ascii_alphanumeric() => self.literal(symbol),
            _ => return Err(format!("unknown escape \\{symbol}")),
        }
        Ok(())
    }

    /// Reads a class from behind its bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.peek() == Some(&'^') {
            self.copy(1);
        }
        let mut is_first = true;
        loop {
            match self.rest.next() {
                None => return Err("a class is not closed by ]".into()),
                Some(']') if !is_first => break,
                Some('[') if self.rest.peek() == Some(&':') => self.named_class()?,
                Some(symbol) => {
                    self.class_item(symbol)?;
                    let mut ahead = self.rest.clone();
                    // Otherwise it stands for itself, or the class ends.
                    if ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']') {
                        self.copy(1);
                        let end = self.rest.next().unwrap_or(']');
                        self.class_item(end)?;
                    }
                }
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn class_item(&mut self, symbol: char) -> Result<(), String> {
        if symbol == '\\' {
            let symbol = self.rest.next();
            return self.escape_anywhere(symbol);
        }
        self.literal(symbol);
        Ok(())
    }

    /// Reads `[:alpha:]`, or what only begins like it, from behind the first bracket.
    fn named_class(&mut self) -> Result<(), String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        let text: String = self.rest.clone().skip(1).collect();
        let Some((name, _)) = text.split_once(":]") else {
            self.literal('[');
            return Ok(());
        };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("unknown class [:{}:]", excerpt::word(name)));
        }
        self.out.push('[');
        self.copy(name.len() + 3);
        Ok(())
    }

    fn copy(&mut self, count: usize) {
        for symbol in self.rest.by_ref().take(count) {
            self.out.push(symbol);
        }
    }

    fn literal(&mut self, symbol: char) {
        // Escaped, `<` and `>` would be boundaries of words.
        if symbol.is_ascii_punctuation() && !matches!(symbol, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(symbol);
    }
}
