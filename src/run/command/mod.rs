//! One attempt of a command.
//!
//! - `sigpipe`: the disposition of SIGPIPE when this process began.
//! - `processes`: starting it, signals to all its processes, its end and its usage; `lineage`: finds the processes
//!   that come from it.
//! - `output`: its output on the way to ours; `capture`: its output, if it is not passed on.
//! - `watch`: the readers of its output; `rewritten`, `tail`: its lines, and the last of them.

mod capture;
mod lineage;
mod output;
mod processes;
mod rewritten;
mod sigpipe;
mod tail;
mod watch;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGCHLD, SIGSTOP, SIGTSTP};
use signal_hook::low_level::raise;

use self::capture::Capture;
use self::output::Passage;
use self::processes::{End, Processes};
use self::tail::Tail;
use self::watch::Watch;

pub use self::processes::reap_orphans;
use super::attempt::Attempt;
use super::events::{Events, METRICS_VARIABLE};
use super::outcome::Outcome;
use super::signals::{ReceivedSignal, Signals};
use super::usage::Usage;
use crate::job::output_pattern::OutputStream;
use crate::job::{Command, Policy};
use crate::push::secrets::withheld;
use metricsjob_system::panics::locked;
use metricsjob_system::reason;

/// Variables of an attempt that distinguish its processes from all others.
pub const ATTEMPT_VARIABLE: &str = "METRICSJOB_ATTEMPT";
pub const RUN_VARIABLE: &str = "METRICSJOB_RUN_ID";
const TAG: [&str; 2] = [RUN_VARIABLE, ATTEMPT_VARIABLE];

/// POSIX shells' exit codes for a command that could not be started.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How long a killed process may take to die before it is given up: one that waits for a device or a
/// network file system cannot be killed.
const DYING: Duration = Duration::from_secs(2);

/// How often we check whether a process is left of those that were signalled to end.
const TICK: Duration = Duration::from_millis(10);

/// Time between two searches for those that are in no process group of their own, for which all of `/proc`
/// is read.
const WALK: Duration = Duration::from_millis(50);

/// Runs `command` with `variables` in its environment and waits for its end, or for its timeout's.
/// Signals that this process gets are passed on to it.
pub fn attempt(
    command: &Command,
    policy: &Policy,
    variables: &[(&str, OsString)],
    events: &Arc<Events>,
    signals: &Signals,
) -> Attempt {
    events.attempt_begins();
    match Running::start(command, variables, events, signals) {
        Ok(running) => running.wait(command, policy, events, signals),
        Err((code, reason)) => Attempt {
            outcome: Outcome::Failure(code),
            failure: Some(format!("could not start {:?}: {reason}", command.program())),
            usage: Usage::default(),
            tail: Vec::new(),
            interrupted: None,
        },
    }
}

struct Running {
    processes: Processes,
    passages: Vec<Passage>,
    captures: Vec<Capture>,
    tail: Arc<Mutex<Tail>>,
    started: Instant,
}

/// Steps that were taken to end the processes.
#[derive(Clone, Copy)]
enum Ending {
    Not,
    /// They got SIGTERM, and get SIGKILL at this time, if that is a time at all.
    Terminated {
        kill_at: Option<Instant>,
    },
    /// They got SIGKILL, and are given up at this time.
    Killed {
        give_up_at: Instant,
    },
}

/// Readers of the output, and the ends of pipes that the command gets as its streams; `None` for a stream
/// that it inherits from us.
#[derive(Default)]
struct CommandOutput {
    passages: Vec<Passage>,
    captures: Vec<Capture>,
    stdout: Option<io::PipeWriter>,
    stderr: Option<io::PipeWriter>,
}

