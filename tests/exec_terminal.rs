//! `exec` on a terminal: it is the command's, with its keys and its job control. `script`, of
//! util-linux, gives the processes one.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{PATIENCE, Sandbox, US, awaited, environment, eventually, is_alive};

/// A terminal in which something runs.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs the shell command `line`, where `$US` is `metricsjob`.
    fn run(sandbox: &Sandbox, line: &str) -> Terminal {
        // The tests may be a background job of a shell, which ignores SIGINT.
        let mut script = Command::new("env")
            .args(["--default-signal=INT,QUIT", "script", "--quiet", "--return"])
            .args(["--command", line, "/dev/null"])
            .current_dir(sandbox.path())
            .env_clear()
            .envs(environment(sandbox.path()))
            .env("SHELL", "/bin/bash")
            .env("TERM", "xterm-256color")
            .env("US", US)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = script.stdin.take().unwrap();
        let mut output = script.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Terminal {
            script,
            keys,
            shown,
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until `text` is on the terminal.
    #[track_caller]
    fn shows(&self, text: &str) {
        awaited(PATIENCE, || {
            let shown = self.shown();
            let is_there = shown.contains(text);
            let missing = format!("no {text:?} on the terminal:\n{shown}");
            is_there.then_some(()).ok_or(missing)
        });
    }

    /// A shell that takes the terminal over drops what was typed before.
    fn press(&mut self, keys: &str) {
        thread::sleep(Duration::from_millis(300));
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end, and asserts the exit code.
    #[track_caller]
    fn ends(mut self, code: i32) {
        assert_eq!(
            self.script.wait().unwrap().code(),
            Some(code),
            "{}",
            self.shown()
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.script.kill();
    }
}

#[test]
fn all_streams_are_the_terminal() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::run(
        &sandbox,
        "$US exec --quiet -- sh -c 'test -t 0 && test -t 1 && test -t 2 && tty && stty size && \
         touch a.sh && chmod +x a.sh && ls --color=auto && read x && echo got $x'",
    );
    terminal.shows("/dev/pts/");
    terminal.shows("\u{1b}[01;32ma.sh\u{1b}[0m");
    let mut terminal = terminal;
    terminal.press("typed\r");
    terminal.shows("got typed");
    terminal.ends(0);
}

#[test]
fn there_is_a_summary() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::run(&sandbox, "$US exec --job nice -- true");
    terminal.shows("nice: success in ");
    terminal.shows("reported by POST to the embedded gateway");
    terminal.ends(0);
    let terminal = Terminal::run(
        &sandbox,
        "$US exec --job bad --tail 2 -- sh -c 'echo why >&2; exit 3'",
    );
    terminal.shows("bad: failure (exit code 3) in ");
    terminal.shows("  | why");
    terminal.ends(3);
}

#[test]
fn ctrl_c_comes_once_and_the_run_is_reported() {
    let sandbox = Sandbox::new();
    let line = "$US exec --job keys -- bash -c 'trap \"echo caught\" INT; echo ready; sleep 0.1; \
                while ! [ -e end ]; do sleep 0.1; done'";
    let mut terminal = Terminal::run(&sandbox, line);
    terminal.shows("ready");
    terminal.press("\u{3}");
    terminal.shows("caught");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        terminal.shown().matches("caught").count(),
        1,
        "{}",
        terminal.shown()
    );
    sandbox.write("end", "");
    terminal.ends(0);

    let mut terminal = Terminal::run(
        &sandbox,
        "$US exec --job keys -- sh -c 'echo ready; sleep 100'",
    );
    terminal.shows("ready");
    terminal.press("\u{3}");
    terminal.shows("keys: signal 2 in ");
    terminal.ends(130);
    assert_eq!(sandbox.outcomes(), ["success", "signal"]);
    assert_eq!(sandbox.value("keys", "batch_job_exit_code"), Some(130.0));
}

/// With an exit code of 130 alone, bash would go on with the next round.
#[test]
fn ctrl_c_ends_the_script_around_us() {
    let sandbox = Sandbox::new();
    let line = "bash -c 'for i in 1 2 3; do $US exec -- sh -c \"echo round; sleep 100\"; done'";
    let mut terminal = Terminal::run(&sandbox, line);
    terminal.shows("round");
    terminal.press("\u{3}");
    terminal.ends(130);
    assert_eq!(sandbox.outcomes(), ["signal"]);
}

#[test]
fn job_control() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::run(&sandbox, "bash --norc --noprofile -i");
    terminal.press("PS1='prompt> '\r");
    terminal.press("$US exec --quiet -- sh -c 'echo rea''dy; read x; echo got $x'\r");
    terminal.shows("ready");
    terminal.press("\u{1a}");
    terminal.shows("Stopped");
    terminal.press("fg\r");
    terminal.shows("exec --quiet -- sh -c 'echo rea''dy; read x; echo got $x'\r\n");
    terminal.press("one\r");
    terminal.shows("got one");
    // In the background it must not read; in the foreground it may.
    terminal.press("$US exec --quiet -- sh -c 'read x; echo got $x' &\r");
    terminal.press("sleep 0.5; jobs\r");
    terminal.press("fg\r");
    terminal.press("two\r");
    terminal.shows("got two");
    terminal.press("exit\r");
    terminal.ends(0);
    assert_eq!(sandbox.outcomes(), ["success", "success"]);
}

/// The other programs of a pipeline have the terminal too, as a pager needs it.
#[test]
fn a_pipeline_shares_the_terminal() {
    let sandbox = Sandbox::new();
    let line = "bash --norc --noprofile -i";
    let mut terminal = Terminal::run(&sandbox, line);
    terminal
        .press("$US exec --quiet -- echo data | sh -c 'read x </dev/tty; echo pager $x $(cat)'\r");
    terminal.press("key\r");
    terminal.shows("pager key data");
    terminal.press("exit\r");
    terminal.ends(0);
}

#[test]
fn a_timeout_ends_grandchildren_there_too() {
    let sandbox = Sandbox::new();
    let line = "$US exec --quiet --timeout 300ms --kill-after 300ms -- \
                sh -c '(trap \"\" TERM; exec setsid sleep 100) & echo $! >pid; sleep 100'";
    Terminal::run(&sandbox, line).ends(124);
    let pid = std::fs::read_to_string(sandbox.path().join("pid")).unwrap();
    let pid = pid.trim().parse().unwrap();
    eventually("it is dead", || !is_alive(pid));
}
