//! Memory of the machine.

use procfs::{Current, Meminfo};

use metricsjob_metrics::Family;

pub fn families() -> Vec<Family> {
    let Ok(memory) = Meminfo::current() else {
        return Vec::new();
    };
    // Memory used by caches is given back when it is needed. Linux before 3.14 does not report how much.
    let available = memory
        .mem_available
        .unwrap_or(memory.mem_free + memory.buffers + memory.cached);
    vec![
        Family::gauge(
            "system_memory_usage_bytes",
            "Memory that is not available to start further processes.",
            memory.mem_total.saturating_sub(available) as f64,
        ),
        Family::gauge(
            "system_memory_total_bytes",
            "Memory that there is.",
            memory.mem_total as f64,
        ),
    ]
}
