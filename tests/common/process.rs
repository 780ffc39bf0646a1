//! A server as a process of its own: its start, its log, its address and its end.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::http::{self, Answer};
use super::waiting::{awaited, eventually, send};

/// How long a server may take to start, and a page to show what is awaited.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until it is dropped.
pub struct Process {
    child: Child,
    /// A file and not a pipe, so that a line can be read as soon as the server has written it.
    log: File,
    addresses: Vec<String>,
}

impl Process {
    /// Starts `command`, whose stderr is the log.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let log = tempfile::tempfile().unwrap();
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!("{command:?}: {error} (scripts/test installs it)");
        });
        Process {
            child,
            log,
            addresses: Vec::new(),
        }
    }

    /// Starts a server that logs which ports it got, and waits until it has done so for each address it is given.
    #[track_caller]
    pub fn listening(command: &mut Command) -> Self {
        let is_address = |argument: &&str| {
            argument
                .trim_start_matches('-')
                .starts_with("web.listen-address")
        };
        let arguments = command.get_args().filter_map(|argument| argument.to_str());
        let count = arguments.filter(is_address).count();
        let mut process = Process::spawn(command);
        process.addresses = awaited(PATIENCE, || {
            let ended = process.child.try_wait().unwrap().is_some();
            let log = process.log();
            let addresses: Vec<_> = log.lines().filter_map(listened).take(count).collect();
            assert!(
                addresses.len() == count || !ended,
                "it did not start: {log}"
            );
            (addresses.len() == count).then_some(addresses).ok_or(log)
        });
        process
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[cfg(feature = "real-servers")]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// HOST:PORT, as it is reached from here.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The log so far; all of it, once the process has ended.
    pub fn log(&self) -> String {
        let mut log = vec![0; self.log.metadata().unwrap().len() as usize];
        self.log.read_exact_at(&mut log, 0).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    #[track_caller]
    pub fn logs(&self, expected: &str) {
        eventually(&format!("{expected:?} in the log"), || {
            self.log().contains(expected)
        });
    }

    pub fn connect(&self) -> TcpStream {
        http::connect(self.address(), PATIENCE).unwrap()
    }

    /// Sends a request and returns the answer.
    #[track_caller]
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        http::exchange(
            PATIENCE,
            self.address(),
            method,
            path,
            headers,
            body.as_ref(),
        )
        .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.wait();
    }

    /// Ends it by SIGTERM. Returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        send(self.pid(), Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line of a log, in logfmt or JSON, that tells of one.
fn listened(line: &str) -> Option<String> {
    let (_, address) = line.split_once("Listening on")?.1.split_once("address")?;
    let address = address.trim_start_matches(['"', ':', '=']);
    let address = address.split(['"', ' ', '}']).next()?;
    Some(address.replace("0.0.0.0", "127.0.0.1"))
}
