//! Waiting for what another process does.

use std::fmt::Display;
use std::process::Child;
use std::sync::mpsc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::sandbox::Finished;

/// Waits until `happened`, and fails after half a minute.
#[track_caller]
pub fn eventually(what: &str, happened: impl FnMut() -> bool) {
    eventually_within(Duration::from_secs(30), what, happened);
}

/// Waits until `happened`, and fails after `patience`.
#[track_caller]
pub fn eventually_within(patience: Duration, what: &str, mut happened: impl FnMut() -> bool) {
    awaited(patience, || happened().then_some(()).ok_or(what));
}

/// Waits until `attempt` has a value, and fails with its last error after `patience`.
#[track_caller]
pub fn awaited<T, E: Display>(patience: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(start.elapsed() < patience, "it did not happen: {error}"),
        }
        // What takes long is asked for more rarely.
        let pause = start.elapsed() / 20;
        sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(20)));
    }
}

/// The end of `child`. One that hangs is killed after a minute, and the test fails.
#[track_caller]
pub fn finished(child: Child) -> Finished {
    let pid = child.id();
    let (sender, end) = mpsc::channel();
    spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(Duration::from_secs(60)) {
        return output.unwrap().into();
    }
    send(pid, Signal::SIGKILL);
    match end.recv_timeout(Duration::from_secs(5)) {
        Ok(output) => {
            let killed = Finished::from(output.unwrap());
            panic!("it hangs\n{}\n{}", killed.stdout(), killed.stderr());
        }
        Err(_) => panic!("it hangs, and a process that it left behind has its output open"),
    }
}

/// Sends `signal` to the process `pid`.
pub fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// The value of a line of a process's `/proc/PID/status`, nothing if it has ended.
fn process_status(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| *found == name);
    found.map_or("", |(_, value)| value.trim()).into()
}

/// A line of a process's `/proc/PID/status` that is an amount of memory, in KiB; 0 if it has ended.
pub fn kib(pid: u32, name: &str) -> u64 {
    let value = process_status(pid, name);
    value.trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Returns true if the process `pid` has handlers for all of these signals.
pub fn catches(pid: u32, signals: &[Signal]) -> bool {
    let caught = u64::from_str_radix(&process_status(pid, "SigCgt"), 16).unwrap_or(0);
    let mut bits = signals.iter().map(|signal| 1 << (*signal as u32 - 1));
    bits.all(|bit| caught & bit != 0)
}

/// The children of a process, as `/proc/PID/stat` has them.
pub fn children(pid: u32) -> Vec<String> {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read(entry.ok()?.path().join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (_, fields) = stat.rsplit_once(')')?;
        let parent = fields.split_ascii_whitespace().nth(1)?;
        (parent == pid.to_string()).then_some(stat)
    });
    stats.collect()
}

/// Whether there is a process `pid` that has not ended.
pub fn is_alive(pid: u32) -> bool {
    let state = process_status(pid, "State");
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}
