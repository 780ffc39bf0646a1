//! What the gateway says of itself: names, help and labels are the Pushgateway's, where that has them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use sketches_ddsketch::{Config, DDSketch};

use super::stats::Stats;
use crate::metrics::{Family, Kind, Labels, Metric, Quantile, Value, unix_seconds};
use crate::store::own;

/// What this was built from.
pub const BUILD: [(&str, &str); 4] = [
    ("goarch", std::env::consts::ARCH),
    ("goos", std::env::consts::OS),
    ("implementation", "metricsjob"),
    ("version", env!("CARGO_PKG_VERSION")),
];

const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// The quantiles are those of the last ten to twenty minutes.
const WINDOW: Duration = Duration::from_secs(600);

/// Counts requests.
pub struct OwnMetrics {
    counted: Mutex<Counted>,
}

struct Counted {
    /// By status, handler and method.
    requests: BTreeMap<(u16, &'static str, String), u64>,
    /// By method.
    durations: BTreeMap<&'static str, Distribution>,
    sizes: BTreeMap<&'static str, Distribution>,
    rejected: u64,
}

struct Distribution {
    count: u64,
    sum: f64,
    recent: DDSketch,
    before: DDSketch,
    since: Instant,
}

impl Distribution {
    fn new() -> Self {
        Distribution {
            count: 0,
            sum: 0.0,
            recent: DDSketch::new(Config::defaults()),
            before: DDSketch::new(Config::defaults()),
            since: Instant::now(),
        }
    }

    fn add(&mut self, value: f64) {
        self.turn();
        self.count += 1;
        self.sum += value;
        self.recent.add(value);
    }

    fn turn(&mut self) {
        if self.since.elapsed() > WINDOW {
            let fresh = DDSketch::new(Config::defaults());
            self.before = std::mem::replace(&mut self.recent, fresh);
            self.since = Instant::now();
        }
    }

