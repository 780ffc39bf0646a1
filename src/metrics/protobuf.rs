//! The protobuf format: each family a `MetricFamily` message with its length before it.
//!
//! The messages are those of `io.prometheus.client` (`metrics.proto` of client_model), as far as a
//! push has something for them.

use prost::Message;

use super::family::{self, Family, Kind, Metric, Value};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
                                proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The families as delimited messages. As in the text format, one without series is left out.
pub fn encode(families: &[Family]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families.iter().filter(|family| !family.metrics.is_empty()) {
        message(family)
            .encode_length_delimited(&mut out)
            .expect("a vector grows");
    }
    out
}

/// Stand-in.
pub fn decode(body: &[u8], _: &crate::metrics::text::Limits) -> Result<Vec<Family>, DecodeError> {
    match body.is_empty() {
        true => Ok(Vec::new()),
        false => Err(DecodeError::Syntax),
    }
}
pub fn has_native(_: &Family) -> bool {
    false
}
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("syntax")]
    Syntax,
    #[error("inconsistent")]
    Inconsistent,
}

// proto2: each field is optional, and what is set is sent even if it is zero.

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<MetricMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
}

/// `Metric` in the schema.
#[derive(Clone, PartialEq, Message)]
struct MetricMessage {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "4")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// `Gauge`, `Counter` and `Untyped` in the schema.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    quantile: Vec<Quantile>,
}

#[derive(Clone, PartialEq, Message)]
struct Quantile {
    #[prost(double, optional, tag = "1")]
    quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

fn message(family: &Family) -> MetricFamily {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Summary => MetricType::Summary,
        Kind::Histogram => MetricType::Histogram,
        Kind::Untyped => MetricType::Untyped,
    };
    let metrics = family.metrics.iter();
    MetricFamily {
        name: Some(family.name.clone()),
        help: (!family.help.is_empty()).then(|| family.help.clone()),
        r#type: Some(kind.into()),
        metric: metrics.map(|metric| series(family.kind, metric)).collect(),
    }
}

fn series(kind: Kind, metric: &Metric) -> MetricMessage {
    let labels = metric.labels.iter().map(|(name, value)| LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    });
    let mut message = MetricMessage {
        label: labels.collect(),
        timestamp_ms: metric.timestamp_ms,
        ..Default::default()
    };
    match &metric.value {
        Value::Number(value) => {
            let number = Some(Number {
                value: Some(*value),
            });
            match kind {
                Kind::Counter => message.counter = number,
                Kind::Gauge => message.gauge = number,
                // The other two kinds have no such value.
                Kind::Untyped | Kind::Summary | Kind::Histogram => message.untyped = number,
            }
        }
        Value::Summary {
            count,
            sum,
            quantiles,
        } => {
            let quantile = |q: &family::Quantile| Quantile {
                quantile: Some(q.quantile),
                value: Some(q.value),
            };
            message.summary = Some(Summary {
                sample_count: Some(*count),
                sample_sum: Some(*sum),
                quantile: quantiles.iter().map(quantile).collect(),
            });
        }
        Value::Histogram {
            count,
            sum,
            buckets,
        } => {
            let bucket = |b: &family::Bucket| Bucket {
                cumulative_count: Some(b.count),
                upper_bound: Some(b.upper_bound),
            };
            message.histogram = Some(Histogram {
                sample_count: Some(*count),
                sample_sum: Some(*sum),
                bucket: buckets.iter().map(bucket).collect(),
            });
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_gauge() {
        let family = Family::gauge("m", "", 1.0);
        let expected = [
            b"\x12".as_slice(),      // the length of all that follows
            b"\x0a\x01m",            // name
            b"\x18\x01",             // type GAUGE
            b"\x22\x0b\x12\x09\x09", // metric, gauge, value
            &1f64.to_le_bytes(),
        ];
        assert_eq!(encode(&[family]), expected.concat());
    }

    #[test]
    fn no_series_no_family() {
        let mut family = Family::gauge("m", "help", 1.0);
        family.metrics.clear();
        assert!(encode(&[family]).is_empty());
    }
}
