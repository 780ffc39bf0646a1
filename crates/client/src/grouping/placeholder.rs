//! Placeholders in the values of grouping labels: `${hostname}`, `${user}` and `${env:NAME}`; `$${` is a plain `${`.

use std::env;

use crate::host;

/// The names of placeholders, as messages list them.
const KNOWN: &str = "${hostname}, ${user}, ${env:NAME}; a plain ${ is written $${";

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
    #[error("the placeholder ${{env:{0}}} is not UTF-8")]
    NotUtf8(String),
    /// This host has no name.
    #[error("the placeholder ${{hostname}} is empty: this host has no name")]
    NoHostname,
}

/// A piece of a text with placeholders.
enum Token<'a> {
    Text(&'a str),
    Hostname,
    User,
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
            Token::Variable(name) => {
                let value = env::var_os(name).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| PlaceholderError::Unset(name.to_owned()))?;
                let value = value.into_string();
                expanded.push_str(&value.map_err(|_| PlaceholderError::NotUtf8(name.to_owned()))?);
            }
        }
        Ok(())
    })?;
    Ok(expanded)
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
            (_, Some(variable)) if is_variable_name(variable) => Token::Variable(variable),
            _ => return Err(PlaceholderError::Unknown(name.to_owned())),
        })?;
        rest = after;
    }
    take(Token::Text(rest))
}

/// The name of a variable as POSIX has it; others could not be told from a slip.
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
    fn bad_ones() {
        let unknown = |name: &str| Err(PlaceholderError::Unknown(name.into()));
        for name in [
            "", "host", "Hostname", "env", "env:", "env:A B", "env:1", "env:a-b", " user",
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
