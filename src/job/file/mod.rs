//! Job files: a job's definition in TOML.
//!
//! - `reader`: values of a type, each problem with its place.
//! - `metric`: the entries `[[metric]]`; `expect`: the entries `[[expect]]`.
//! - `plan`: the keys that say when it runs by itself.
//! - `shared`: the keys that the config file has too, as defaults of all jobs.

mod expect;
mod metric;
mod plan;
mod reader;
mod shared;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use self::plan::PlanKeys;
pub use self::reader::{Key, Reader, Span, Value};
pub use self::shared::{SHARED_KEYS, SharedKeys};
use super::builtin;
use super::command::{Command, SuccessCodes, check_env};
use super::defaults::JobDefaults;
use super::definition::{DefinedIn, Job, Work};
use super::gateway_name::GatewayName;
use super::junit_pattern::JunitPattern;
use super::metric_rule::MetricRule;
use super::params::{ParamError, Params};
use super::report_target::ReportDestination;
use super::schedule::Overlap;
use super::suggest;

/// The keys of a job file, besides the [`SHARED_KEYS`].
const KEYS: [&str; 21] = [
    "description",
    "demo",
    "job",
    "gateway",
    "to",
    "builtin",
    "params",
    "http_params",
    "command",
    "env",
    "working_directory",
    "success_codes",
    "junit",
    "schedule",
    "every",
    "timezone",
    "jitter",
    "missed",
    "overlap",
    "metric",
    "expect",
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

/// The keys of a job file.
pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.into_iter().chain(SHARED_KEYS)
}

