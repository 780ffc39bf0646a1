//! Metrics of the machine, or of as much of it as a container sees.

mod cpu;
mod disks;
mod memory;
mod tcp;

use cpu::Cpu;
use metricsjob_metrics::Family;
use tcp::Tcp;

/// Collects the metrics of the machine. Holds earlier readings where they matter.
pub struct System {
    cpu: Cpu,
    tcp: Tcp,
}

impl System {
    pub fn new() -> Self {
        System {
            cpu: Cpu::new(),
            tcp: Tcp::new(),
        }
    }

    pub fn families(&self) -> impl Iterator<Item = Family> {
        let cpu = self.cpu.family().into_iter();
        cpu.chain(memory::families())
            .chain(disks::families())
            .chain(self.tcp.family())
    }
}
