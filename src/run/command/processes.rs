//! The processes of a command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::lineage::{Lineage, Member, ProcessIdentity, pidfd};
use super::sigpipe;
use crate::run::Usage;
use metricsjob_system::panics::locked;

/// The processes of a command: the one that was started, and those that come from it.
///
/// Without a terminal they are a process group of their own. On a terminal they stay in ours, so
/// that the keys (Ctrl-C, Ctrl-Z), job control of the shell and reading from the terminal are as
/// without us, in pipelines too; they are then found in `/proc`, like those that have left the process group.
pub struct Processes {
    /// The process that was started.
    leader: Pid,
    shares_our_group: bool,
    /// True if this process has other children, which others wait for.
    are_among_others: bool,
    /// File descriptor that becomes readable once the leader has ended, if that is not known by SIGCHLD.
    leader_fd: Option<OwnedFd>,
    end: Option<End>,
    lineage: Lineage,
    /// The names of those that we may not send signals to.
    out_of_reach: BTreeMap<ProcessIdentity, String>,
    /// The reason why some of them may not have been found.
    blindness: Option<io::Error>,
}

/// Limit of the searches for more of them while new ones are found.
const MAX_WALKS: usize = 20;

/// The leaders that have not been waited for, of processes among others.
static LEADERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Read from before a leader is born until it is among them.
static BIRTHS: RwLock<()> = RwLock::new(());

/// How the process that was started has ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// As wait(2) gives it.
    pub status: libc::c_int,
    pub usage: Usage,
}

impl Processes {
    /// Starts `command`, which gets each of `tag` (`NAME=value`) in its environment. `are_among_others` is for a
    /// process that has several at a time.
    pub fn start(
        command: &mut Command,
        tag: Vec<Vec<u8>>,
        are_among_others: bool,
    ) -> io::Result<Self> {
        let since = Lineage::now();
        let shares_our_group = !are_among_others && has_terminal();
        if !shares_our_group {
            command.process_group(0);
        }
        if sigpipe::was_ignored() {
            // SAFETY: signal(2) may be called between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                    Ok(())
                });
            }
        }
        // A process that outlives its parent comes to us and not to init, so that it is found in `/proc` as
        // ours and does not stay as a zombie where there is no init. Old kernels cannot.
        let _ = prctl::set_child_subreaper(true);
        // It is waited for by `reap`, because `Child` does not return the usage.
        let (leader, leader_fd) = if !are_among_others {
            (command.spawn()?.id() as i32, None)
        } else {
            // A search for orphans meanwhile would take it for one.
            let _birth = BIRTHS.read().unwrap_or_else(PoisonError::into_inner);
            let leader = command.spawn()?.id() as i32;
            leaders().insert(leader);
            (leader, pidfd(leader))
        };
        Ok(Processes {
            leader: Pid::from_raw(leader),
            shares_our_group,
            are_among_others,
            leader_fd,
            end: None,
            lineage: Lineage::new(tag, since, !are_among_others),
            out_of_reach: BTreeMap::new(),
            blindness: None,
        })
    }

    /// File descriptor that becomes readable once the leader has ended. Without it, SIGCHLD reports that, or
    /// nothing does.
    pub fn end_fd(&self) -> Option<BorrowedFd<'_>> {
        match self.end {
            None => self.leader_fd.as_ref().map(AsFd::as_fd),
            Some(_) => None,
        }
    }

    /// Returns true if nothing reports the leader's end.
    pub fn must_be_polled(&self) -> bool {
        self.are_among_others && self.leader_fd.is_none()
    }

    /// Returns true if a signal that the kernel sent to our process group came to them too.
    pub fn share_our_group(&self) -> bool {
        self.shares_our_group
    }

    /// Sends `signal` to those of the process group, or on a terminal to all of them.
    pub fn signal(&mut self, signal: Signal) {
        // One that has ended in the meantime needs none.
        if !self.shares_our_group {
            let _ = killpg(self.leader, signal);
            return;
        }
        for member in self.members() {
            self.tell(&member, signal);
        }
    }

    /// Sends `signal`, by which they are to end, to all of them: to the process group first, then to those that have
    /// left it.
    pub fn end(&mut self, signal: Signal) {
        if !self.shares_our_group {
            let _ = killpg(self.leader, signal);
        }
        // A stopped process cannot start others during the search.
        let first = match signal {
            Signal::SIGKILL => Signal::SIGSTOP,
            signal => signal,
        };
        let mut told = BTreeMap::new();
        for _ in 0..MAX_WALKS {
            let mut is_any_new = false;
            for member in self.members() {
                let is_of_group = !self.shares_our_group && member.group == self.leader.as_raw();
                if !is_of_group && !told.contains_key(&member.identity) {
                    is_any_new = true;
                    self.tell(&member, first);
                    told.insert(member.identity, member);
                }
            }
            if !is_any_new {
                break;
            }
        }
        if signal == Signal::SIGKILL {
            for member in told.values() {
                self.tell(member, signal);
            }
        }
    }

    /// The living ones that we may send signals to.
    fn members(&mut self) -> Vec<Member> {
        let leader = self.end.is_none().then_some(self.leader.as_raw());
        match self.lineage.members(leader) {
            Ok(mut members) => {
                members.retain(|member| !self.out_of_reach.contains_key(&member.identity));
                members
            }
            Err(error) => {
                self.blindness.get_or_insert(error);
                Vec::new()
            }
        }
    }

    fn tell(&mut self, member: &Member, signal: Signal) {
        if member.signal(signal).is_err() {
            let name = member.name.clone();
            self.out_of_reach.insert(member.identity, name);
        }
    }

    /// Returns true if they have a process group of their own and one of it is left.
    pub fn is_group_alive(&self) -> bool {
        !self.shares_our_group && killpg(self.leader, None) != Err(Errno::ESRCH)
    }

    /// Returns true if one of them is left that we may send signals to.
    pub fn are_alive(&mut self) -> bool {
        self.is_group_alive() || !self.members().is_empty()
    }

    /// The reasons why some may be left that should have ended, in words for a person.
    pub fn left(&self) -> Vec<String> {
        let left = self.out_of_reach.iter().map(|((pid, _), name)| {
            format!("{name} (pid {pid}) is still running: it belongs to another user and cannot be ended")
        });
        let blind = self.blindness.iter().map(|error| {
            format!("processes that left the command's process group may still be running: could not read /proc: {}", metricsjob_system::reason(error))
        });
        left.chain(blind).collect()
    }

    /// Reaps those that have ended; returns the end of the one that was started.
    pub fn reap(&mut self) -> Option<End> {
        if self.are_among_others {
            if self.end.is_none() {
                let leader = self.leader.as_raw();
                let (pid, end) = wait4(leader);
                if pid == leader {
                    self.end = Some(end);
                    leaders().remove(&leader);
                }
            }
            return self.end;
        }
        loop {
            let (pid, end) = wait4(-1);
            match pid {
                0 => return self.end,
                // With WNOHANG no signal interrupts it.
                -1 => return self.end,
                _ if pid == self.leader.as_raw() => self.end = Some(end),
                _ => {}
            }
        }
    }
}

