//! The built binary, in an empty home and working directory and a nearly empty environment.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

use super::gateway::{Samples, status_samples};

/// An empty home, which is the working directory too.
pub struct Sandbox {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox {
            dir: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Sets an environment variable for all commands.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All that the embedded gateway holds.
    #[track_caller]
    pub fn samples(&self) -> Samples {
        status_samples(
            &self
                .run("status --gateway embedded --output json")
                .code(0)
                .json(),
        )
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the state database is without any option.
    pub fn state_db(&self) -> PathBuf {
        self.path().join(".local/state/metricsjob/state.db")
    }

    /// Writes a file below the home, with the directories it needs, and returns its path.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `metricsjob` with these arguments, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metricsjob"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .envs(self.variables())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `metricsjob` with the words of `line` as arguments, split at blanks.
    pub fn run(&self, line: &str) -> Finished {
        self.run_args(line.split_whitespace())
    }

    pub fn run_args<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        Finished(self.command(arguments).output().unwrap())
    }

    /// The same with `input` on stdin.
    pub fn run_with_input(&self, line: &str, input: impl AsRef<[u8]>) -> Finished {
        let mut child = self.spawn(self.command(line.split_whitespace()).stdin(Stdio::piped()));
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        Finished(child.wait_with_output().unwrap())
    }

    /// Starts `command` with its output kept.
    pub fn spawn(&self, command: &mut Command) -> Child {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// How many pushes the outbox holds.
    pub fn outbox_len(&self) -> i64 {
        if !self.state_db().exists() {
            return 0;
        }
        let database = rusqlite::Connection::open(self.state_db()).unwrap();
        let count = "SELECT count(*) FROM outbox";
        database.query_row(count, [], |row| row.get(0)).unwrap()
    }
}

/// A process that has ended.
pub struct Finished(Output);

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Finished(output)
    }
}

impl Finished {
    #[track_caller]
    pub fn code(&self, expected: i32) -> &Self {
        let code = self.0.status.code();
        assert_eq!(code, Some(expected), "{}\n{}", self.stdout(), self.stderr());
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub fn out(&self, expected: &str) -> &Self {
        let text = self.stdout();
        assert!(
            text.contains(expected),
            "no {expected:?} in stdout:\n{text}\n{}",
            self.stderr()
        );
        self
    }

    #[track_caller]
    pub fn err(&self, expected: &str) -> &Self {
        let text = self.stderr();
        assert!(
            text.contains(expected),
            "no {expected:?} in stderr:\n{text}"
        );
        self
    }

    #[track_caller]
    pub fn quiet(&self) -> &Self {
        assert_eq!(
            (self.stdout(), self.stderr()),
            (String::new(), String::new())
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> Json {
        let text = self.stdout();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}:\n{text}\n{}", self.stderr()))
    }
}
