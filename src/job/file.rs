//! Job files: a job's definition in TOML.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::builtin;
use super::definition::{DEFAULT_PREFIX, DefinedIn, Job, Work};
use super::params::Params;
use super::suggest;
use crate::metrics::{Labels, Method, check_grouping_label, is_metric_name};

/// The keys of a job file.
const KEYS: [&str; 8] = [
    "description",
    "job",
    "prefix",
    "method",
    "grouping",
    "builtin",
    "params",
    "command",
];

/// How many errors of bad TOML are shown.
const MAX_SYNTAX_ERRORS: usize = 10;

/// All that is wrong in one job file, a line each: `jobs/backup.toml:4:11: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JobFileError {
    pub problems: Vec<String>,
}

impl fmt::Display for JobFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

/// Reads a job file. `shown` is how messages name it, `name` what the job is called.
///
/// # Errors
///
/// Every problem in the file, each with line and column: bad TOML, unknown keys (with the nearest
/// known one), values that a key cannot have, parameters that the built-in does not take.
pub fn parse(
    text: &str,
    shown: &Path,
    name: &str,
    defined_in: DefinedIn,
) -> Result<Job, JobFileError> {
    let mut reader = Reader {
        text,
        shown,
        problems: Vec::new(),
    };
    let job = reader.job(name, defined_in);
    match job {
        Some(job) if reader.problems.is_empty() => Ok(job),
        _ => {
            reader.problems.sort();
            Err(JobFileError {
                problems: reader.problems.into_iter().map(|(_, text)| text).collect(),
            })
        }
    }
}

/// Where in the text something stands.
type Span = Range<usize>;

