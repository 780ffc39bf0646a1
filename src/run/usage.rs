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
    before: Usage,
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
            before: read(who),
        }
    }

    /// What was used since the start.
    pub fn stop(self) -> Usage {
        let now = read(self.who);
        Usage {
            cpu_user: now.cpu_user.saturating_sub(self.before.cpu_user),
            cpu_system: now.cpu_system.saturating_sub(self.before.cpu_system),
            max_rss: now.max_rss,
        }
    }
}

fn read(who: UsageWho) -> Usage {
    // It fails only for an unknown `who`.
    let Ok(usage) = getrusage(who) else {
        return Usage::default();
    };
    let micros = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(micros.try_into().unwrap_or(0))
    };
    Usage {
        cpu_user: micros(usage.user_time()),
        cpu_system: micros(usage.system_time()),
        max_rss: match who {
            UsageWho::RUSAGE_SELF => peak_rss().unwrap_or_default(),
            // Linux counts it in KiB, see getrusage(2).
            _ => u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        },
    }
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
