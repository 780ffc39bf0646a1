//! What a run used of the machine.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use crate::job::Work;

/// What a run used of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub cpu_user: Duration,
    pub cpu_system: Duration,
    /// The most memory that one of its processes had at a time, in bytes.
    pub max_rss: u64,
}

/// Measures the usage of one run.
pub struct Meter {
    who: UsageWho,
    cpu_before: (Duration, Duration),
}

impl Meter {
    /// Starts to measure: this process for a built-in, for a command the child and what it waits
    /// for itself.
    pub fn start(work: &Work) -> Self {
        let who = match work {
            Work::Builtin(..) => UsageWho::RUSAGE_SELF,
            Work::Command(_) => UsageWho::RUSAGE_CHILDREN,
        };
        Meter {
            who,
            cpu_before: read(who).map(cpu).unwrap_or_default(),
        }
    }

    /// What was used since the start.
    pub fn stop(self) -> Usage {
        let Some(usage) = read(self.who) else {
            return Usage::default();
        };
        let (user, system) = cpu(usage);
        Usage {
            cpu_user: user.saturating_sub(self.cpu_before.0),
            cpu_system: system.saturating_sub(self.cpu_before.1),
            max_rss: match self.who {
                UsageWho::RUSAGE_SELF => peak_rss().unwrap_or_default(),
                // Linux counts it in KiB, see getrusage(2).
                _ => u64::try_from(usage.max_rss()).unwrap_or_default() * 1024,
            },
        }
    }
}

/// It fails only for an unknown `who`.
fn read(who: UsageWho) -> Option<nix::sys::resource::Usage> {
    getrusage(who).ok()
}

/// CPU time in user mode and in the kernel.
fn cpu(usage: nix::sys::resource::Usage) -> (Duration, Duration) {
    let duration = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(micros.try_into().unwrap_or_default())
    };
    (duration(usage.user_time()), duration(usage.system_time()))
}

/// The most memory that this process had, in bytes. Not by getrusage(2), which counts what it had
/// as a copy of its parent, before it became this program.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
