//! docs/tutorial/first-alert.md, followed as a reader does: all of its blocks, in order, with a real Prometheus and a real
//! Alertmanager.
//!
//! - `sh` and `console`: run in one shell, in an empty home. A block with `sudo` is left out: the servers are installed.
//! - `yaml`: a file beside the others, whose first line is a comment with its name.
//!
//! Where the page tells its reader to wait, a command is repeated until it prints what the page shows. Ports are free ones,
//! and two waits of a minute take 20 seconds.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::code_blocks::{Block, blocks, session};
use crate::common::{PATIENCE, Port, Sandbox, US, awaited, environment, isolate};

const PAGE: &str = include_str!("../docs/tutorial/first-alert.md");

/// The directory that the page has its reader make.
const DIRECTORY: &str = "first-alert";

/// Ports on the page: of Prometheus, the gateway, Alertmanager and the receiver.
const PORTS: [&str; 4] = ["9090", "9091", "9093", "8080"];

/// A line behind the output of each command.
const END: &str = "@the command has ended";

/// The shell of the reader's one terminal, with `metricsjob` in its `PATH`. What it has started ends with it.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    sandbox: Sandbox,
    ports: [Port; 4],
    _bin: TempDir,
}

impl Shell {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        let bin = tempfile::tempdir().unwrap();
        symlink(&*US, bin.path().join("metricsjob")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .env_clear()
            .envs(environment(sandbox.path()))
            .env("PATH", format!("{}:{path}", bin.path().display()))
            .env("COLUMNS", "80")
            .env("NO_COLOR", "1")
            .current_dir(sandbox.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        isolate(&mut command);
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"exec 2>&1\nset -e\n").unwrap();
        Shell {
            child,
            stdin,
            lines,
            sandbox,
            ports: PORTS.map(|_| Port::reserve()),
            _bin: bin,
        }
    }

    /// Ports of the page, each with the address that stands for it here.
    fn addresses(&self) -> impl Iterator<Item = (String, String)> {
        let pages = PORTS.map(|port| format!("127.0.0.1:{port}"));
        pages.into_iter().zip(self.ports.iter().map(Port::address))
    }

    /// The text of a block with the ports and the times of this test.
    fn local(&self, text: &str) -> String {
        let receiver = self.ports[3].address();
        let (_, receiver) = receiver.split_once(':').unwrap();
        let text = text
            .replace(
                "metricsjob gateway >",
                "metricsjob gateway --web.listen-address=127.0.0.1:9091 >",
            )
            .replace(
                r#"("127.0.0.1", 8080)"#,
                &format!(r#"("127.0.0.1", {receiver})"#),
            )
            .replace("--max-age 1m", "--max-age 20s")
            .replace(
                "metricsjob generate rules >",
                "metricsjob generate rules | sed 's/for: 1m/for: 20s/' >",
            );
        self.addresses()
            .fold(text, |text, (page, here)| text.replace(&page, &here))
    }

    /// Output in the terms of the page.
    fn of_page(&self, output: &str) -> String {
        let home = self.sandbox.path().to_str().unwrap();
        let output = output.replace('\r', "").replace(home, "/home/you");
        self.addresses()
            .fold(output, |output, (page, here)| output.replace(&here, &page))
    }

    /// Runs lines that must succeed.
    #[track_caller]
    fn run(&mut self, lines: &str) {
        let lines = self.local(lines);
        self.send(&format!("{{\n{lines}\n}} </dev/null"));
    }

    /// Runs a command, and returns what a terminal shows of it, whatever its exit code.
    #[track_caller]
    fn output(&mut self, command: &str) -> String {
        let mut command = self.local(command);
        // Only on a terminal does `exec` say how a run went that succeeded.
        if command.starts_with("metricsjob exec ") {
            let quoted = command.replace('\'', r"'\''");
            command = format!("script --quiet --command '{quoted}' /dev/null");
        }
        let output = self.send(&format!("{{ {command}\n}} </dev/null || true"));
        self.of_page(&output)
    }

    #[track_caller]
    fn send(&mut self, lines: &str) -> String {
        let lines = format!("{lines}\necho '{END}'\n");
        self.stdin.write_all(lines.as_bytes()).unwrap();
        let mut output = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == END => return output,
                Ok(line) => output += &format!("{line}\n"),
                // It has ended, because of `set -e`, or it hangs.
                Err(error) => panic!("{error}: {lines}{output}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Its servers are in its process group.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The words of each line, without those that differ from run to run: durations and ages, dates and times, ids.
fn steady(text: &str) -> Vec<Vec<&str>> {
    let is_steady = |word: &&str| {
        let has_unit = word.ends_with(|end: char| end.is_ascii_alphabetic());
        let is_duration = has_unit && humantime::parse_duration(word).is_ok();
        let is_of_dates = |c: char| c.is_ascii_digit() || "-:".contains(c);
        let is_date = word.len() > 1 && word.contains(['-', ':']) && word.chars().all(is_of_dates);
        let is_timestamp = word.starts_with("@[");
        let is_id = word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_age = ["just", "now", "ago"].contains(word);
        !(is_duration || is_date || is_timestamp || is_id || is_age)
    };
    let words = |line| str::split_whitespace(line).filter(is_steady).collect();
    text.lines().map(words).collect()
}

#[test]
fn the_tutorial_leads_to_an_alert_and_its_end() {
    let mut shell = Shell::start();
    let home = shell.sandbox.path().to_owned();
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    let (mut compared, mut files) = (0, 0);
    for Block { language, text, .. } in blocks("first-alert.md", PAGE).unwrap() {
        match &*language {
            "sh" if text.contains("sudo") => {}
            "sh" => shell.run(&text),
            "yaml" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
                let path = home.join(DIRECTORY).join(name.unwrap());
                fs::write(path, shell.local(&text)).unwrap();
                files += 1;
            }
            "console" => {
                for (command, shown) in session(&text) {
                    let is_as_shown = |output: String| {
                        let is_equal = steady(&output) == steady(&shown);
                        is_equal
                            .then_some(())
                            .ok_or(format!("$ {command}\n{output}"))
                    };
                    if command.starts_with("metricsjob exec ") {
                        is_as_shown(shell.output(command)).unwrap();
                    } else {
                        awaited(PATIENCE, || is_as_shown(shell.output(command)));
                    }
                    compared += 1;
                }
            }
            // The picture.
            "text" => {}
            other => panic!("a block in {other:?}: {text}"),
        }
    }
    assert!(compared >= 15 && files == 2, "{compared}, {files}");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "not cleaned up");
}
