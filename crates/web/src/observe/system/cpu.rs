//! Utilization of the processors.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Mutex;

use metricsjob_metrics::Family;
use metricsjob_system::panics::locked;

/// Time that all processors have spent since the machine started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spent {
    busy: u64,
    all: u64,
}

/// Computes the utilization, and remembers the last reading.
pub struct Cpu {
    last: Mutex<(Spent, Option<f64>)>,
}

impl Cpu {
    /// Starts a measurement: the first ratio covers the time from here on.
    pub fn new() -> Self {
        Cpu {
            last: Mutex::new((Spent::now().unwrap_or_default(), None)),
        }
    }

    pub fn family(&self) -> Option<Family> {
        let ratio = self.ratio(Spent::now()?)?;
        Some(Family::gauge(
            "system_cpu_usage_ratio",
            "Share of the time of all processors, since this was read last, in which they were busy.",
            ratio,
        ))
    }

    /// Returns the ratio between the last reading and `now`.
    fn ratio(&self, now: Spent) -> Option<f64> {
        let mut last = locked(&self.last);
        let (before, ratio) = &mut *last;
        let all = now.all.saturating_sub(before.all);
        // Some of the times can go backwards (proc(5)), and within a tick none of them advance.
        let busy = now.busy.saturating_sub(before.busy);
        match all {
            0 => Some(ratio.unwrap_or(0.0)),
            all => {
                *last = (now, Some((busy as f64 / all as f64).min(1.0)));
                last.1
            }
        }
    }
}

impl Spent {
    /// Reads only the first line: `procfs` would also read a line for each processor, and one that takes the
    /// system long to produce.
    fn now() -> Option<Spent> {
        let mut line = String::new();
        let stat = File::open("/proc/stat").ok()?;
        BufReader::with_capacity(512, stat)
            .read_line(&mut line)
            .ok()?;
        Spent::of(&line)
    }

    /// Parses `cpu user nice system idle iowait irq softirq steal guest guest_nice` (proc(5)). The time of
    /// guests is included in that of users.
    fn of(line: &str) -> Option<Spent> {
        let times = line.strip_prefix("cpu ")?;
        let times: Vec<u64> = times
            .split_whitespace()
            .take(8)
            .map(|time| time.parse().ok())
            .collect::<Option<_>>()?;
        let idle: u64 = times.get(3..)?.iter().take(2).sum();
        let all: u64 = times.iter().sum();
        Some(Spent {
            busy: all - idle,
            all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line() {
        let line = "cpu  10 20 30 400 50 6 7 8 9 10\n";
        assert_eq!(Spent::of(line), Some(Spent { busy: 81, all: 531 }));
        // The format of Linux 2.4.
        let spent = Spent { busy: 60, all: 460 };
        assert_eq!(Spent::of("cpu  10 20 30 400"), Some(spent));
        assert_eq!(Spent::of("cpu  1 2"), None);
        assert_eq!(Spent::of("cpu0 1 2 3 4"), None);
        assert!(Spent::now().is_some_and(|spent| spent.all > spent.busy));
    }

    #[test]
    fn ratios() {
        let spent = |busy, all| Spent { busy, all };
        let cpu = Cpu {
            last: Mutex::new((spent(100, 1000), None)),
        };
        assert_eq!(cpu.ratio(spent(100, 1000)), Some(0.0));
        assert_eq!(cpu.ratio(spent(125, 1100)), Some(0.25));
        // Read again at once.
        assert_eq!(cpu.ratio(spent(125, 1100)), Some(0.25));
        assert_eq!(cpu.ratio(spent(225, 1200)), Some(1.0));
        assert_eq!(cpu.ratio(spent(225, 1200)), Some(1.0));
        // Idle time went backwards.
        assert_eq!(cpu.ratio(spent(240, 1210)), Some(1.0));
    }
}