/// Reaps children that no thread waits for: they outlived their parents, and came to us because we are their
/// subreaper or the init of a container. Returns how many there were.
///
/// For a process that starts commands among others.
pub fn reap_orphans() -> usize {
    let mut count = 0;
    loop {
        // A birth may take long, where the program comes over a network; no others may wait for it meanwhile.
        let Ok(_no_births) = BIRTHS.try_write() else {
            return count;
        };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let Some(pid) = waitid(Id::All, flags).ok().and_then(|status| status.pid()) else {
            return count;
        };
        // The system names the first one that has ended, and does so until that one was waited for, which
        // the thread that started it is about to do. The others come after that.
        if leaders().contains(&pid.as_raw()) {
            return count;
        }
        wait4(pid.as_raw());
        count += 1;
    }
}

impl Drop for Processes {
    /// Leaves a process that was given up, because not even SIGKILL ended it, to [`reap_orphans`]: nothing else waits
    /// for it when it ends at last.
    fn drop(&mut self) {
        if self.are_among_others && self.end.is_none() {
            leaders().remove(&self.leader.as_raw());
        }
    }
}

fn leaders() -> MutexGuard<'static, BTreeSet<i32>> {
    locked(&LEADERS)
}

/// Reaps the child `pid` if it has ended, or any child for -1. Returns its id, 0 if none has ended, and -1
/// if there is none.
fn wait4(pid: i32) -> (i32, End) {
    let mut status = 0;
    // SAFETY: all zeros is a valid rusage, and wait4(2) writes only to the two arguments.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let pid = libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage);
        (pid, usage)
    };
    let usage = Usage::from(&usage);
    (pid, End { status, usage })
}

/// Returns true if this process has a controlling terminal.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}
