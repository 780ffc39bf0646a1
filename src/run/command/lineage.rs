//! The processes that come from one attempt of a command, also those that have left its process group or outlived their
//! parents.
//!
//! They are looked for only when the attempt has to end, because all of `/proc` is read for it.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The marks by which the processes of one attempt are known.
pub struct Lineage {
    /// Variables (`NAME=value`) that all of them have in their environment, unless they have changed that.
    tag: Vec<Vec<u8>>,
    /// In clock ticks since the system was started: none of them is older.
    since: u64,
    /// True if every child of this process that is not older comes from the attempt.
    are_all_children: bool,
}

/// One process for ever: its id, which is used again, and when it started, in clock ticks since the system was.
pub type ProcessIdentity = (i32, u64);

/// A living process of an attempt.
#[derive(Debug)]
pub struct Member {
    /// Its parent, group and name may change, and this does not.
    pub identity: ProcessIdentity,
    parent: i32,
    pub group: i32,
    pub name: String,
}

impl Lineage {
    /// A time for [`Lineage::new`], before the attempt begins.
    pub fn now() -> u64 {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME);
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let ticks = u64::try_from(ticks).unwrap_or(100);
        now.map_or(0, |now| {
            let (seconds, nanos) = (now.tv_sec() as u64, now.tv_nsec() as u64);
            seconds * ticks + nanos * ticks / 1_000_000_000
        })
    }

    /// The lineage of an attempt that began at `since`, and has each of `tag` (`NAME=value`) in its environment.
    pub fn new(tag: Vec<Vec<u8>>, since: u64, are_all_children: bool) -> Self {
        Lineage {
            tag,
            since,
            are_all_children,
        }
    }

    /// The living processes. `leader` is the one that was started, if it has not been waited for: after that its id may
    /// be another's.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read, or does not show this process.
    pub fn members(&self, leader: Option<i32>) -> io::Result<Vec<Member>> {
        let us = Pid::this().as_raw();
        // Where not even this process is shown, it is not mounted, or of other processes.
        fs::metadata(format!("/proc/{us}"))?;
        let pids = fs::read_dir("/proc")?.flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all = pids.filter(|pid| *pid != us).filter_map(read);
        let young = all.filter(|member| member.identity.1 >= self.since);
        let (mut found, mut others): (Vec<_>, Vec<_>) = young.partition(|member| {
            let is_child = self.are_all_children && member.parent == us;
            let pid = member.identity.0;
            is_child || Some(pid) == leader || self.is_tagged(pid)
        });
        // Those that have changed their environment, or do not show it, as sudo's.
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|member| member.identity.0) {
            let (children, rest) = others
                .into_iter()
                .partition(|member| member.parent == parent);
            let children: Vec<_> = children;
            found.extend(children);
            others = rest;
            next += 1;
        }
        Ok(found)
    }

    fn is_tagged(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |tag: &Vec<u8>| {
            environment
                .split(|&byte| byte == 0)
                .any(|it| it == &tag[..])
        };
        self.tag.iter().all(has)
    }
}

impl Member {
    /// Sends it a signal. One that has ended needs none.
    pub fn signal(&self, signal: Signal) -> nix::Result<()> {
        let (pid, _) = self.identity;
        let result = match pidfd(pid) {
            // Only now it is certain that the descriptor is that of the process that was seen.
            Some(_) if read(pid).is_none_or(|now| now.identity != self.identity) => Ok(()),
            Some(fd) => send(&fd, signal),
            // Old kernels have none.
            None => kill(Pid::from_raw(pid), signal),
        };
        match result {
            Err(Errno::ESRCH) => Ok(()),
            result => result,
        }
    }
}

/// The process `pid`, if it has not ended. See proc_pid_stat(5).
fn read(pid: i32) -> Option<Member> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name can hold anything.
    let (head, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(Member {
        identity: (pid, fields.get(19)?.parse().ok()?),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        name: head.split_once('(')?.1.to_owned(),
    })
}

/// A descriptor of the process, which can be read once it has ended; Linux has them since 5.3.
pub fn pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: pidfd_open(2) touches no memory of ours, and its result is a new descriptor that is ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}

fn send(process: &OwnedFd, signal: Signal) -> nix::Result<()> {
    let no_info: *const libc::siginfo_t = std::ptr::null();
    let fd = process.as_raw_fd();
    // SAFETY: pidfd_send_signal(2) reads no memory of ours where there is no siginfo_t.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as i32, no_info, 0) };
    Errno::result(sent).map(drop)
}
