//! Metrics of the gateway itself: names, help and labels are those of the Pushgateway, if it has them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use sketches_ddsketch::{Config, DDSketch};

use super::stats::Stats;
use metricsjob_metrics::{Family, Kind, Labels, Quantile, Value};
use metricsjob_state::store::own;

/// Distinguishes this implementation from the Pushgateway.
pub const IMPLEMENTATION: &str = "metricsjob";

/// Build information.
pub const BUILD: [(&str, &str); 4] = [
    ("goarch", std::env::consts::ARCH),
    ("goos", std::env::consts::OS),
    ("implementation", IMPLEMENTATION),
    ("version", env!("CARGO_PKG_VERSION")),
];

const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// Half of the window that quantiles cover: the last ten to twenty minutes.
const WINDOW: Duration = Duration::from_secs(600);

/// Counts requests.
pub struct OwnMetrics {
    counted: Mutex<Counted>,
}

struct Counted {
    /// Number of requests by status, handler and method.
    requests: BTreeMap<(u16, &'static str, String), u64>,
    /// Durations of pushes by method.
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
            value: if merged {
                all.quantile(quantile).ok().flatten().unwrap_or(f64::NAN)
            } else {
                f64::NAN
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

    /// Counts a response.
    pub fn answered(&self, handler: &'static str, method: &str, status: StatusCode) {
        let key = (status.as_u16(), handler, method.to_owned());
        *self.counted().requests.entry(key).or_default() += 1;
    }

    /// Counts the response to a push of `size` bytes.
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

    /// Counts an inconsistent push.
    pub fn rejected(&self) {
        self.counted().rejected += 1;
    }

    /// Returns all current metrics.
    pub fn families(&self, stats: &Stats) -> Vec<Family> {
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
        let requests: Vec<_> = requests.collect();
        let summary = |by_method: &mut BTreeMap<&'static str, Distribution>| {
            let values = by_method.iter_mut();
            values
                .map(|(method, values)| (labels(&[("method", method)]), values.value()))
                .collect::<Vec<_>>()
        };
        let durations = summary(&mut counted.durations);
        let sizes = summary(&mut counted.sizes);
        let rejected = counted.rejected;
        drop(counted);
        let mut families = vec![
            Family::new(
                own::BUILD_INFO,
                "A metric with a constant '1' value labeled by what the gateway was built from.",
                Kind::Gauge,
                [(labels(&BUILD), Value::Number(1.0))],
            ),
            Family::new(
                own::HTTP_REQUESTS,
                "Total HTTP requests processed by the Pushgateway, excluding scrapes.",
                Kind::Counter,
                requests,
            ),
            Family::new(
                own::HTTP_PUSH_DURATION,
                "HTTP request duration for pushes to the Pushgateway.",
                Kind::Summary,
                durations,
            ),
            Family::new(
                own::HTTP_PUSH_SIZE,
                "HTTP request size for pushes to the Pushgateway.",
                Kind::Summary,
                sizes,
            ),
            Family::gauge(own::GROUPS, "Groups.", stats.groups.load(Relaxed) as f64),
            Family::gauge(
                own::SERIES,
                "Series that were pushed.",
                stats.series.load(Relaxed) as f64,
            ),
            Family::gauge(
                own::SERIES_LIMIT,
                "Series that the groups may have by --storage.max-series, with two for each group.",
                stats.max_series.load(Relaxed) as f64,
            ),
            Family::gauge(
                own::STORE_SIZE,
                "Text of all groups in memory.",
                stats.store_bytes.load(Relaxed) as f64,
            ),
            Family::gauge(
                own::DATABASE_SIZE,
                "Size of the state database with its log.",
                stats.database_bytes.load(Relaxed) as f64,
            ),
            Family::counter(
                own::EXPIRED_GROUPS,
                "Groups that were removed because of --group.ttl.",
                stats.expired_groups.load(Relaxed) as f64,
            ),
            Family::counter(
                own::REJECTED_PUSHES,
                "Pushes that were refused because they were inconsistent.",
                rejected as f64,
            ),
            Family::counter(
                own::COMMITS,
                "Transactions that were written.",
                stats.commits.load(Relaxed) as f64,
            ),
            Family::counter(
                own::COMMIT_FAILURES,
                "Transactions that could not be written.",
                stats.commit_failures.load(Relaxed) as f64,
            ),
            Family::counter(
                own::COMMIT_SECONDS,
                "Time spent writing transactions.",
                seconds,
            ),
        ];
        families.retain(|family| !family.metrics.is_empty());
        families
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::runtime::Handle;

    use super::*;
    use metricsjob_web::observe::ProcessCollector;

    #[tokio::test]
    async fn their_names_are_taken() {
        let own_metrics = OwnMetrics::new();
        own_metrics.pushed("put", StatusCode::OK, Duration::from_millis(1), 5);
        let mut families = own_metrics.families(&Stats::default());
        // Of the process metrics, only those that the Pushgateway has too.
        families.extend(ProcessCollector::new(SystemTime::now(), Handle::current()).families());
        families.retain(|family| {
            family.name.contains("gateway_")
                || family.name.starts_with("process_") && family.name != "process_threads"
        });
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
