//! The command that a job runs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::junit_pattern::JunitPattern;

/// Command of a job, with its environment and its handling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; never empty.
    words: Vec<OsString>,
    /// Environment variables that are set besides those that we have.
    pub env: Vec<(String, String)>,
    /// Where it runs; `None` for where we are.
    pub working_directory: Option<PathBuf>,
    pub success_codes: SuccessCodes,
    /// How many of the last lines of its stderr are kept.
    pub tail: usize,
    /// JUnit files that it writes; relative ones are in its working directory.
    pub junit: Vec<JunitPattern>,
}

/// The most lines that [`Command::tail`] keeps.
pub const MAX_TAIL: usize = 1000;

impl Command {
    /// The command of `words`.
    ///
    /// # Errors
    ///
    /// There is no program, or a word that holds a NUL, which no process can be given.
    pub fn new(words: Vec<OsString>) -> Result<Self, String> {
        if words.first().is_none_or(|program| program.is_empty()) {
            return Err("names no program".into());
        }
        if words
            .iter()
            .any(|word| word.as_encoded_bytes().contains(&0))
        {
            return Err("has a word with a NUL".into());
        }
        Ok(Command {
            words,
            env: Vec::new(),
            working_directory: None,
            success_codes: SuccessCodes::default(),
            tail: 0,
            junit: Vec::new(),
        })
    }

    pub fn program(&self) -> &OsStr {
        self.words.first().map_or(OsStr::new(""), |word| word)
    }

    pub fn arguments(&self) -> &[OsString] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The program without its directory.
    pub fn base_name(&self) -> String {
        let path = Path::new(self.program());
        let name = path.file_name().unwrap_or(self.program());
        name.to_string_lossy().into_owned()
    }
}

/// As a shell would read it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let word = word.to_string_lossy();
            let separator = if index == 0 { "" } else { " " };
            let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{separator}{word}")?;
            } else {
                write!(f, "{separator}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// Checks that a process can be given the environment variable `name`.
pub fn check_env(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err("is not the name of an environment variable".into())
    } else if value.contains('\0') {
        Err("has a NUL in its value".into())
    } else {
        Ok(())
    }
}

/// The exit codes that mean success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessCodes(BTreeSet<u8>);

impl Default for SuccessCodes {
    fn default() -> Self {
        SuccessCodes(BTreeSet::from([0]))
    }
}

impl SuccessCodes {
    /// Just these codes.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn new(codes: impl IntoIterator<Item = u8>) -> Result<Self, String> {
        let codes: BTreeSet<u8> = codes.into_iter().collect();
        if codes.is_empty() {
            Err("names no exit code".into())
        } else {
            Ok(SuccessCodes(codes))
        }
    }

    pub fn contains(&self, code: u8) -> bool {
        self.0.contains(&code)
    }
}
