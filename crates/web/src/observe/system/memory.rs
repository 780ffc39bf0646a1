//! How much memory the machine has.

use procfs::{Current, Meminfo};

use metricsjob_metrics::Family;

pub fn families() -> Vec<Family> {
    let Ok(memory) = Meminfo::current() else {
        return Vec::new();
    };
    // What caches hold is given back when it is needed. Before Linux 3.14 it was not told how much.
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