impl Running {
    fn start(
        command: &Command,
        variables: &[(&str, OsString)],
        events: &Arc<Events>,
        signals: &Signals,
    ) -> Result<Self, (u8, String)> {
        let tail = Arc::new(Mutex::new(Tail::new(command.tail)));
        // Before there is a process: where there can be no pipe it gets our own stream, and runs all
        // the same.
        let output = CommandOutput::of(command, events, &tail);
        signals
            .pass()
            .map_err(|error| not_started(command, &error))?;
        let started = Instant::now();
        let start = |program: &OsStr, arguments: &[OsString]| {
            let mut child = process::Command::new(program);
            child.args(arguments).env_remove(METRICS_VARIABLE);
            if signals.are_told() {
                withhold_credentials(&mut child);
            }
            child
                .envs(command.env.iter().map(|(name, value)| (name, value)))
                .envs(variables.iter().map(|(name, value)| (name, value)));
            if let Some(directory) = &command.working_directory {
                // The system's own error would not tell it from a program that is missing.
                directory
                    .metadata()
                    .map_err(|error| no_directory(directory, &error))?;
                child.current_dir(directory);
            }
            for (end, is_stdout) in [(&output.stdout, true), (&output.stderr, false)] {
                let Some(end) = end else { continue };
                let end = end.try_clone()?;
                if is_stdout {
                    child.stdout(end)
                } else {
                    child.stderr(end)
                };
            }
            if signals.are_told() {
                child.stdin(Stdio::null());
            }
            let tag = variables.iter().filter(|(name, _)| TAG.contains(name));
            let tag =
                tag.map(|(name, value)| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat());
            Processes::start(&mut child, tag.collect(), signals.are_told())
        };
        let processes = match start(command.program(), command.arguments()) {
            // A script that does not name its interpreter, as execvp(3), shells and env(1) run it.
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
                let script = in_path(command.program());
                let words = [&[script], command.arguments()].concat();
                start(OsStr::new("/bin/sh"), &words)
            }
            result => result,
        };
        Ok(Running {
            processes: processes.map_err(|error| not_started(command, &error))?,
            passages: output.passages,
            captures: output.captures,
            tail,
            started,
        })
    }

    fn wait(
        mut self,
        command: &Command,
        policy: &Policy,
        events: &Events,
        signals: &Signals,
    ) -> Attempt {
        // A time that is too far away for the clock never comes.
        let deadline = policy.timeout.and_then(|t| self.started.checked_add(t));
        let mut ending = Ending::Not;
        let mut is_timeout = false;
        let mut interrupted = None;
        let end = loop {
            let now = Instant::now();
            let end = self.processes.reap();
            let is_left = match (end, ending) {
                (None, _) => true,
                (Some(_), Ending::Not) if interrupted.is_none() => false,
                (Some(_), _) => self.processes.are_alive(),
            };
            if !is_left {
                break end;
            }
            let next = match ending {
                Ending::Not => {
                    // Once the command was ended by a signal, its remaining processes must not continue.
                    let has_timed_out = deadline.is_some_and(|deadline| now >= deadline);
                    if has_timed_out || end.is_some() {
                        is_timeout = end.is_none();
                        self.processes.end(Signal::SIGTERM);
                        // One that is stopped could not end otherwise.
                        self.processes.end(Signal::SIGCONT);
                        ending = Ending::Terminated {
                            kill_at: now.checked_add(policy.kill_after),
                        };
                        continue;
                    }
                    deadline
                }
                Ending::Terminated { kill_at } => {
                    if kill_at.is_some_and(|kill_at| now >= kill_at) {
                        self.processes.end(Signal::SIGKILL);
                        ending = Ending::Killed {
                            give_up_at: now + DYING,
                        };
                        continue;
                    }
                    kill_at
                }
                Ending::Killed { give_up_at } => {
                    if now >= give_up_at {
                        break end;
                    }
                    // One that was just being born did not get it.
                    self.processes.end(Signal::SIGKILL);
                    Some(give_up_at)
                }
            };
            // The last ones may not be children of ours, so that nothing reports their end.
            let next = match end {
                Some(_) if self.processes.is_group_alive() => Some(now + TICK),
                Some(_) => Some(now + WALK),
                None if self.processes.must_be_polled() => {
                    Some(next.map_or(now + TICK, |next| next.min(now + TICK)))
                }
                None => next,
            };
            let due = self.captures.iter().filter_map(Capture::due);
            let next = next.into_iter().chain(due).min();
            let timeout = next.map(|next| next.saturating_duration_since(now));
            let output = self.captures.iter().filter_map(Capture::fd);
            let others = self.processes.end_fd().into_iter().chain(output);
            let received = signals.wait_beside(timeout, others);
            for capture in &mut self.captures {
                capture.read();
                capture.pass();
            }
            for received in received {
                self.pass_on(received);
                if received.is_ending() {
                    interrupted.get_or_insert(received);
                }
            }
        };
        for left in self.processes.left() {
            events.warn(left);
        }
        let ending = is_timeout.then_some(ending);
        self.finish(end, ending, interrupted, command, policy, signals)
    }

    fn pass_on(&mut self, received: ReceivedSignal) {
        let have_it = received.is_from_kernel && self.processes.share_our_group();
        if received.is(SIGCHLD) {
            return;
        }
        if let (false, Ok(signal)) = (have_it, Signal::try_from(i32::from(received.number))) {
            if received.is_ending() {
                self.processes.end(signal)
            } else {
                self.processes.signal(signal)
            }
        }
        if received.is(SIGTSTP) {
            // We stop as they do, so that the shell has the terminal back. The SIGCONT that ends
            // this is passed on like any other signal.
            let _ = raise(SIGSTOP);
        }
    }

    fn finish(
        self,
        end: Option<End>,
        timeout: Option<Ending>,
        interrupted: Option<ReceivedSignal>,
        command: &Command,
        policy: &Policy,
        signals: &Signals,
    ) -> Attempt {
        let is_timeout = timeout.is_some();
        let give_up_at = is_timeout.then(|| Instant::now() + DYING);
        for capture in self.captures {
            capture.finish();
        }
        for passage in self.passages {
            passage.finish(give_up_at, signals);
        }
        let outcome = match end {
            _ if is_timeout => Outcome::Timeout,
            Some(end) => outcome(ExitStatus::from_raw(end.status), command),
            None => Outcome::Timeout,
        };
        let failure = is_timeout.then(|| {
            let longest = humantime::format_duration(policy.timeout.unwrap_or_default());
            let fate = match (end, timeout) {
                (None, _) => ", and even SIGKILL did not end it",
                (_, Some(Ending::Killed { .. })) => " and had to be killed",
                _ => "",
            };
            format!("it took longer than {longest}{fate}")
        });
        let tail = locked(&self.tail);
        Attempt {
            outcome,
            failure,
            usage: end.map(|end| end.usage).unwrap_or_default(),
            tail: tail.text(),
            interrupted,
        }
    }
}

