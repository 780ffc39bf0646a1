//! Settings of delivery and monitoring, which can come from the environment too, and the handling of a bad one.
//!
//! A mistake on the command line is wrong usage. But a variable is set for many jobs at once, often by somebody else,
//! and a job must not stay undone because of how it is monitored: `run` and `exec` warn of a bad variable, and continue
//! as if it were not set.

use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Command};

use super::exit::usage;
use super::{console, host_config};

/// The treatment of a setting that is wrong outside the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// It is wrong usage.
    Strict,
    /// It is warned about, and nothing else.
    Lenient,
}

/// The value of an option.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    value: Result<T, String>,
    /// True for the command line, false for the environment and the config file.
    is_typed: bool,
}

impl<T> Setting<T> {
    pub fn is_typed(&self) -> bool {
        self.is_typed
    }

    /// The value; `None` if the environment has a bad one, which was warned about.
    ///
    /// # Errors
    ///
    /// The environment has a bad one, and `strictness` makes that wrong usage.
    pub fn get(&self, strictness: Strictness) -> anyhow::Result<Option<&T>> {
        match &self.value {
            Ok(value) => Ok(Some(value)),
            Err(problem) => strictness.settle(problem).map(|()| None),
        }
    }

    /// Returns the value as [`get`](Self::get) does, or `fallback`.
    pub fn get_or(&self, fallback: T, strictness: Strictness) -> anyhow::Result<T>
    where
        T: Clone,
    {
        Ok(self.get(strictness)?.cloned().unwrap_or(fallback))
    }
}

/// The value of an option, if it has a good one.
///
/// # Errors
///
/// The environment has a bad one, and `strictness` makes that wrong usage.
pub fn given<T: Clone>(
    setting: &Option<Setting<T>>,
    strictness: Strictness,
) -> anyhow::Result<Option<T>> {
    match setting {
        Some(setting) => Ok(setting.get(strictness)?.cloned()),
        None => Ok(None),
    }
}

/// Reads the lists in the values of an option, which may be secret, by `parse`. `None` if the environment has a bad one,
/// which was warned about.
///
/// # Errors
///
/// A value that was typed is bad, or one elsewhere, and `strictness` makes that wrong usage.
pub fn lists<T>(
    values: &[Setting<OsString>],
    (option, variable): (&str, &str),
    parse: fn(&str) -> Result<Vec<T>, String>,
    strictness: Strictness,
) -> anyhow::Result<Option<Vec<T>>> {
    let mut all = Vec::new();
    for value in values {
        let text = value.get(strictness)?.and_then(|text| text.to_str());
        let parsed = text.map_or_else(|| Err("is not UTF-8".into()), parse);
        match parsed {
            Ok(parsed) => all.extend(parsed),
            Err(problem) if value.is_typed() => {
                return Err(usage(anyhow::anyhow!("a value of {option} {problem}")));
            }
            Err(problem) => {
                let origin = host_config::origin(variable);
                strictness.settle(&format!("{origin} {problem}"))?;
                return Ok(None);
            }
        }
    }
    Ok(Some(all))
}

impl Strictness {
    /// Warns of `problem`.
    ///
    /// # Errors
    ///
    /// It is wrong usage.
    pub fn settle(self, problem: &str) -> anyhow::Result<()> {
        match self {
            Strictness::Strict => Err(usage(anyhow::anyhow!("{problem}"))),
            Strictness::Lenient => {
                console::warning(&format!("{problem}; it is ignored"));
                Ok(())
            }
        }
    }
}

/// Parses by `parser`, but takes a bad value of a variable, too: only a command knows whether it is wrong usage.
pub fn setting<P: TypedValueParser>(parser: P) -> SettingParser<P> {
    SettingParser(parser)
}

#[derive(Clone)]
pub struct SettingParser<P>(P);

impl<P: TypedValueParser> TypedValueParser for SettingParser<P>
where
    P::Value: Clone + Send + Sync + 'static,
{
    type Value = Setting<P::Value>;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.parse_ref_(command, arg, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Self::Value, clap::Error> {
        let is_typed = source != ValueSource::EnvVariable;
        let value = match self.0.parse_ref_(command, arg, value, source) {
            Err(error) if !is_typed => Err(problem(arg, value, &error)),
            parsed => Ok(parsed?),
        };
        Ok(Setting { value, is_typed })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// `METRICSJOB_PUSH_TIMEOUT "10": needs a unit: `.
fn problem(arg: Option<&Arg>, value: &OsStr, error: &clap::Error) -> String {
    let variable = arg.and_then(Arg::get_env).unwrap_or_default();
    let variable = variable.to_string_lossy();
    let origin = host_config::origin(&variable);
    let reason = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidUtf8, _) => "it is not UTF-8".to_owned(),
        (_, Some(ContextValue::Strings(valid))) => format!("it is not one of {}", valid.join(", ")),
        _ => match error.source() {
            Some(source) => source.to_string(),
            None => error.kind().to_string(),
        },
    };
    format!("{origin} {value:?}: {reason}")
}
