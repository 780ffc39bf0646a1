//! Waiting for what another process does.

use std::process::Child;
use std::thread::sleep;
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
    let deadline = Instant::now() + patience;
    while !happened() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// The end of `child`, whose little output is kept. One that hangs is killed after half a minute, and the test fails.
#[track_caller]
pub fn finished(mut child: Child) -> Finished {
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let output = Finished::from(child.wait_with_output().unwrap());
            panic!("it hangs\n{}\n{}", output.stdout(), output.stderr());
        }
        sleep(Duration::from_millis(5));
    }
    Finished::from(child.wait_with_output().unwrap())
}

/// Sends `signal` to the process `pid`.
pub fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// Whether there is a process `pid` that has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, fields)| fields.trim());
    state.is_some_and(|fields| !fields.starts_with(['Z', 'X']))
}
