//! Placeholders in the values of grouping labels: `${hostname}`, `${user}`, `${task}` and `${env:NAME}`; `$${` is a plain
//! `${`.

use std::env;
use std::ffi::OsString;

use crate::host;

/// The names of placeholders, as messages list them.
const KNOWN: &str = "${hostname}, ${user}, ${task}, ${env:NAME}; a plain ${ is written $${";

/// Variables with the number of a task in its job array, those of Slurm, of GitLab CI (`parallel`) and of Kubernetes
/// (indexed Jobs). The first that is set counts: jobs of Slurm inherit the environment of what submits them, such as a CI job.
const TASK_VARIABLES: [&str; 3] = [
    "SLURM_ARRAY_TASK_ID",
    "CI_NODE_INDEX",
    "JOB_COMPLETION_INDEX",
];

/// Reason why the placeholders in a value cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceholderError {
    /// There is none of this name.
    #[error("there is no placeholder ${{{0}}} (known: {KNOWN})")]
    Unknown(String),
    /// A placeholder in this value has no closing brace.
    #[error("a placeholder in {0:?} has no closing brace (a plain ${{ is written $${{)")]
    Unclosed(String),
    /// The variable of this name is not set, or empty.
    #[error("the placeholder ${{env:{0}}} is empty: the variable {0} is not set")]
    Unset(String),
    /// The variable of this name is not UTF-8.
    #[error(
        "the variable {0}, which a placeholder stands for, is not UTF-8, as values of labels are"
    )]
    NotUtf8(String),
    /// This process is no task of a job array.
    #[error(
        "the placeholder ${{task}} is empty: none of the variables {} is set (a task of Slurm, of `parallel` in GitLab CI \
         or of an indexed Job of Kubernetes has one; elsewhere use ${{env:NAME}})",
        TASK_VARIABLES.join(", ")
    )]
    NoTask,
    /// This host has no name.
    #[error("the placeholder ${{hostname}} is empty: this host has no name")]
    NoHostname,
}

/// A piece of a text with placeholders.
enum Token<'a> {
    Text(&'a str),
    Hostname,
    User,
    Task,
    Variable(&'a str),
}

/// Replaces the placeholders in `text` by their values on this host now.
///
/// # Errors
///
/// Fails if one is unknown or not closed, or has no value.
pub fn expand(text: &str) -> Result<String, PlaceholderError> {
    let mut expanded = String::with_capacity(text.len());
    parse(text, |piece| {
        match piece {
            Token::Text(text) => expanded.push_str(text),
            Token::Hostname => {
                expanded.push_str(&host::name().ok_or(PlaceholderError::NoHostname)?)
            }
            Token::User => expanded.push_str(&host::user()),
            Token::Task => expanded.push_str(&task(variable)?),
            Token::Variable(name) => {
                let value = variable(name)?;
                expanded.push_str(&value.ok_or_else(|| PlaceholderError::Unset(name.to_owned()))?);
            }
        }
        Ok(())
    })?;
    Ok(expanded)
}

/// Value of the variable `name`, unless it is empty.
fn variable(name: &str) -> Result<Option<String>, PlaceholderError> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    let value = value.map(OsString::into_string).transpose();
    value.map_err(|_| PlaceholderError::NotUtf8(name.to_owned()))
}

/// Number of this task in its job array, by the first of [`TASK_VARIABLES`] that `variable` has a value of.
fn task(
    variable: impl Fn(&str) -> Result<Option<String>, PlaceholderError>,
) -> Result<String, PlaceholderError> {
    let values = TASK_VARIABLES.iter().map(|name| variable(name).transpose());
    values
        .flatten()
        .next()
        .unwrap_or(Err(PlaceholderError::NoTask))
}

/// Checks that all placeholders in `text`, the value of a grouping label, are known. They need not have a value here.
///
/// # Errors
///
/// Fails if one is unknown, or not closed.
pub fn check_placeholders(text: &str) -> Result<(), PlaceholderError> {
    parse(text, |_| Ok(()))
}

/// Escapes `text` so that nothing in it is a placeholder.
pub fn escape_placeholders(text: &str) -> String {
    text.replace("${", "$${")
}

