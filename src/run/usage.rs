//! Resource usage of a run.

use std::ops::AddAssign;
use std::time::Duration;

use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};

/// Resource usage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub cpu_user: Duration,
    pub cpu_system: Duration,
    /// The most memory that one of its processes had at a time, in bytes.
    pub max_rss: u64,
}

/// Adds up two attempts, one after the other.
impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.cpu_user += other.cpu_user;
        self.cpu_system += other.cpu_system;
        self.max_rss = self.max_rss.max(other.max_rss);
    }
}

/// Usage from wait4(2): of a process that has ended, and of those that it waited for.
impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        Usage {
            cpu_user: duration(usage.ru_utime.tv_sec, usage.ru_utime.tv_usec),
            cpu_system: duration(usage.ru_stime.tv_sec, usage.ru_stime.tv_usec),
            // Linux counts it in KiB, see getrusage(2).
            max_rss: u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024,
        }
    }
}

/// Measures what this thread uses, for a built-in. Its memory is that of the whole process.
pub struct Meter {
    cpu_before: (Duration, Duration),
}

impl Meter {
    pub fn start() -> Self {
        Meter { cpu_before: cpu() }
    }

    /// Returns the usage since the start.
    pub fn stop(self) -> Usage {
        let (user, system) = cpu();
        Usage {
            cpu_user: user.saturating_sub(self.cpu_before.0),
            cpu_system: system.saturating_sub(self.cpu_before.1),
            max_rss: peak_rss().unwrap_or_default(),
        }
    }
}

/// CPU time of this thread in user mode and in the kernel.
fn cpu() -> (Duration, Duration) {
    // It fails only for an unknown `who`.
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else {
        return Default::default();
    };
    let of = |time: nix::sys::time::TimeVal| duration(time.tv_sec(), time.tv_usec());
    (of(usage.user_time()), of(usage.system_time()))
}

fn duration(seconds: i64, micros: i64) -> Duration {
    Duration::from_micros(
        (seconds * 1_000_000 + micros)
            .try_into()
            .unwrap_or_default(),
    )
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
