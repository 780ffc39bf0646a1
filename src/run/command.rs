//! A command as a run.

use std::io;
use std::process::Command;

use super::End;
use super::outcome::Outcome;

/// POSIX shells' exit codes for a command that could not be started.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs the program `words[0]` with the other words as arguments, and waits for it. Standard
/// streams, environment and working directory are ours.
pub fn run(words: &[String]) -> End {
    let Some((program, arguments)) = words.split_first() else {
        return (
            Outcome::Failure(NOT_FOUND),
            Some("the command is empty".into()),
        );
    };
    match Command::new(program).args(arguments).status() {
        Ok(status) => (Outcome::from(status), None),
        Err(error) => {
            let (code, reason) = match error.kind() {
                io::ErrorKind::NotFound if program.contains('/') => {
                    (NOT_FOUND, "no such file".into())
                }
                io::ErrorKind::NotFound => (NOT_FOUND, "it is not in PATH".into()),
                _ => (NOT_EXECUTABLE, error.to_string()),
            };
            let problem = format!("could not start {program:?}: {reason}");
            (Outcome::Failure(code), Some(problem))
        }
    }
}
