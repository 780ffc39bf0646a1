//! Families of a [`prometheus::Registry`].

mod children;

pub use children::Children;
use prometheus::core::Collector;
use prometheus::proto::{self, MetricType};

use super::family::{Bucket, Family, Kind, Metric, Quantile, Value};

/// Registers an instrument, and returns it. Its description and name are constants of the program.
///
/// # Panics
///
/// If the description is invalid, or another instrument has the name.
pub fn register<I: Collector + Clone + 'static>(
    registry: &prometheus::Registry,
    instrument: prometheus::Result<I>,
) -> I {
    instrument
        .and_then(|instrument| {
            registry.register(Box::new(instrument.clone()))?;
            Ok(instrument)
        })
        .unwrap_or_else(|error| panic!("an instrument cannot be registered: {error}"))
}

/// Gathers all families of `registry`, sorted by name.
pub fn gather(registry: &prometheus::Registry) -> Vec<Family> {
    registry.gather().iter().map(family).collect()
}

fn family(source: &proto::MetricFamily) -> Family {
    let kind = match source.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::UNTYPED => Kind::Untyped,
    };
    Family {
        name: source.name().to_owned(),
        help: source.help().to_owned(),
        kind,
        metrics: source
            .get_metric()
            .iter()
            .map(|metric| Metric {
                labels: metric
                    .get_label()
                    .iter()
                    .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                    .collect(),
                value: value(kind, metric),
                timestamp_ms: None,
            })
            .collect(),
    }
}

fn value(kind: Kind, metric: &proto::Metric) -> Value {
    match kind {
        Kind::Counter => Value::Number(metric.get_counter().get_value()),
        Kind::Gauge => Value::Number(metric.get_gauge().get_value()),
        // The crate has no untyped metrics.
        Kind::Untyped => Value::Number(0.0),
        Kind::Summary => {
            let summary = metric.get_summary();
            Value::Summary {
                count: summary.sample_count(),
                sum: summary.sample_sum(),
                quantiles: summary
                    .get_quantile()
                    .iter()
                    .map(|q| Quantile {
                        quantile: q.quantile(),
                        value: q.value(),
                    })
                    .collect(),
            }
        }
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            Value::Histogram {
                count: histogram.get_sample_count().into(),
                sum: histogram.get_sample_sum(),
                buckets: histogram
                    .get_bucket()
                    .iter()
                    .map(|bucket| Bucket {
                        upper_bound: bucket.upper_bound(),
                        count: bucket.cumulative_count().into(),
                    })
                    .collect(),
                native: None,
            }
        }
    }
}

/// Lets `get_value` be called however the crate was built: with its feature `protobuf`, which any other crate of the
/// program can turn on, its numbers have the inherent method `value` in place of `get_value`. An inherent method takes
/// precedence over one of a trait, so one of the two below always ends in the other.
#[allow(
    dead_code,
    reason = "which of the two is called depends on that feature"
)]
trait Number {
    fn get_value(&self) -> f64;
    fn value(&self) -> f64;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn get_value(&self) -> f64 {
                self.value()
            }

            fn value(&self) -> f64 {
                self.get_value()
            }
        }
    )*};
}

number!(proto::Counter, proto::Gauge);
