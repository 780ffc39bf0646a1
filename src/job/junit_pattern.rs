//! Patterns of the JUnit XML files that a command writes.

use std::path::Path;
use std::str::FromStr;

use glob::Pattern;

/// Glob pattern of JUnit XML files, for example `target/junit/*.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JunitPattern(String);

impl JunitPattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern with `directory` in front, if it is a relative one; `None` if the directory is not UTF-8, which no
    /// pattern can hold.
    pub fn inside(&self, directory: &Path) -> Option<String> {
        if Path::new(&self.0).is_absolute() {
            return Some(self.0.clone());
        }
        let directory = Pattern::escape(directory.to_str()?);
        Some(format!("{}/{}", directory.trim_end_matches('/'), self.0))
    }
}

impl FromStr for JunitPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty: it must name files, for example 'target/junit/*.xml'".into());
        }
        match Pattern::new(text) {
            Ok(_) => Ok(JunitPattern(text.to_owned())),
            Err(error) => Err(format!(
                "is not a pattern of files: {} at character {} (for example 'target/junit/*.xml')",
                error.msg,
                error.pos + 1
            )),
        }
    }
}
