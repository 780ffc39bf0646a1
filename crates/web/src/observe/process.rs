//! Metrics of this process, with the names of Prometheus' client libraries.

use std::fs;
use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit};
use procfs::FromRead;
use procfs::process::Stat;

use metricsjob_metrics::{Family, unix_seconds};

pub fn families(start_time: SystemTime) -> Vec<Family> {
    let mut families = vec![Family::gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        unix_seconds(start_time),
    )];
    if let Ok(stat) = Stat::from_file("/proc/self/stat") {
        let ticks = (stat.utime + stat.stime) as f64;
        families.extend([
            Family::counter(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
                ticks / procfs::ticks_per_second() as f64,
            ),
            Family::gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                stat.vsize as f64,
            ),
            Family::gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                (stat.rss * procfs::page_size()) as f64,
            ),
            Family::gauge(
                "process_threads",
                "Number of threads in the process.",
                stat.num_threads as f64,
            ),
        ]);
    }
    if let Some(open) = open_files() {
        families.push(Family::gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            open as f64,
        ));
    }
    for (resource, name, help) in [
        (
            Resource::RLIMIT_NOFILE,
            "process_max_fds",
            "Maximum number of open file descriptors.",
        ),
        (
            Resource::RLIMIT_AS,
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.",
        ),
    ] {
        if let Ok((soft, _)) = getrlimit(resource) {
            families.push(Family::gauge(name, help, soft as f64));
        }
    }
    families
}

/// Returns the number of open files. `procfs` would count as for another process, including the directory
/// that it has open itself meanwhile.
fn open_files() -> Option<u64> {
    const DIR: &str = "/proc/self/fd";
    // Since Linux 6.2, the size of the directory is the number of its files. Listing it would take long, as
    // it has one for each connection.
    match fs::metadata(DIR).ok()?.len() {
        // One of them is this directory.
        0 => Some((fs::read_dir(DIR).ok()?.count() as u64).saturating_sub(1)),
        size => Some(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::Value;

    fn value(families: &[Family], name: &str) -> f64 {
        let family = families.iter().find(|family| family.name == name).unwrap();
        match family.metrics[0].value {
            Value::Number(number) => number,
            _ => panic!("{name} is no number"),
        }
    }

    #[test]
    fn plausible() {
        let families = families(SystemTime::now());
        let value = |name| value(&families, name);
        assert!(value("process_start_time_seconds") > 1.7e9);
        let resident = value("process_resident_memory_bytes");
        assert!(resident > 1e6, "{resident}");
        assert!(resident < value("process_virtual_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        let open = value("process_open_fds");
        assert!((3.0..value("process_max_fds")).contains(&open), "{open}");
    }
}
