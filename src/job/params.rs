//! Parameters of a built-in, with defaults, from a job file or `--set`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::{duration, suggest};
use metricsjob_client::call::redacted;

/// A parameter that a built-in knows.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    pub name: &'static str,
    /// Value when it is not given, in the same form; `None` if then there is no value.
    pub default: Option<&'static str>,
    pub help: &'static str,
}

/// Parameters as they were given, by name.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, ParamSetting>);

/// A value and where it was given.
#[derive(Debug, Clone)]
struct ParamSetting {
    value: String,
    /// The value without the credentials of a URL.
    shown: String,
    /// True if it was given as a list; then the words of the value are its elements.
    is_list: bool,
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
    #[error("{origin} stands in place of the parameter {other:?}: leave one of them out")]
    Conflict { origin: String, other: &'static str },
    #[error(
        "the built-in {builtin} needs the parameter {missing:?}: give it by --set {missing}=VALUE, \
         or under [params] in the job file"
    )]
    Required {
        builtin: &'static str,
        missing: &'static str,
    },
}

impl Params {
    /// Sets `name`, in place of an earlier value. `origin` is how an error message about it begins.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>, origin: String) {
        let value = value.into();
        let setting = ParamSetting {
            shown: shown(&value),
            value,
            is_list: false,
            origin,
        };
        self.0.insert(name.into(), setting);
    }

    /// Sets `name` to a list of words, in place of an earlier value.
    pub fn set_list(&mut self, name: impl Into<String>, words: &[String], origin: String) {
        let name = name.into();
        self.set(name.clone(), words.join(" "), origin);
        if let Some(setting) = self.0.get_mut(&name) {
            setting.is_list = true;
        }
    }

    /// The value that `name` was given, to be shown: without the credentials of a URL.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.shown.as_str())
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
                builtin,
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
    builtin: &'static str,
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

    /// A time span that is longer than 0.
    pub fn positive_duration(&self, name: &'static str) -> Result<Option<Duration>, ParamError> {
        self.parse(name, duration::parse_positive)
    }

    /// A path; not empty.
    pub fn path(&self, name: &'static str) -> Result<Option<PathBuf>, ParamError> {
        self.parse(name, |text| match text {
            "" => Err("is not a path".into()),
            _ => Ok(PathBuf::from(text)),
        })
    }

    /// A list of words, which a text has with blanks between them: each read with `parse`, whose error follows the
    /// word in a message.
    pub fn words<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, ParamError> {
        let Some(setting) = self.params.0.get(name) else {
            return Ok(None);
        };
        let words = setting.value.split_whitespace();
        let read = |word| parse(word).map_err(|problem| self.refused(name, word, problem));
        words.map(read).collect::<Result<Vec<T>, _>>().map(Some)
    }

    /// The error that `value`, which is all or a part of what `name` was given, cannot be taken.
    pub fn refused(&self, name: &'static str, value: &str, problem: String) -> ParamError {
        ParamError::Value {
            origin: self.origin(name),
            value: redacted(value),
            problem,
        }
    }

    /// # Errors
    ///
    /// Both parameters were given, of which `name` stands in place of `other`.
    pub fn either(&self, name: &'static str, other: &'static str) -> Result<(), ParamError> {
        let given = |name: &str| self.params.0.contains_key(name);
        if given(name) && given(other) {
            let origin = self.origin(name);
            return Err(ParamError::Conflict { origin, other });
        }
        Ok(())
    }

    /// The error that `name`, which was given, needs `missing` too.
    pub fn needs(&self, name: &'static str, missing: &'static str) -> ParamError {
        let origin = self.origin(name);
        ParamError::Missing { origin, missing }
    }

    fn origin(&self, name: &str) -> String {
        let setting = self.params.0.get(name);
        setting.map_or_else(|| name.to_owned(), |setting| setting.origin.clone())
    }

    /// The error that `name`, which has no default, was not given.
    pub fn required(&self, name: &'static str) -> ParamError {
        ParamError::Required {
            builtin: self.builtin,
            missing: name,
        }
    }

    /// Reads the value with `parse`, whose error follows the value in a message.
    pub fn parse<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ParamError> {
        let (value, origin) = match self.params.0.get(name) {
            Some(setting) if setting.is_list => {
                let problem = "is a list, and must be one value".into();
                return Err(self.refused(name, &setting.value, problem));
            }
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
            value: redacted(value),
            problem,
        })
    }
}

/// `text` without the credentials of a URL, which it is, or of those that are words of it behind `NAME=`.
fn shown(text: &str) -> String {
    credentials_hidden(text).unwrap_or_else(|| {
        let words = text.split_inclusive(char::is_whitespace);
        words.map(word_shown).collect()
    })
}

fn word_shown(word: &str) -> String {
    let (url, blank) = word.split_at(word.trim_end().len());
    let hidden = match url.split_once('=') {
        Some((name, url)) if !name.contains("://") => {
            credentials_hidden(url).map(|hidden| format!("{name}={hidden}"))
        }
        _ => credentials_hidden(url),
    };
    hidden.unwrap_or_else(|| url.to_owned()) + blank
}

/// `text` with the credentials hidden, if it is a URL that has some.
fn credentials_hidden(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    if !url.has_host() || (url.username().is_empty() && url.password().is_none()) {
        return None;
    }
    url.set_password(None).ok()?;
    url.set_username("***").ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credentials_are_shown() {
        let shown = |value: &str| {
            let mut params = Params::default();
            params.set("p", value, String::new());
            params.get("p").unwrap().to_owned()
        };
        assert_eq!(shown("http://u:s3cret@h/a@b"), "http://***@h/a@b");
        assert_eq!(shown("http://s3cret@h"), "http://***@h/");
        let list = "a=http://u:s3cret@h/ b=tcp://h:1\nhttps://s3cret@h/?c=d";
        let hidden = "a=http://***@h/ b=tcp://h:1\nhttps://***@h/?c=d";
        assert_eq!(shown(list), hidden);
        for plain in [
            "http://h:1/a@b",
            "/backup/12:30@h.db",
            "http://h",
            "42",
            "",
            " a  b=c ",
        ] {
            assert_eq!(shown(plain), plain);
        }
    }

    #[test]
    fn what_may_be_credentials_is_not_in_an_error() {
        for (text, redacted_text) in [
            ("http://u:s3/cret@h", "http://***@h"),
            ("u:s3cret@h:1", "***@h:1"),
            ("s3cret@h", "***@h"),
            ("u:s3cret@http://h", "***@http://h"),
            ("u:s3://cret@h", "***@h"),
            ("http://u:s3@cret@h", "http://***@h"),
            ("http://h:port", "http://h:port"),
        ] {
            assert_eq!(redacted(text), redacted_text);
        }
    }
}
