//! Harness of the examples' tests: starts an example and sends requests to it.
//!
//! It panics where a test fails.

mod http;

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use http::Response;
pub use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

/// Time that anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running example. It is killed when this is dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
    output: TempDir,
}

impl Program {
    /// Starts the built program at the path `program` (`env!("CARGO_BIN_EXE_NAME")`) with `--listen` for a free port
    /// and further arguments, and waits until it listens.
    pub fn start(program: &str, arguments: &[&str]) -> Program {
        Program::start_with(program, arguments, &[])
    }

    /// Starts the program with these environment variables, too.
    pub fn start_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Program {
        let output = tempfile::tempdir().expect("a temporary directory");
        let file = |name| fs::File::create(output.path().join(name)).expect("a file");
        let child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn();
        let mut program = Program {
            child: child.expect("the program starts"),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            output,
        };
        program.address = awaited("`listening on`", || program.listens_on());
        program
    }

    fn listens_on(&mut self) -> Option<SocketAddr> {
        let stderr = self.stderr();
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("it has ended, {status}:\n{stderr}");
        }
        // The line may be written in parts.
        let lines = stderr.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        let mut urls =
            lines.filter_map(|line| line.trim_end().strip_prefix("listening on http://"));
        urls.next()
            .map(|address| address.parse().expect("an address"))
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns all that it has written to stdout.
    pub fn stdout(&self) -> String {
        self.written("stdout")
    }

    /// Returns all that it has written to stderr.
    pub fn stderr(&self) -> String {
        self.written("stderr")
    }

    fn written(&self, name: &str) -> String {
        let bytes = fs::read(self.output.path().join(name)).expect("its output");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a request without a body.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Sends a request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        http::request(self.address, method, path, headers, body)
    }

    /// Returns the value of a series at `/metrics`, which is spelled as there: `name{a="b",c="d"}`.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.value_at("/metrics", series)
    }

    /// Returns the value of a series at another path.
    pub fn value_at(&self, path: &str, series: &str) -> Option<f64> {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{}", response.text());
        let text = response.text();
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values.next().map(|value| value.parse().expect("a number"))
    }

    /// Waits until a series at `/metrics` has a value.
    #[track_caller]
    pub fn shows(&self, series: &str, value: f64) {
        let start = Instant::now();
        loop {
            let shown = self.value(series);
            if shown == Some(value) {
                return;
            }
            let text = || self.get("/metrics").text();
            assert!(
                start.elapsed() < PATIENCE,
                "{series} {shown:?}, not {value}:\n{}",
                text()
            );
            sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed());
        kill(id, signal).expect("it is there");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        awaited("its end", || self.child.try_wait().expect("a child"))
    }

    /// Sends SIGTERM and checks that it ends with the exit code 0.
    #[track_caller]
    pub fn terminate(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.stderr());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the value as soon as there is one.
#[track_caller]
pub fn awaited<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Runs a command to its end and returns its stdout. It must succeed.
#[track_caller]
pub fn output_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{}:\n{stdout}{stderr}",
        output.status
    );
    stdout
}