fn parse<'a>(
    text: &'a str,
    mut take: impl FnMut(Token<'a>) -> Result<(), PlaceholderError>,
) -> Result<(), PlaceholderError> {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            take(Token::Text(before))?;
            take(Token::Text("${"))?;
            rest = &rest[at + 2..];
            continue;
        }
        take(Token::Text(&rest[..at]))?;
        let (name, after) = rest[at + 2..]
            .split_once('}')
            .ok_or_else(|| PlaceholderError::Unclosed(text.to_owned()))?;
        take(match (name, name.strip_prefix("env:")) {
            ("hostname", _) => Token::Hostname,
            ("user", _) => Token::User,
            ("task", _) => Token::Task,
            (_, Some(variable)) if is_variable_name(variable) => Token::Variable(variable),
            _ => return Err(PlaceholderError::Unknown(name.to_owned())),
        })?;
        rest = after;
    }
    take(Token::Text(rest))
}

/// The name of a variable as POSIX has it; others could be slips.
fn is_variable_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts() {
        for text in [
            "",
            "customers",
            "$",
            "$$",
            "$x",
            "{}",
            "a$",
            "é$}",
            "$ {hostname}",
        ] {
            assert_eq!(expand(text).as_deref(), Ok(text));
            assert_eq!(escape_placeholders(text), text);
        }
    }

    #[test]
    fn a_plain_one() {
        assert_eq!(expand("$${hostname}").as_deref(), Ok("${hostname}"));
        assert_eq!(expand("$$${a$${b").as_deref(), Ok("$${a${b"));
        for text in ["${", "$${", "a${b}${c", "$$${", "${env:HOME}", "$$$$"] {
            assert_eq!(expand(&escape_placeholders(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn values() {
        let host = host::name().unwrap();
        assert_eq!(expand("${hostname}"), Ok(host.clone()));
        let user = host::user();
        assert_eq!(
            expand("a-${hostname}${user}}"),
            Ok(format!("a-{host}{user}}}"))
        );
        let path = env::var("PATH").unwrap();
        assert_eq!(expand("${env:PATH}"), Ok(path));
    }

    #[test]
    fn the_first_variable_with_a_value_numbers_the_task() {
        let task = |set: &[(&str, &str)]| {
            task(|name| {
                let mut set = set.iter();
                let value = set.find_map(|(set, value)| (*set == name).then_some(*value));
                match value {
                    Some("\u{fffd}") => Err(PlaceholderError::NotUtf8(name.to_owned())),
                    value => Ok(value.map(str::to_owned)),
                }
            })
        };
        let [slurm, gitlab, kubernetes] = TASK_VARIABLES;
        let all = [(kubernetes, "0"), (gitlab, "2"), (slurm, "7")];
        assert_eq!(task(&all), Ok("7".into()));
        assert_eq!(task(&all[..2]), Ok("2".into()));
        assert_eq!(task(&all[..1]), Ok("0".into()));
        assert_eq!(task(&[]), Err(PlaceholderError::NoTask));
        let bad = PlaceholderError::NotUtf8(gitlab.to_owned());
        assert_eq!(task(&[(gitlab, "\u{fffd}"), (kubernetes, "0")]), Err(bad));
        assert_eq!(check_placeholders("a-${task}"), Ok(()));
    }

    #[test]
    fn bad_ones() {
        let unknown = |name: &str| Err(PlaceholderError::Unknown(name.into()));
        for name in [
            "", "host", "Hostname", "env", "env:", "env:A B", "env:1", "env:a-b", " user", "tasks",
        ] {
            assert_eq!(check_placeholders(&format!("x${{{name}}}")), unknown(name));
        }
        let unclosed = PlaceholderError::Unclosed("a${hostname".into());
        assert_eq!(check_placeholders("a${hostname"), Err(unclosed));
        let unset = PlaceholderError::Unset("NO_SUCH_VARIABLE_I_HOPE".into());
        assert_eq!(expand("${env:NO_SUCH_VARIABLE_I_HOPE}"), Err(unset));
        assert_eq!(check_placeholders("${env:NO_SUCH_VARIABLE_I_HOPE}"), Ok(()));
    }
}
