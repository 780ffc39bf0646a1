//! Number of TCP connections in each state.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use metricsjob_metrics::{Family, Kind, Labels, Value};
use metricsjob_system::panics::locked;

/// The states in the order of their numbers in the kernel (`net/tcp_states.h`), which start at 1, with the
/// names that ss(8) and node_exporter use. The twelfth state is a variant of the third.
const STATES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

/// The sockets in the network namespace of this process, IPv4 and IPv6.
const FILES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Factor between the time that reading took and the time until the next reading. The system needs about a
/// second to list a million sockets, and this limits the cost to one percent of a processor.
const REST: u32 = 100;

type Counts = [u64; STATES.len()];

/// Reads the counts, and remembers the last ones.
pub struct Tcp {
    last: Mutex<Option<TcpSample>>,
}

struct TcpSample {
    counts: Counts,
    /// Earliest time of the next reading.
    due: Instant,
}

impl Tcp {
    pub fn new() -> Self {
        Tcp {
            last: Mutex::new(None),
        }
    }

    pub fn family(&self) -> Option<Family> {
        let counts = self.counts(|| FILES.map(File::open).into_iter().flatten().map(count))?;
        let series = STATES.into_iter().zip(counts).map(|(state, count)| {
            let labels = Labels::from([("state", state)]);
            (labels, Value::Number(count as f64))
        });
        Some(Family::new(
            "system_tcp_connections",
            "Number of TCP sockets in each state.",
            Kind::Gauge,
            series,
        ))
    }

    /// Returns the sum of the counts in `files`, or the last sum if it is recent enough. Returns `None` if
    /// nothing could be read.
    fn counts<F: Iterator<Item = io::Result<Counts>>>(
        &self,
        files: impl FnOnce() -> F,
    ) -> Option<Counts> {
        // Concurrent callers wait here, and then find a recent sample.
        let mut last = locked(&self.last);
        let start = Instant::now();
        if let Some(sample) = last.as_ref().filter(|sample| start < sample.due) {
            return Some(sample.counts);
        }
        let counts = files()
            .flatten()
            .reduce(|a, b| std::array::from_fn(|at| a[at] + b[at]))?;
        let took = start.elapsed();
        let due = Instant::now() + took.saturating_mul(REST).min(Duration::from_secs(600));
        *last = Some(TcpSample { counts, due });
        Some(counts)
    }
}

/// Counts all lines but the first by their fourth column, the number of the state. `procfs` would build an
/// entry with all columns for each line.
fn count(file: impl io::Read) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut lines = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line)?;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(counts);
        }
        let mut columns = line
            .split(u8::is_ascii_whitespace)
            .filter(|column| !column.is_empty());
        let state = columns.nth(3).and_then(|state| str::from_utf8(state).ok());
        let place = match state.and_then(|state| usize::from_str_radix(state, 16).ok()) {
            Some(12) => 2,
            Some(number @ 1..=11) => number - 1,
            _ => continue,
        };
        counts[place] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lines() {
        let file = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n\
            \x20  1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000\n\
            \x20  2: 0100007F:1F90 0100007F:9C41 01 00000000:00000000 00:00000000\n\
            10000: 0100007F:1F90 0100007F:9C42 0C 00000000:00000000 00:00000000\n\
            \x20  4: 0100007F:1F90 0100007F:9C43 FF 00000000\n\
            what?\n";
        let counts = count(file.as_bytes()).unwrap();
        assert_eq!(counts, [2, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn listeners() {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let family = Tcp::new().family().unwrap();
        assert_eq!(family.metrics.len(), STATES.len());
        let listen = Labels::from([("state", "listen")]);
        let listening = family.metrics.iter().find(|metric| metric.labels == listen);
        assert_ne!(listening.unwrap().value, Value::Number(0.0));
    }

    #[test]
    fn what_takes_long_is_done_seldom() {
        let tcp = Tcp::new();
        let slow = |count| {
            move || {
                std::thread::sleep(Duration::from_millis(50));
                [Ok([count; 11]), Ok([1; 11]), Err(io::Error::other("gone"))].into_iter()
            }
        };
        assert_eq!(tcp.counts(slow(1)), Some([2; 11]));
        assert_eq!(tcp.counts(slow(5)), Some([2; 11]));
        tcp.last.lock().unwrap().as_mut().unwrap().due = Instant::now();
        assert_eq!(tcp.counts(slow(5)), Some([6; 11]));
        assert_eq!(Tcp::new().counts(std::iter::empty), None);
    }
}