fn outcome(status: ExitStatus, command: &Command) -> Outcome {
    match (status.code(), status.signal()) {
        // The kernel passes on the lowest eight bits.
        (Some(code), _) if command.success_codes.contains(code as u8) => {
            Outcome::Success(code as u8)
        }
        (Some(code), _) => Outcome::Failure(code as u8),
        (None, Some(number)) => Outcome::Signal(number as u8),
        (None, None) => Outcome::Failure(1),
    }
}

impl CommandOutput {
    /// Sets up readers for the streams that are read for metrics or for the tail.
    fn of(command: &Command, events: &Arc<Events>, tail: &Arc<Mutex<Tail>>) -> Self {
        let mut output = CommandOutput::default();
        if events.reads(OutputStream::Stdout) {
            let watch = Watch::new(OutputStream::Stdout, events, None);
            match output.add(io::stdout, events, watch) {
                Ok(end) => output.stdout = Some(end),
                Err(error) => events.warn(format!(
                    "stdout is not read for metrics: {}",
                    reason(&error)
                )),
            }
        }
        if command.tail > 0 || events.reads(OutputStream::Stderr) {
            let tail = (command.tail > 0).then(|| Arc::clone(tail));
            let watch = Watch::new(OutputStream::Stderr, events, tail);
            match output.add(io::stderr, events, watch) {
                Ok(end) => output.stderr = Some(end),
                Err(error) => events.warn(format!("stderr is not read along: {}", reason(&error))),
            }
        }
        output
    }

    fn add<S: AsFd>(
        &mut self,
        ours: impl FnOnce() -> S,
        events: &Events,
        watch: Watch,
    ) -> io::Result<io::PipeWriter> {
        if events.takes_lines() {
            let (capture, end) = Capture::start(watch)?;
            self.captures.push(capture);
            return Ok(end);
        }
        let (passage, end) = Passage::start(ours(), watch)?;
        self.passages.push(passage);
        Ok(end)
    }
}

/// Keeps the server's own credentials from a job: the author of one need not know them. The job's own `env` can set
/// the same variables.
fn withhold_credentials(child: &mut process::Command) {
    for (name, instead) in withheld() {
        match instead {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
}

/// Where a program is that is found, as the system finds it.
fn in_path(program: &OsStr) -> OsString {
    let name = Path::new(program);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|dir| dir.join(name));
    if program.as_encoded_bytes().contains(&b'/') {
        None
    } else {
        places.find(|place| place.is_file())
    }
    .map_or_else(|| program.to_owned(), PathBuf::into_os_string)
}

fn no_directory(directory: &Path, error: &io::Error) -> io::Error {
    let (directory, reason) = (directory.display(), reason(error));
    io::Error::other(format!("the working directory {directory}: {reason}"))
}

/// The exit code, and the reason.
fn not_started(command: &Command, error: &io::Error) -> (u8, String) {
    let path = Path::new(command.program());
    let is_path = command.program().as_encoded_bytes().contains(&b'/');
    match error.kind() {
        io::ErrorKind::NotFound if is_path && path.exists() => (
            NOT_FOUND,
            "the interpreter that it names does not exist".into(),
        ),
        io::ErrorKind::NotFound if is_path => {
            let advice = as_script(command);
            (NOT_FOUND, advice.unwrap_or_else(|| "no such file".into()))
        }
        io::ErrorKind::NotFound => match as_script(command) {
            Some(advice) => (NOT_FOUND, advice),
            None => (NOT_FOUND, "it is not in PATH".into()),
        },
        _ => (NOT_EXECUTABLE, reason(error)),
    }
}

/// Advice on a command that is written as for a shell: its only word has blanks in it.
fn as_script(command: &Command) -> Option<String> {
    let script = command.program().to_str()?;
    if !script.contains(char::is_whitespace) || !command.arguments().is_empty() {
        return None;
    }
    let advice = if script.contains(['|', '&', ';', '<', '>', '$', '`', '*', '?', '~']) {
        ""
    } else {
        "give the program and its arguments as words of their own, or "
    };
    Some(format!(
        "no program is called that, and there is no shell that would read it: {advice}start a shell, as in sh -c {}",
        shlex::try_quote(script).ok()?
    ))
}
