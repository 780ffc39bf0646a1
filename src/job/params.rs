//! What a built-in can be told: parameters with defaults, from a job file or `--set`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{duration, suggest};

/// A parameter that a built-in knows.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    pub name: &'static str,
    /// What holds when it is not given, in the same form; `None` if then there is no value.
    pub default: Option<&'static str>,
    pub help: &'static str,
}

/// Parameters as they were given, by name.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, Setting>);

/// A value and where it was given.
#[derive(Debug, Clone)]
struct Setting {
    value: String,
    /// As an error message begins: `jobs/backup.toml:4:11: params.duration`, `--set duration`.
    origin: String,
}

/// A parameter that is unknown or has a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    #[error("{origin}: the built-in {builtin} has no such parameter{hint}")]
    Unknown {
        origin: String,
        builtin: &'static str,
        hint: String,
    },
    #[error("{origin} {value:?} {problem}")]
    Value {
        origin: String,
        value: String,
        problem: String,
    },
    #[error("{origin} needs the parameter {missing:?} beside it")]
    Missing {
        origin: String,
        missing: &'static str,
    },
}

impl Params {
    /// Sets `name`, in place of an earlier value. `origin` is how an error message about it begins.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>, origin: String) {
        let value = value.into();
        self.0.insert(name.into(), Setting { value, origin });
    }

    /// The value that `name` was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.value.as_str())
    }

    /// The parameters for a built-in that knows `known`.
    ///
    /// # Errors
    ///
    /// The first that is not known.
    pub fn read<'a>(
        &'a self,
        builtin: &'static str,
        known: &'static [Param],
    ) -> Result<ParamReader<'a>, ParamError> {
        match self.unknown(builtin, known).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(ParamReader {
                params: self,
                known,
            }),
        }
    }

    /// An error for each parameter that is not one of `known`.
    pub fn unknown(&self, builtin: &'static str, known: &[Param]) -> Vec<ParamError> {
        let names = known.iter().map(|param| param.name);
        self.0
            .iter()
            .filter(|(name, _)| !names.clone().any(|known| known == name.as_str()))
            .map(|(name, setting)| ParamError::Unknown {
                origin: setting.origin.clone(),
                builtin,
                hint: suggest::hint(name, names.clone()),
            })
            .collect()
    }
}

/// Reads parameters by type. Each method returns `None` where neither a value nor a default is.
pub struct ParamReader<'a> {
    params: &'a Params,
    known: &'static [Param],
}

impl ParamReader<'_> {
    /// A whole number from 0.
    pub fn integer(&self, name: &'static str) -> Result<Option<u64>, ParamError> {
        self.parse(name, |text| {
            u64::from_str(text).map_err(|_| "is not a whole number from 0".into())
        })
    }

    /// A number from 0 to 1.
    pub fn probability(&self, name: &'static str) -> Result<Option<f64>, ParamError> {
        self.parse(name, |text| match f64::from_str(text) {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
            _ => Err("is not a probability, a number from 0 to 1".into()),
        })
    }

    /// A time span such as `500ms` or `1h 30m`.
    pub fn duration(&self, name: &'static str) -> Result<Option<Duration>, ParamError> {
        self.parse(name, duration::parse)
    }

    /// A path; not empty.
    pub fn path(&self, name: &'static str) -> Result<Option<PathBuf>, ParamError> {
        self.parse(name, |text| match text {
            "" => Err("is not a path".into()),
            _ => Ok(PathBuf::from(text)),
        })
    }

    /// The error that `name`, which was given, needs `missing` too.
    pub fn needs(&self, name: &'static str, missing: &'static str) -> ParamError {
        let setting = self.params.0.get(name);
        ParamError::Missing {
            origin: setting.map_or_else(|| name.to_owned(), |setting| setting.origin.clone()),
            missing,
        }
    }

    fn parse<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ParamError> {
        let (value, origin) = match self.params.0.get(name) {
            Some(setting) => (setting.value.as_str(), setting.origin.as_str()),
            None => match self.known.iter().find(|param| param.name == name) {
                Some(Param {
                    default: Some(default),
                    ..
                }) => (*default, name),
                _ => return Ok(None),
            },
        };
        parse(value).map(Some).map_err(|problem| ParamError::Value {
            origin: origin.to_owned(),
            value: value.to_owned(),
            problem,
        })
    }
}