struct Reader<'a> {
    text: &'a str,
    shown: &'a Path,
    /// With the offset that each is about.
    problems: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn job(&mut self, name: &str, defined_in: DefinedIn) -> Option<Job> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            // One slip can break all that follows.
            for error in errors.into_iter().take(MAX_SYNTAX_ERRORS) {
                let span = error.span().unwrap_or(0..0);
                self.problem(span, error.message().trim_end().to_owned());
            }
            return None;
        }
        let mut job = Job {
            name: name.to_owned(),
            description: None,
            job: name.to_owned(),
            prefix: DEFAULT_PREFIX.to_owned(),
            method: Method::default(),
            grouping: Labels::new(),
            work: Work::Command(Vec::new()),
            defined_in,
        };
        let (mut builtin, mut params, mut command) = (None, None, None);
        let mut has_unknown_key = false;
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "description" => job.description = self.string(key, value),
                "job" => {
                    let label = self.string(key, value);
                    if let Some("") = label.as_deref() {
                        self.problem(value.span(), "job must not be empty".into());
                    }
                    job.job = label.unwrap_or_default();
                }
                "prefix" => job.prefix = self.prefix(key, value).unwrap_or_default(),
                "method" => job.method = self.method(key, value).unwrap_or_default(),
                "grouping" => job.grouping = self.grouping(key, value),
                "builtin" => builtin = Some((value.span(), self.string(key, value))),
                "params" => params = Some((key.span(), self.params(key, value))),
                "command" => command = Some((key.span(), self.command(key, value))),
                unknown => {
                    has_unknown_key = true;
                    let hint = suggest::hint(unknown, KEYS);
                    self.problem(key.span(), format!("unknown key {unknown:?}{hint}"));
                }
            }
        }
        match (builtin, command) {
            (Some((span, name)), None) => {
                let params = params.map(|(_, params)| params).unwrap_or_default();
                job.work = self.builtin(span, &name?, params)?;
            }
            (None, Some((_, words))) => {
                if let Some((span, _)) = params {
                    self.problem(
                        span,
                        "params are a built-in's, and this job runs a command".into(),
                    );
                }
                job.work = Work::Command(words?);
            }
            (Some(_), Some((span, _))) => {
                self.problem(span, "a job has either builtin or command, not both".into());
            }
            // With a key that is misspelt, that is the one.
            (None, None) if has_unknown_key => {}
            (None, None) => {
                let known = builtin::names().collect::<Vec<_>>().join(", ");
                self.problem(
                    0..0,
                    format!(
                        "nothing to run: give command = [\"…\"] or builtin = \"…\" (known: {known})"
                    ),
                );
            }
        }
        Some(job)
    }

    fn builtin(&mut self, span: Span, name: &str, params: Params) -> Option<Work> {
        let Some(builtin) = builtin::find(name) else {
            let hint = suggest::hint(name, builtin::names());
            self.problem(span, format!("no built-in is called {name:?}{hint}"));
            return None;
        };
        let mut errors = params.unknown(builtin.name(), builtin.params());
        if errors.is_empty() {
            errors.extend(builtin.prepare(&params).err());
        }
        // A parameter's error already says where it stands.
        let errors = errors
            .into_iter()
            .map(|error| (span.end, error.to_string()));
        self.problems.extend(errors);
        Some(Work::Builtin(builtin, params))
    }

    fn prefix(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>) -> Option<String> {
        let prefix = self.string(key, value)?;
        if !is_metric_name(&prefix) {
            self.problem(
                value.span(),
                format!("prefix {prefix:?} cannot begin a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)"),
            );
        }
        Some(prefix)
    }

    fn method(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>) -> Option<Method> {
        match self.string(key, value)?.parse() {
            Ok(method) => Some(method),
            Err(error) => {
                self.problem(value.span(), format!("{error}"));
                None
            }
        }
    }

    fn grouping(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>) -> Labels {
        let mut labels = Labels::new();
        for (label, value) in self.table(key, value) {
            if let Err(error) = check_grouping_label(label.get_ref()) {
                self.problem(label.span(), error.to_string());
            }
            if let Some(value) = self.string(label, value) {
                labels.insert(label.get_ref().to_string(), value);
            }
        }
        labels
    }

    fn params(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>) -> Params {
        let mut params = Params::default();
        for (name, value) in self.table(key, value) {
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Boolean(boolean) => boolean.to_string(),
                other => {
                    let found = other.type_str();
                    self.problem(
                        value.span(),
                        format!(
                            "params.{} is a {found}, but must be a string or a number",
                            name.get_ref()
                        ),
                    );
                    continue;
                }
            };
            let origin = format!(
                "{} params.{}",
                self.place(value.span().start),
                name.get_ref()
            );
            params.set(name.get_ref().as_ref(), text, origin);
        }
        params
    }

    fn command(
        &mut self,
        key: &Spanned<Text<'a>>,
        value: &Spanned<DeValue<'a>>,
    ) -> Option<Vec<String>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(
                key,
                value,
                "a list of strings, the program and its arguments",
            );
            return None;
        };
        let mut words = Vec::new();
        for word in array.iter() {
            let text = self.string(key, word)?;
            if text.contains('\0') {
                self.problem(word.span(), "a word of a command cannot hold a NUL".into());
            }
            words.push(text);
        }
        if words.first().is_none_or(String::is_empty) {
            self.problem(value.span(), "command names no program".into());
        }
        Some(words)
    }

    fn table<'t>(
        &mut self,
        key: &Spanned<Text<'a>>,
        value: &'t Spanned<DeValue<'a>>,
    ) -> impl Iterator<Item = (&'t Spanned<Text<'a>>, &'t Spanned<DeValue<'a>>)> + use<'t, 'a> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table");
        }
        table.into_iter().flat_map(|table| table.iter())
    }

    fn string(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        text
    }

    fn wrong_type(&mut self, key: &Spanned<Text<'a>>, value: &Spanned<DeValue<'a>>, wanted: &str) {
        let (key, found) = (key.get_ref(), value.get_ref().type_str());
        self.problem(
            value.span(),
            format!("{key} must be {wanted}, but is of type {found}"),
        );
    }

    fn problem(&mut self, span: Span, text: String) {
        let place = self.place(span.start);
        self.problems.push((span.start, format!("{place} {text}")));
    }

    /// `jobs/backup.toml:4:11:`, the column in characters.
    fn place(&self, offset: usize) -> String {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}:", self.shown.display())
    }
}

/// A key as the TOML parser gives it.
type Text<'a> = std::borrow::Cow<'a, str>;
