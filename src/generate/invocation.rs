//! The command line by which another scheduler runs a job.

use std::fs;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use crate::job::{DefinedIn, Job, Work};

/// Reason why a job cannot be run by a command line.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    #[error("the job file {0} is not a regular file: it would be gone when the job is to run")]
    NotAFile(PathBuf),
    #[error("the path {0:?} is not UTF-8")]
    NotUtf8(PathBuf),
}

/// Absolute path of the file that defines `job`, or the name of a job that is compiled in: one of them follows `run`.
///
/// # Errors
///
/// It was defined by a pipe, or its path cannot be written.
pub fn definition(job: &Job) -> Result<String, InvocationError> {
    let DefinedIn::File(path) = &job.defined_in else {
        return Ok(job.name.clone());
    };
    if !fs::metadata(path).is_ok_and(|file| file.is_file()) {
        return Err(InvocationError::NotAFile(path.clone()));
    }
    absolute(path)
}

/// `path` as an absolute one, for a file that is written as UTF-8.
///
/// # Errors
///
/// It is not UTF-8.
pub fn absolute(path: &Path) -> Result<String, InvocationError> {
    let absolute = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = absolute.into_os_string().into_string();
    text.map_err(|path| InvocationError::NotUtf8(path.into()))
}

/// A duration as an option takes it, in one word.
pub fn duration(duration: Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
}

/// Each path in the definition that depends on the directory where the job is started.
pub fn relative_paths(job: &Job) -> Vec<String> {
    let Work::Command(command) = &job.work else {
        return Vec::new();
    };
    let program = Path::new(command.program());
    // Without a slash it is looked for in PATH.
    let program = program.components().count() > 1;
    let program = program.then(|| Path::new(command.program()));
    let directory = command.working_directory.as_deref();
    let has_place = directory.is_some_and(Path::is_absolute);
    let mut relative: Vec<&Path> = directory.into_iter().collect();
    relative.extend(program.filter(|_| !has_place));
    let relative = relative.into_iter().filter(|path| path.is_relative());
    relative.map(|path| path.display().to_string()).collect()
}

/// `text` in one line in which nothing is hidden, for a comment or a description.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Comment for a text: what a file is about, in lines that begin with `#`.
pub fn comment(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("# {}\n", one_line(line)))
        .collect()
}
