//! Our own gateway as a process, and curl to ask it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::sandbox::{Finished, Sandbox};
use super::server::PATIENCE;

/// `metricsjob gateway` on free ports of 127.0.0.1, with a state directory of its own.
pub struct ServedGateway {
    child: Child,
    addresses: Vec<String>,
    _sandbox: Sandbox,
}

impl ServedGateway {
    pub fn start(flags: &[&str]) -> Self {
        ServedGateway::listening(1, flags)
    }

    /// On so many ports.
    pub fn listening(ports: usize, flags: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["gateway"]);
        for _ in 0..ports {
            command.args(["--web.listen-address", "127.0.0.1:0"]);
        }
        command.args(flags);
        let mut child = sandbox.spawn(&mut command);
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        // The log is read to its end, or the gateway would block on a full pipe.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut seen = String::new();
        let mut addresses = Vec::new();
        while addresses.len() < ports {
            let line = receiver
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("the gateway does not listen:\n{seen}"));
            if let Some((_, port)) = line.split_once("msg=\"Listening on\" address=127.0.0.1:") {
                addresses.push(format!("127.0.0.1:{}", port.split(' ').next().unwrap()));
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        ServedGateway {
            child,
            addresses,
            _sandbox: sandbox,
        }
    }

    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The metrics at `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        curl(&["-f", &format!("{}/metrics", self.url())])
            .code(0)
            .stdout()
    }

    /// Whether it ends of itself.
    pub fn ends(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        false
    }
}

impl Drop for ServedGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `curl --silent --show-error` with these arguments.
pub fn curl(arguments: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--max-time", "60"]);
    finished(command.args(arguments))
}

/// The same, with `input` on stdin.
pub fn curl_with_input(arguments: &[&str], input: &Path) -> Finished {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--max-time", "60"]);
    command.stdin(std::fs::File::open(input).unwrap());
    finished(command.args(arguments))
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
