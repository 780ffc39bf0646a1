//! The built binary, in an empty home and working directory and an ordinary environment.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

use super::gateway::{Samples, of_job, status_samples};
use super::program::{US, environment, isolate};
use super::stamp::stamp;
use super::waiting::finished;

/// An empty home, which is the working directory too.
pub struct Sandbox {
    dir: TempDir,
    variables: Vec<(String, String)>,
    removed: Vec<&'static str>,
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox {
            dir: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// Sets an environment variable for all commands.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Removes an environment variable from all commands.
    pub fn without(mut self, name: &'static str) -> Self {
        self.removed.push(name);
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
        let mut command = Command::new(US);
        command
            .args(arguments)
            .env_clear()
            .envs(environment(self.path()))
            .envs(self.variables())
            .current_dir(self.path())
            .stdin(Stdio::null());
        for name in &self.removed {
            command.env_remove(name);
        }
        isolate(&mut command);
        command
    }

    /// Runs a shell script by `metricsjob exec` with the options of `options`, split at blanks.
    pub fn exec(&self, options: &str, script: &str) -> Finished {
        Finished(self.exec_command(options, script).output().unwrap())
    }

    /// The same, not started yet.
    pub fn exec_command(&self, options: &str, script: &str) -> Command {
        let mut command = self.command(["exec"]);
        command
            .args(options.split_whitespace())
            .args(["--", "sh", "-c", script]);
        command
    }

    /// Leaves no place for the locks of the state in `state_dir`, which cannot be written, until the returned file is
    /// removed.
    pub fn block_locks(&self, state_dir: &Path) -> tempfile::TempPath {
        let options = format!("--lock --no-push --state-dir {}", state_dir.display());
        self.exec(&options, "true").code(0);
        let digest = ring::digest::digest(
            &ring::digest::SHA256,
            state_dir.as_os_str().as_encoded_bytes(),
        );
        let digest = digest.as_ref()[..8].iter();
        let name: String = digest.map(|byte| format!("{byte:02x}")).collect();
        let user = nix::unistd::geteuid();
        let places = ["/run", "/run/lock", "/tmp"];
        let dirs = places.map(|place| PathBuf::from(format!("{place}/metricsjob-{user}/{name}")));
        let dir = dirs.into_iter().find(|dir| dir.exists()).unwrap();
        fs::remove_dir(&dir).unwrap();
        fs::write(&dir, "").unwrap();
        tempfile::TempPath::try_from_path(dir).unwrap()
    }

    /// The runs so far, the newest last.
    #[track_caller]
    pub fn history(&self) -> Vec<Json> {
        let history = self.run("history --last 100000 --output json");
        history.code(0).json().as_array().unwrap().clone()
    }

    /// The outcomes of the runs so far, the newest last.
    #[track_caller]
    pub fn outcomes(&self) -> Vec<String> {
        let outcome = |run: &Json| run["outcome"].as_str().unwrap().to_owned();
        self.history().iter().map(outcome).collect()
    }

    /// The value of [`of_job`] that the embedded gateway holds.
    #[track_caller]
    pub fn value(&self, job: &str, series: &str) -> Option<f64> {
        self.samples().get(&of_job(job, series)).copied()
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
        finished(child)
    }

    /// Starts `command` with its output kept.
    pub fn spawn(&self, command: &mut Command) -> Child {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The entries of the outbox, the oldest first.
    #[track_caller]
    pub fn outbox(&self) -> Vec<Json> {
        let list = self.run("outbox list --output json");
        list.code(0).json().as_array().unwrap().clone()
    }

    /// Makes the outbox's entries for `gateway` ones for `other`, as if that had been down.
    pub fn redirect_outbox(&self, gateway: &str, other: &str) {
        let database = rusqlite::Connection::open(self.state_db()).unwrap();
        database
            .execute(
                "UPDATE outbox SET gateway = ? WHERE gateway = ?",
                [other, gateway],
            )
            .unwrap();
        stamp(&database);
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

    pub fn code_is(&self, expected: i32) -> bool {
        self.0.status.code() == Some(expected)
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
    pub fn quiet_stderr(&self) -> &Self {
        assert_eq!(self.stderr(), "");
        self
    }

    /// The last line of stderr, where `exec --output json` leaves its result.
    pub fn result_line(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.0.stderr);
        stderr.lines().last().unwrap_or_default().to_owned()
    }

    /// The result of `exec --output json`.
    #[track_caller]
    pub fn result(&self) -> Json {
        let line = self.result_line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[track_caller]
    pub fn json(&self) -> Json {
        let text = self.stdout();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}:\n{text}\n{}", self.stderr()))
    }
}
