//! curl, and other programs that are run to their end.

use std::path::Path;
use std::process::{Command, Stdio};

use super::sandbox::Finished;

/// `curl --silent --show-error` with these arguments.
pub fn curl(arguments: &[&str]) -> Finished {
    finished(&mut command(arguments))
}

/// The same, with `input` on stdin.
pub fn curl_with_input(arguments: &[&str], input: &Path) -> Finished {
    finished(command(arguments).stdin(std::fs::File::open(input).unwrap()))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--max-time", "60"]);
    command.args(arguments);
    command
}

/// Runs a program to its end.
pub fn finished(command: &mut Command) -> Finished {
    let program = command.get_program().to_owned();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = output.output();
    output
        .unwrap_or_else(|error| panic!("{program:?}: {error} (scripts/test installs it)"))
        .into()
}
