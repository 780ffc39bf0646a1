//! The machine: CPU, memory, tasks and disks, as Linux tells them.

use std::collections::HashSet;

use nix::sys::statvfs::statvfs;
use procfs::{CpuTime, Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use prometheus::{Gauge, GaugeVec, IntCounter, Opts, Registry};

pub struct Machine {
    cpu: Gauge,
    memory: GaugeVec,
    tasks: Gauge,
    disks: GaugeVec,
    failures: IntCounter,
    /// CPU time when it was last measured: busy, and all of it.
    before: (u64, u64),
    /// Mount points and devices that were there when it was last measured.
    mounted: HashSet<[String; 2]>,
}

impl Machine {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let memory = Opts::new("system_memory_bytes", "Memory of the machine by state.");
        let disks = Opts::new("system_disk_bytes", "Space on disks by state.");
        let machine = Machine {
            cpu: Gauge::new(
                "system_cpu_usage_ratio",
                "Part of the CPU time that was used.",
            )?,
            memory: GaugeVec::new(memory, &["state"])?,
            tasks: Gauge::new("system_tasks", "Threads and processes.")?,
            disks: GaugeVec::new(disks, &["mountpoint", "device", "state"])?,
            failures: IntCounter::new(
                "system_measurement_failures_total",
                "Measurements that the system did not allow.",
            )?,
            before: (0, 0),
            mounted: HashSet::new(),
        };
        registry.register(Box::new(machine.cpu.clone()))?;
        registry.register(Box::new(machine.memory.clone()))?;
        registry.register(Box::new(machine.tasks.clone()))?;
        registry.register(Box::new(machine.disks.clone()))?;
        registry.register(Box::new(machine.failures.clone()))?;
        Ok(machine)
    }

    /// Measures everything; what fails keeps its last value and is counted.
    pub fn measure(&mut self) {
        let results = [
            self.measure_cpu(),
            self.measure_memory(),
            self.count_tasks(),
            self.measure_disks(),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            self.failures.inc();
            eprintln!("cannot measure the machine: {error}");
        }
    }

    fn measure_cpu(&mut self) -> procfs::ProcResult<()> {
        let CpuTime {
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
            ..
        } = KernelStats::current()?.total;
        let busy = [Some(user + nice + system), irq, softirq, steal];
        let busy: u64 = busy.into_iter().flatten().sum();
        let all = busy + idle + iowait.unwrap_or_default();
        let (busy_before, all_before) = self.before;
        // The first ratio is since the machine was booted.
        let passed = all.saturating_sub(all_before);
        if passed > 0 {
            let used = busy.saturating_sub(busy_before) as f64 / passed as f64;
            self.cpu.set(used.min(1.0));
            self.before = (busy, all);
        }
        Ok(())
    }

    fn measure_memory(&self) -> procfs::ProcResult<()> {
        let memory = Meminfo::current()?;
        let available = memory.mem_available.unwrap_or(memory.mem_free);
        let used = memory.mem_total.saturating_sub(available);
        for (state, bytes) in [
            ("total", memory.mem_total),
            ("available", available),
            ("used", used),
        ] {
            self.memory.with_label_values(&[state]).set(bytes as f64);
        }
        Ok(())
    }

    fn count_tasks(&self) -> procfs::ProcResult<()> {
        self.tasks.set(f64::from(LoadAverage::current()?.max));
        Ok(())
    }

    fn measure_disks(&mut self) -> procfs::ProcResult<()> {
        let mut mounted = HashSet::new();
        for mount in procfs::mounts()? {
            // All else, such as /proc, has no device. What this user may not see is left out.
            let is_disk = mount.fs_spec.starts_with('/') || mount.fs_file == "/";
            let Some(space) = is_disk
                .then(|| statvfs(mount.fs_file.as_str()).ok())
                .flatten()
            else {
                continue;
            };
            let unit = space.fragment_size();
            let labels = [mount.fs_file, mount.fs_spec];
            for (state, blocks) in [
                ("total", space.blocks()),
                ("free", space.blocks_available()),
            ] {
                let bytes = blocks as f64 * unit as f64;
                let [mountpoint, device] = &labels;
                let gauge = self.disks.with_label_values(&[mountpoint, device, state]);
                gauge.set(bytes);
            }
            mounted.insert(labels);
        }
        // A disk that was unmounted must not stay as it was.
        for [mountpoint, device] in self.mounted.difference(&mounted) {
            for state in ["total", "free"] {
                // It is there: it was set when the disk was last measured.
                let _ = self
                    .disks
                    .remove_label_values(&[mountpoint, device, &state.to_owned()]);
            }
        }
        self.mounted = mounted;
        Ok(())
    }
}
