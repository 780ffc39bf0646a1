//! Metrics of a server process and its machine, read on every scrape.
//!
//! It may use [`metricsjob_metrics`] only. Most of it is in files below `/proc` (proc(5)), which [`procfs`]
//! reads; anything that cannot be read there is left out, because a scrape matters more than one of its
//! families.
//!
//! - `process`: this process, with the names of Prometheus' client libraries; `runtime`: its `tokio` runtime;
//!   `build`: build information.
//! - `system`: the machine, or as much of it as a container sees.

pub mod build;
mod process;
mod runtime;
mod system;

use std::time::{Instant, SystemTime};

use tokio::runtime::Handle;

use metricsjob_metrics::Family;
use system::System;

/// Collects the metrics of this process. Holds the constant ones, and earlier readings where they matter.
pub struct ProcessCollector {
    start_time: SystemTime,
    start: Instant,
    runtime: Handle,
    system: System,
}

impl ProcessCollector {
    /// Returns the collector for a process that started at `start_time` and serves in `runtime`.
    pub fn new(start_time: SystemTime, runtime: Handle) -> Self {
        ProcessCollector {
            start_time,
            start: Instant::now(),
            runtime,
            system: System::new(),
        }
    }

    /// Returns all current metrics. It blocks, because it reads about ten files.
    pub fn families(&self) -> Vec<Family> {
        let mut families = process::families(self.start_time);
        families.push(Family::gauge(
            "metricsjob_uptime_seconds",
            "How long the server has been running.",
            self.start.elapsed().as_secs_f64(),
        ));
        families.push(build::family());
        families.extend(runtime::families(&self.runtime));
        families.extend(self.system.families());
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::{Kind, Value, text};

    /// Returns the families, each with its first value.
    fn observed(observer: &ProcessCollector) -> Vec<(String, Kind, f64)> {
        let families = observer.families();
        let exposed = text::parse(text::encode(&families).as_bytes()).unwrap();
        assert_eq!(exposed.len(), families.len());
        let number = |family: Family| match family.metrics[0].value {
            Value::Number(number) => (family.name, family.kind, number),
            _ => panic!("{} is no number", family.name),
        };
        families.into_iter().map(number).collect()
    }

    #[tokio::test]
    async fn all_of_it() {
        let observer = ProcessCollector::new(SystemTime::now(), Handle::current());
        let observed = observed(&observer);
        let mut names: Vec<&str> = observed.iter().map(|(name, ..)| name.as_str()).collect();
        // There may be no disk file system where the tests run.
        names.retain(|name| !name.starts_with("system_disk_"));
        assert_eq!(
            names,
            [
                "process_start_time_seconds",
                "process_cpu_seconds_total",
                "process_virtual_memory_bytes",
                "process_resident_memory_bytes",
                "process_threads",
                "process_open_fds",
                "process_max_fds",
                "process_virtual_memory_max_bytes",
                "metricsjob_uptime_seconds",
                "metricsjob_build_info",
                "tokio_workers",
                "tokio_alive_tasks",
                "system_cpu_usage_ratio",
                "system_memory_usage_bytes",
                "system_memory_total_bytes",
                "system_tcp_connections",
            ]
        );
        for (name, kind, number) in &observed {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(*number >= 0.0, "{name} {number}");
        }
    }
}
