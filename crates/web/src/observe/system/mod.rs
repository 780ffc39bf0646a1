//! The machine, or what a container sees of it.

mod cpu;
mod disks;
mod memory;
mod tcp;

use cpu::Cpu;
use metricsjob_metrics::Family;
use tcp::Tcp;

/// What was read before, where that matters.
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