/// Reads a job file. `shown` is its path for messages, `name` the name of the job, and `defaults` are the settings
/// that it does not give.
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
    defaults: &JobDefaults,
) -> Result<Job, JobFileError> {
    let mut reader = Reader {
        text,
        shown,
        problems: Vec::new(),
    };
    let job = reader.job(name, defined_in, defaults);
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

/// Keys for the work of the job, as far as they were given.
#[derive(Default)]
struct WorkKeys {
    builtin: Option<(Span, Option<String>)>,
    params: Option<(Span, Params)>,
    /// Each with its place.
    http_params: Option<(Span, Vec<(Span, String)>)>,
    /// Where the key and its value stand, and the words.
    command: Option<(Span, Span, Option<Vec<OsString>>)>,
    env: Vec<(String, String)>,
    working_directory: Option<PathBuf>,
    success_codes: SuccessCodes,
    junit: Vec<JunitPattern>,
    /// Where the first of the keys stands that only a command can have.
    only_command: Option<(Span, String)>,
}

impl WorkKeys {
    fn http_param_names(&self) -> Vec<String> {
        let given = self.http_params.iter().flat_map(|(_, names)| names);
        given.map(|(_, name)| name.clone()).collect()
    }
}

impl<'a> Reader<'a> {
    fn job(&mut self, name: &str, defined_in: DefinedIn, defaults: &JobDefaults) -> Option<Job> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            // One slip can break all that follows.
            for error in errors.into_iter().take(MAX_SYNTAX_ERRORS) {
                let span = error.span().unwrap_or(0..0);
                self.problem(span, error.message().trim_end().to_owned());
            }
            return None;
        }
        let (mut description, mut is_demo) = (None, false);
        let mut label = name.to_owned();
        let (mut gateways, mut to) = (Vec::new(), Vec::new());
        let mut settings = defaults.clone();
        let mut work = WorkKeys::default();
        let mut shared = SharedKeys::default();
        let (mut plan, mut overlap) = (PlanKeys::default(), Overlap::default());
        let (mut metrics, mut metric_span) = (Vec::new(), 0..0);
        let mut expected = Vec::new();
        let mut has_unknown_key = false;
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "description" => description = self.string(key, value),
                "demo" => is_demo = self.boolean(key, value).unwrap_or_default(),
                "job" => {
                    let given = self.string(key, value);
                    if let Some("") = given.as_deref() {
                        self.problem(value.span(), "job must not be empty".into());
                    }
                    label = given.unwrap_or_default();
                }
                "gateway" => gateways = self.gateways(key, value),
                "to" => to = self.report_targets(key, value),
                "builtin" => work.builtin = Some((value.span(), self.string(key, value))),
                "params" => work.params = Some((key.span(), self.params(key, value))),
                "http_params" => {
                    work.http_params = Some((key.span(), self.http_params(key, value)))
                }
                "command" => {
                    work.command = Some((key.span(), value.span(), self.command(key, value)));
                }
                "env" | "working_directory" | "success_codes" | "junit" => {
                    self.command_key(key, value, &mut work);
                }
                "schedule" | "every" | "timezone" | "jitter" | "missed" => {
                    self.plan_key(key, value, &mut plan);
                }
                "overlap" => overlap = self.parsed(key, value).unwrap_or_default(),
                "metric" => {
                    metrics = self.metrics(key, value);
                    metric_span = value.span();
                }
                "expect" => expected = self.expectations(key, value),
                shared_key if SHARED_KEYS.contains(&shared_key) => {
                    if shared_key == "tail" {
                        work.only_command
                            .get_or_insert_with(|| (key.span(), "tail".into()));
                    }
                    self.shared_key(key, value, &mut settings, &mut shared);
                }
                unknown => {
                    has_unknown_key = true;
                    let hint = suggest::hint(unknown, keys());
                    self.problem(key.span(), format!("unknown key {unknown:?}{hint}"));
                }
            }
        }
        shared.finish(&mut settings);
        settings.policy.expected.metrics = expected;
        let plan = self.plan(plan, has_unknown_key);
        let http_params = work.http_param_names();
        let work = self.work(work, settings.tail, has_unknown_key)?;
        self.pointers(&work, &metrics, metric_span);
        Some(Job {
            name: name.to_owned(),
            description,
            is_demo,
            job: label,
            prefix: settings.prefix,
            method: settings.method,
            grouping: settings.grouping,
            gateways,
            to,
            http_params,
            work,
            policy: settings.policy,
            plan,
            overlap,
            metrics,
            defined_in,
        })
    }

    /// Checks that there are pointers where a built-in reads by them, and nowhere else.
    fn pointers(&mut self, work: &Work, metrics: &[MetricRule], span: Span) {
        let reads = matches!(work, Work::Builtin(builtin, _) if builtin.reads_by_rules());
        let has_pointers = metrics.iter().any(|rule| rule.pointer.is_some());
        if has_pointers && !reads {
            let problem = "a pointer leads into a JSON document, which builtin = \"json\" reads";
            self.problem(span, problem.into());
        } else if reads && !has_pointers {
            let problem = "the built-in json reads nothing without a [[metric]] that has a pointer \
                           (for example pointer = \"/queue/size\")";
            self.problem(span, problem.into());
        }
    }

    /// Builds the work from all the keys about it; `None` after a problem.
    fn work(&mut self, keys: WorkKeys, tail: usize, has_unknown_key: bool) -> Option<Work> {
        match (keys.builtin, keys.command) {
            (Some((span, name)), None) => {
                if let Some((span, key)) = keys.only_command {
                    self.problem(
                        span,
                        format!("{key} is for a command, and this job runs a built-in"),
                    );
                }
                let params = keys.params.map(|(_, params)| params).unwrap_or_default();
                let name = name?;
                for (span, param) in keys.http_params.into_iter().flat_map(|(_, names)| names) {
                    self.http_param(span, &param, &name);
                }
                self.builtin(span, &name, params)
            }
            (None, Some((_, span, words))) => {
                if let Some((span, _)) = keys.params {
                    self.problem(
                        span,
                        "params are a built-in's, and this job runs a command".into(),
                    );
                }
                if let Some((span, _)) = keys.http_params {
                    self.problem(
                        span,
                        "http_params are a built-in's, and this job runs a command".into(),
                    );
                }
                let mut command = Command::new(words?)
                    .map_err(|problem| self.problem(span, format!("command {problem}")))
                    .ok()?;
                command.env = keys.env;
                command.working_directory = keys.working_directory;
                command.success_codes = keys.success_codes;
                command.tail = tail;
                command.junit = keys.junit;
                Some(Work::Command(command))
            }
            (Some(_), Some((span, ..))) => {
                self.problem(span, "a job has either builtin or command, not both".into());
                None
            }
            // With a key that is misspelt, that is the one.
            (None, None) if has_unknown_key => None,
            (None, None) => {
                let known = builtin::names().collect::<Vec<_>>().join(", ");
                self.problem(
                    0..0,
                    format!(
                        "nothing to run: give command = [\"…\"] or builtin = \"…\" (known: {known})"
                    ),
                );
                None
            }
        }
    }

    fn builtin(&mut self, span: Span, name: &str, params: Params) -> Option<Work> {
        let Some(builtin) = builtin::find(name) else {
            let hint = suggest::hint(name, builtin::names());
            self.problem(span, format!("no built-in is called {name:?}{hint}"));
            return None;
        };
        let mut errors = params.unknown(builtin.name(), builtin.params());
        if errors.is_empty() {
            // What is missing can still be given by the command line.
            let error = builtin.prepare(&params).err();
            errors.extend(error.filter(|error| !matches!(error, ParamError::Required { .. })));
        }
        // A parameter's error already says where it stands.
        let errors = errors
            .into_iter()
            .map(|error| (span.end, error.to_string()));
        self.problems.extend(errors);
        Some(Work::Builtin(builtin, params))
    }

    fn command(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Vec<OsString>> {
        self.array(
            key,
            value,
            "a list of strings, the program and its arguments",
        )?
        .map(|word| self.string(key, word).map(OsString::from))
        .collect()
    }

    /// A key that only a command can have.
    fn command_key(&mut self, key: &Key<'a>, value: &Value<'a>, work: &mut WorkKeys) {
        let name = key.get_ref();
        let first = || (key.span(), name.to_string());
        work.only_command.get_or_insert_with(first);
        match name.as_ref() {
            "env" => work.env = self.env(key, value),
            "working_directory" => {
                work.working_directory = self.string(key, value).map(PathBuf::from);
                if work.working_directory.as_deref() == Some(Path::new("")) {
                    self.problem(value.span(), "working_directory must not be empty".into());
                }
            }
            "junit" => work.junit = self.junit(key, value),
            _ => {
                let Some(codes) = self.array(key, value, "a list of exit codes") else {
                    return;
                };
                let codes = codes.filter_map(|code| self.integer(key, code, u8::MAX));
                match SuccessCodes::new(codes.collect::<Vec<_>>()) {
                    Ok(codes) => work.success_codes = codes,
                    Err(problem) => {
                        self.problem(value.span(), format!("success_codes {problem}"));
                    }
                }
            }
        }
    }

    /// Destinations besides gateways, in one text or in a list.
    fn report_targets(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<ReportDestination> {
        const LIST: &str = "a list of textfile:DIR or remote-write:URL";
        let Some(text) = self.one_or_list(key, value, LIST) else {
            return Vec::new();
        };
        let targets = ReportDestination::parse_all(&text);
        // The value can have a password in it.
        let targets =
            targets.map_err(|problem| self.problem(value.span(), format!("to {problem}")));
        targets.unwrap_or_default()
    }

    /// One text with names of gateways, or a list of such.
    fn gateways(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<GatewayName> {
        if value.get_ref().as_str().is_some() {
            return self.gateways_in(key, value);
        }
        let wanted = "a URL, \"embedded\" or a list of such";
        let Some(texts) = self.array(key, value, wanted) else {
            return Vec::new();
        };
        let mut texts = texts.peekable();
        if texts.peek().is_none() {
            let problem =
                "gateway is an empty list: leave the key out for the gateways of the host";
            self.problem(value.span(), problem.into());
        }
        texts.flat_map(|text| self.gateways_in(key, text)).collect()
    }

    fn gateways_in(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<GatewayName> {
        let Some(text) = self.string(key, value) else {
            return Vec::new();
        };
        GatewayName::parse_all(&text).unwrap_or_else(|error| {
            self.problem(value.span(), error.to_string());
            Vec::new()
        })
    }

    /// One pattern, or a list of them.
    fn junit(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<JunitPattern> {
        if value.get_ref().as_str().is_some() {
            return self.parsed(key, value).into_iter().collect();
        }
        let patterns = self.array(key, value, "a pattern of files or a list of them");
        let patterns = patterns.into_iter().flatten();
        patterns
            .filter_map(|pattern| self.parsed(key, pattern))
            .collect()
    }

    fn env(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<(String, String)> {
        let mut env = Vec::new();
        for (name, value) in self.table(key, value) {
            if let Some(text) = self.string(name, value) {
                if let Err(problem) = check_env(name.get_ref(), &text) {
                    self.problem(name.span(), format!("env.{} {problem}", name.get_ref()));
                }
                env.push((name.get_ref().to_string(), text));
            }
        }
        env
    }

    fn http_params(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<(Span, String)> {
        let Some(names) = self.array(key, value, "a list of names of parameters") else {
            return Vec::new();
        };
        let named = names.filter_map(|name| Some((name.span(), self.string(key, name)?)));
        named.collect()
    }

    /// Checks that the built-in, if there is one of this name, has the parameter.
    fn http_param(&mut self, span: Span, param: &str, builtin: &str) {
        let Some(builtin) = builtin::find(builtin) else {
            return;
        };
        let names = builtin.params().iter().map(|param| param.name);
        if !names.clone().any(|name| name == param) {
            let (hint, builtin) = (suggest::hint(param, names), builtin.name());
            self.problem(
                span,
                format!(
                    "http_params {param:?}: the built-in {builtin} has no such parameter{hint}"
                ),
            );
        }
    }

    fn params(&mut self, key: &Key<'a>, value: &Value<'a>) -> Params {
        let mut params = Params::default();
        for (name, value) in self.table(key, value) {
            let origin = format!(
                "{} params.{}",
                self.place(value.span().start),
                name.get_ref()
            );
            let text = match value.get_ref() {
                DeValue::Array(elements) => {
                    let words = elements.iter().map(|element| self.string(name, element));
                    if let Some(words) = words.collect::<Option<Vec<_>>>() {
                        params.set_list(name.get_ref().as_ref(), &words, origin);
                    }
                    continue;
                }
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Boolean(boolean) => boolean.to_string(),
                other => {
                    let found = other.type_str();
                    self.problem(
                        value.span(),
                        format!(
                            "params.{} is a {found}, but must be a string, a number or a list of strings",
                            name.get_ref()
                        ),
                    );
                    continue;
                }
            };
            params.set(name.get_ref().as_ref(), text, origin);
        }
        params
    }
}