    fn value(&mut self) -> Value {
        self.turn();
        let mut all = self.before.clone();
        let merged = all.merge(&self.recent).is_ok();
        let quantile = |quantile| Quantile {
            quantile,
            value: match merged {
                true => all.quantile(quantile).ok().flatten().unwrap_or(f64::NAN),
                false => f64::NAN,
            },
        };
        Value::Summary {
            count: self.count,
            sum: self.sum,
            quantiles: QUANTILES.map(quantile).into(),
        }
    }
}

impl OwnMetrics {
    pub fn new() -> Self {
        OwnMetrics {
            counted: Mutex::new(Counted {
                requests: BTreeMap::new(),
                durations: BTreeMap::new(),
                sizes: BTreeMap::new(),
                rejected: 0,
            }),
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer.
    pub fn answered(&self, handler: &'static str, method: &str, status: StatusCode) {
        let key = (status.as_u16(), handler, method.to_owned());
        *self.counted().requests.entry(key).or_default() += 1;
    }

    /// Counts the answer of a push of `size` bytes.
    pub fn pushed(&self, method: &'static str, status: StatusCode, took: Duration, size: usize) {
        let key = (status.as_u16(), "push", method.to_owned());
        let mut counted = self.counted();
        *counted.requests.entry(key).or_default() += 1;
        let durations = counted.durations.entry(method);
        durations
            .or_insert_with(Distribution::new)
            .add(took.as_secs_f64());
        let sizes = counted.sizes.entry(method);
        sizes.or_insert_with(Distribution::new).add(size as f64);
    }

    /// Counts a push that was inconsistent.
    pub fn rejected(&self) {
        self.counted().rejected += 1;
    }

    /// All of them, now.
    pub fn families(&self, stats: &Stats, start_time: SystemTime) -> Vec<Family> {
        let mut counted = self.counted();
        let seconds = Duration::from_nanos(stats.commit_nanoseconds.load(Relaxed)).as_secs_f64();
        let requests = counted
            .requests
            .iter()
            .map(|((code, handler, method), count)| {
                let labels = labels(&[
                    ("code", &code.to_string()),
                    ("handler", handler),
                    ("method", method),
                ]);
                (labels, Value::Number(*count as f64))
            });
        let requests = requests.collect();
        let summary = |by_method: &mut BTreeMap<&'static str, Distribution>| {
            let values = by_method.iter_mut();
            values
                .map(|(method, values)| (labels(&[("method", method)]), values.value()))
                .collect()
        };
        let durations = summary(&mut counted.durations);
        let sizes = summary(&mut counted.sizes);
        let rejected = counted.rejected;
        drop(counted);
        let mut families = vec![
            family(
                own::BUILD_INFO,
                Kind::Gauge,
                "A metric with a constant '1' value labeled by what the gateway was built from.",
                vec![(labels(&BUILD), Value::Number(1.0))],
            ),
            family(
                own::HTTP_REQUESTS,
                Kind::Counter,
                "Total HTTP requests processed by the Pushgateway, excluding scrapes.",
                requests,
            ),
            family(
                own::HTTP_PUSH_DURATION,
                Kind::Summary,
                "HTTP request duration for pushes to the Pushgateway.",
                durations,
            ),
            family(
                own::HTTP_PUSH_SIZE,
                Kind::Summary,
                "HTTP request size for pushes to the Pushgateway.",
                sizes,
            ),
            number(
                own::GROUPS,
                Kind::Gauge,
                "Groups.",
                stats.groups.load(Relaxed) as f64,
            ),
            number(
                own::SERIES,
                Kind::Gauge,
                "Series that were pushed.",
                stats.series.load(Relaxed) as f64,
            ),
            number(
                own::STORE_SIZE,
                Kind::Gauge,
                "Text of all groups in memory.",
                stats.store_bytes.load(Relaxed) as f64,
            ),
            number(
                own::DATABASE_SIZE,
                Kind::Gauge,
                "Size of the state database with its log.",
                stats.database_bytes.load(Relaxed) as f64,
            ),
            number(
                own::EXPIRED_GROUPS,
                Kind::Counter,
                "Groups that were removed because of --group.ttl.",
                stats.expired_groups.load(Relaxed) as f64,
            ),
            number(
                own::REJECTED_PUSHES,
                Kind::Counter,
                "Pushes that were refused because they were inconsistent.",
                rejected as f64,
            ),
            number(
                own::COMMITS,
                Kind::Counter,
                "Transactions that were written.",
                stats.commits.load(Relaxed) as f64,
            ),
            number(
                own::COMMIT_FAILURES,
                Kind::Counter,
                "Transactions that could not be written.",
                stats.commit_failures.load(Relaxed) as f64,
            ),
            number(
                own::COMMIT_SECONDS,
                Kind::Counter,
                "Time spent writing transactions.",
                seconds,
            ),
        ];
        families.extend(process(start_time));
        families.retain(|family| !family.metrics.is_empty());
        families
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn family(name: &str, kind: Kind, help: &str, values: Vec<(Labels, Value)>) -> Family {
    let metrics = values.into_iter().map(|(labels, value)| Metric {
        labels,
        value,
        timestamp_ms: None,
    });
    Family {
        name: name.into(),
        help: help.into(),
        kind,
        metrics: metrics.collect(),
    }
}

fn number(name: &str, kind: Kind, help: &str, value: f64) -> Family {
    family(
        name,
        kind,
        help,
        vec![(Labels::default(), Value::Number(value))],
    )
}

/// What the system says of this process, as Prometheus' client libraries name it (proc(5)).
fn process(start_time: SystemTime) -> Vec<Family> {
    let mut families = vec![number(
        own::START_TIME,
        Kind::Gauge,
        "Start time of the process since unix epoch in seconds.",
        unix_seconds(start_time),
    )];
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before it may hold anything.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, fields)| {
            fields
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0.0))
                .collect()
        })
        .unwrap_or_default();
    if let [user, system, .., virtual_bytes, resident_pages] =
        *fields.get(11..22).unwrap_or_default()
    {
        // SAFETY: both only read constants of the system.
        let (ticks, page) = unsafe {
            (
                libc::sysconf(libc::_SC_CLK_TCK),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        families.extend([
            number(
                own::CPU_SECONDS,
                Kind::Counter,
                "Total user and system CPU time spent in seconds.",
                (user + system) / ticks as f64,
            ),
            number(
                own::VIRTUAL_MEMORY,
                Kind::Gauge,
                "Virtual memory size in bytes.",
                virtual_bytes,
            ),
            number(
                own::RESIDENT_MEMORY,
                Kind::Gauge,
                "Resident memory size in bytes.",
                resident_pages * page as f64,
            ),
        ]);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is this directory.
        let open = open.count().saturating_sub(1) as f64;
        families.push(number(
            own::OPEN_FDS,
            Kind::Gauge,
            "Number of open file descriptors.",
            open,
        ));
    }
    for (resource, name, help) in [
        (
            Resource::RLIMIT_NOFILE,
            own::MAX_FDS,
            "Maximum number of open file descriptors.",
        ),
        (
            Resource::RLIMIT_AS,
            own::VIRTUAL_MEMORY_MAX,
            "Maximum amount of virtual memory available in bytes.",
        ),
    ] {
        if let Ok((soft, _)) = getrlimit(resource) {
            families.push(number(name, Kind::Gauge, help, soft as f64));
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_names_are_taken() {
        let own_metrics = OwnMetrics::new();
        own_metrics.pushed("put", StatusCode::OK, Duration::from_millis(1), 5);
        let families = own_metrics.families(&Stats::default(), SystemTime::now());
        let mut found: Vec<_> = families
            .iter()
            .map(|family| (family.name.as_str(), family.kind))
            .collect();
        let mut taken = own::FAMILIES[2..].to_vec();
        found.sort_by_key(|(name, _)| *name);
        taken.sort_by_key(|(name, _)| *name);
        assert_eq!(found, taken);
    }
}
