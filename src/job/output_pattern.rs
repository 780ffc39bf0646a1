//! Where a metric's values stand in a command's output.

use regex_automata::PatternID;
use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;

use super::suggest;
use metricsjob_metrics::is_label_name;

/// How much memory a compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Name of the group that captures the value.
const VALUE: &str = "value";

/// Where a metric's values stand in the lines of the command's output.
#[derive(Debug, Clone)]
pub struct OutputPattern {
    /// The value is the group named `value`, else the first group without a name, else the whole
    /// match. Other named groups are labels.
    pub pattern: Regex,
    pub stream: OutputStream,
}

/// Streams of a command's output that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    Stdout,
    Stderr,
    Both,
}

impl OutputPattern {
    /// A pattern that reads both streams.
    ///
    /// # Errors
    ///
    /// `text` is not a regular expression, or a large one, or has a group that cannot be a label.
    pub fn new(text: &str) -> Result<Self, String> {
        // Lines need not be UTF-8.
        let built = Regex::builder()
            .configure(
                Regex::config()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(MAX_PATTERN_BYTES)),
            )
            .syntax(syntax::Config::new().utf8(false))
            .build(text);
        let pattern = built.map_err(|error| {
            let reason = reason(&error);
            format!("pattern {text:?} is not a regular expression: {reason}")
        })?;
        let pattern = OutputPattern {
            pattern,
            stream: OutputStream::Both,
        };
        if let Some(bad) = pattern.label_names().find(|name| !is_own_label(name)) {
            let problem = not_a_label(bad);
            return Err(format!("the group {bad:?} of the pattern: {problem}"));
        }
        Ok(pattern)
    }

    /// Names of the groups that are labels.
    pub fn label_names(&self) -> impl Iterator<Item = &str> {
        let names = self.pattern.group_info().pattern_names(PatternID::ZERO);
        names.flatten().filter(|name| *name != VALUE)
    }

    /// Returns true if a group captures the value. Of a counter without one, each match counts 1.
    pub fn captures_number(&self) -> bool {
        let mut names = self.pattern.group_info().pattern_names(PatternID::ZERO);
        // The first is the whole match.
        names.next();
        names.any(|name| name.is_none_or(|name| name == VALUE))
    }
}

impl OutputStream {
    /// Names in a job file.
    const NAMES: [(&str, OutputStream); 3] = [
        ("both", OutputStream::Both),
        ("stdout", OutputStream::Stdout),
        ("stderr", OutputStream::Stderr),
    ];

    /// The stream that is called `name` in a job file.
    ///
    /// # Errors
    ///
    /// None is called so.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, stream)| *stream).ok_or_else(|| {
            let hint = suggest::hint(name, Self::NAMES.iter().map(|(known, _)| *known));
            format!("unknown stream {name:?}{hint}")
        })
    }

    pub fn includes(self, stream: OutputStream) -> bool {
        self == OutputStream::Both || self == stream
    }
}

/// Why a pattern cannot be used, in one line.
fn reason(error: &BuildError) -> String {
    if error.size_limit().is_some() {
        return format!("it takes more than {MAX_PATTERN_BYTES} bytes when compiled");
    }
    let Some(error) = error.syntax_error() else {
        return error.to_string();
    };
    // Its last line names the problem; those before draw the pattern.
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
}

/// Returns true if a job's metric can have the label `name`.
pub fn is_own_label(name: &str) -> bool {
    is_label_name(name) && !name.starts_with("__") && name != "job"
}

/// Why a job's metric cannot have the label `name`.
pub fn not_a_label(name: &str) -> String {
    match name {
        "job" => "the label job comes from the grouping key".into(),
        _ => format!("{name:?} is not a label name ([a-zA-Z_][a-zA-Z0-9_]*, without __ in front)"),
    }
}
