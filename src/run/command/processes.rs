//! The processes of a command.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::run::Usage;

/// The processes of a command: the one that was started, and those that come from it.
///
/// Without a terminal they are a process group of their own. On a terminal they stay in ours, so
/// that the keys (Ctrl-C, Ctrl-Z), job control of the shell and reading from the terminal are as
/// without us, in pipelines too; which processes they are is then read from `/proc`.
pub struct Processes {
    /// The process that was started.
    leader: Pid,
    shares_our_group: bool,
    end: Option<End>,
}

/// How the process that was started has ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// As wait(2) gives it.
    pub status: libc::c_int,
    pub usage: Usage,
}

/// Whether the command is to ignore SIGPIPE.
static IS_SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// From now on commands are started with SIGPIPE ignored, because we were. The standard library, which
/// ignores it for us in either case, would set it to its default for them.
pub fn keep_sigpipe_ignored() {
    IS_SIGPIPE_IGNORED.store(true, Ordering::Relaxed);
}

impl Processes {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let shares_our_group = has_terminal();
        if !shares_our_group {
            command.process_group(0);
        }
        if IS_SIGPIPE_IGNORED.load(Ordering::Relaxed) {
            // SAFETY: signal(2) may be called between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                    Ok(())
                });
            }
        }
        // What outlives its parent comes to us and not to init, so that it is found in `/proc` as
        // ours and does not stay as a zombie where there is no init. Old kernels cannot.
        let _ = prctl::set_child_subreaper(true);
        // It is waited for by `reap`, because `Child` does not tell the usage.
        let child = command.spawn()?;
        Ok(Processes {
            leader: Pid::from_raw(child.id() as i32),
            shares_our_group,
            end: None,
        })
    }

    /// Whether a signal that the kernel sent to our process group came to them too.
    pub fn share_our_group(&self) -> bool {
        self.shares_our_group
    }

    /// Sends `signal` to all of them.
    pub fn signal(&self, signal: Signal) {
        // One that has ended in the meantime needs none.
        if !self.shares_our_group {
            let _ = killpg(self.leader, signal);
            return;
        }
        for process in descendants() {
            let _ = kill(process, signal);
        }
    }

    /// Whether one of them is left.
    pub fn are_alive(&self) -> bool {
        match self.shares_our_group {
            true => !descendants().is_empty(),
            false => killpg(self.leader, None) != Err(Errno::ESRCH),
        }
    }

    /// Takes notice of those that have ended; returns the end of the one that was started.
    pub fn reap(&mut self) -> Option<End> {
        loop {
            let mut status = 0;
            // SAFETY: all zeros is a valid rusage, and wait4(2) writes only to the two arguments.
            let (pid, usage) = unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                let pid = libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage);
                (pid, usage)
            };
            match pid {
                0 => return self.end,
                -1 if Errno::last() == Errno::EINTR => {}
                -1 => return self.end,
                _ if pid == self.leader.as_raw() => {
                    let usage = Usage::from(&usage);
                    self.end = Some(End { status, usage });
                }
                _ => {}
            }
        }
    }
}

/// Whether this process has a controlling terminal.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// The living processes that come from this one. All of them do so because of the command: nothing
/// else here starts processes.
fn descendants() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut processes: Vec<(i32, i32)> = entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(pid)?))
        })
        .collect();
    let mut found = vec![Pid::this().as_raw()];
    let mut next = 0;
    while let Some(&process) = found.get(next) {
        let (children, rest) = processes
            .into_iter()
            .partition(|(_, parent)| *parent == process);
        let children: Vec<(i32, i32)> = children;
        found.extend(children.into_iter().map(|(pid, _)| pid));
        processes = rest;
        next += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// The parent of a process that has not ended.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name before it can hold anything. See proc_pid_stat(5).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.next()?.parse().ok())?
}
