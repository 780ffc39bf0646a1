//! A server as a process of its own: its start, its log, its address and its end.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::http::{self, Answer};
use super::waiting::{awaited, eventually, send};

/// How long a server may take to start, and a page to show what is awaited.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until it is dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    addresses: Vec<String>,
}

impl Process {
    /// Starts `command`, whose stderr is the log.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("{command:?}: {error} (scripts/test installs it)");
        });
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&log);
        // The log is read to its end, or the server would block on a full pipe.
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &format!("{line}\n");
            }
        });
        Process {
            child,
            log,
            reader: Some(reader),
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
            let ended = process.reader.as_ref().is_some_and(JoinHandle::is_finished);
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
        self.log.lock().unwrap().clone()
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
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.code()
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
