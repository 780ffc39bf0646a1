//! Encoding of families as protobuf messages.
//!
//! Fields that are set are sent even if zero, because proto2 tells unset from zero.

use super::message::histogram::MessageSide;
use super::message::{
    bucket, exemplar, family, histogram, label, metric, number, quantile, span, summary, timestamp,
};
use super::wire::{put_delimited, put_double, put_message, put_str, put_uint, put_zigzag};
use crate::count::Count;
use crate::family::{Family, Kind, Metric, Value};
use crate::labels::Labels;
use crate::native::{Exemplar, NativeBuckets, NativeHistogram, Timestamp};

/// Encodes families as delimited messages. A family without series is left out, as in the text format.
pub fn encode(families: &[Family]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        put_family(&mut out, family);
    }
    out
}

/// Encodes one family as a delimited message; empty if it has no series.
pub fn encode_family(family: &Family) -> Vec<u8> {
    encode(std::slice::from_ref(family))
}

fn put_family(out: &mut Vec<u8>, source: &Family) {
    if source.metrics.is_empty() {
        return;
    }
    put_delimited(out, |out| {
        put_str(out, family::NAME, &source.name);
        if !source.help.is_empty() {
            put_str(out, family::HELP, &source.help);
        }
        put_uint(out, family::TYPE, type_number(source.kind));
        for metric in &source.metrics {
            put_message(out, family::METRIC, |out| {
                put_metric(out, source.kind, metric);
            });
        }
    });
}

/// Returns the family's `MetricType` in `metrics.proto`.
fn type_number(kind: Kind) -> u64 {
    match kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Summary => 2,
        Kind::Untyped => 3,
        Kind::Histogram => 4,
    }
}

fn put_metric(out: &mut Vec<u8>, kind: Kind, source: &Metric) {
    put_labels(out, metric::LABEL, &source.labels);
    match &source.value {
        Value::Number(value) => {
            let field = match kind {
                Kind::Counter => metric::COUNTER,
                Kind::Gauge => metric::GAUGE,
                // Summaries and histograms have no plain value.
                Kind::Untyped | Kind::Summary | Kind::Histogram => metric::UNTYPED,
            };
            put_message(out, field, |out| put_double(out, number::VALUE, *value));
        }
        Value::Summary {
            count,
            sum,
            quantiles,
        } => put_message(out, metric::SUMMARY, |out| {
            put_uint(out, summary::COUNT, *count);
            put_double(out, summary::SUM, *sum);
            for source in quantiles {
                put_message(out, summary::QUANTILE, |out| {
                    put_double(out, quantile::QUANTILE, source.quantile);
                    put_double(out, quantile::VALUE, source.value);
                });
            }
        }),
        Value::Histogram {
            count,
            sum,
            buckets,
            native,
        } => put_message(out, metric::HISTOGRAM, |out| {
            let (integer, float) = count.fields();
            put_optional_uint(out, histogram::COUNT, integer);
            put_double(out, histogram::SUM, *sum);
            let exemplars = native.iter().flat_map(|native| &native.bucket_exemplars);
            let mut exemplars = exemplars.peekable();
            for (index, source) in buckets.iter().enumerate() {
                put_message(out, histogram::BUCKET, |out| {
                    let (integer, float) = source.count.fields();
                    put_optional_uint(out, bucket::COUNT, integer);
                    put_double(out, bucket::UPPER_BOUND, source.upper_bound);
                    if let Some(found) = exemplars.next_if(|exemplar| exemplar.index == index) {
                        put_message(out, bucket::EXEMPLAR, |out| {
                            put_exemplar(out, &found.exemplar);
                        });
                    }
                    put_optional_double(out, bucket::COUNT_FLOAT, float);
                });
            }
            put_optional_double(out, histogram::COUNT_FLOAT, float);
            if let Some(native) = native {
                put_native(out, native);
            }
        }),
    }
    if let Some(time) = source.timestamp_ms {
        put_uint(out, metric::TIMESTAMP_MS, time as u64);
    }
}

fn put_native(out: &mut Vec<u8>, native: &NativeHistogram) {
    if let Some(schema) = native.schema {
        put_zigzag(out, histogram::SCHEMA, schema.into());
    }
    put_optional_double(out, histogram::ZERO_THRESHOLD, native.zero_threshold);
    let (integer, float) = native.zero_count.map_or((None, None), Count::fields);
    put_optional_uint(out, histogram::ZERO_COUNT, integer);
    put_optional_double(out, histogram::ZERO_COUNT_FLOAT, float);
    put_buckets(out, histogram::NEGATIVE, &native.negative);
    put_buckets(out, histogram::POSITIVE, &native.positive);
    put_optional(out, histogram::CREATED, &native.created, put_timestamp);
    for exemplar in &native.exemplars {
        put_message(out, histogram::EXEMPLAR, |out| put_exemplar(out, exemplar));
    }
}

fn put_buckets(out: &mut Vec<u8>, fields: MessageSide, buckets: &NativeBuckets) {
    for source in &buckets.spans {
        put_message(out, fields.span, |out| {
            put_zigzag(out, span::OFFSET, source.offset.into());
            put_uint(out, span::LENGTH, source.length.into());
        });
    }
    for &delta in &buckets.deltas {
        put_zigzag(out, fields.delta, delta);
    }
    for &count in &buckets.counts {
        put_double(out, fields.count, count);
    }
}

fn put_exemplar(out: &mut Vec<u8>, source: &Exemplar) {
    put_labels(out, exemplar::LABEL, &source.labels);
    put_double(out, exemplar::VALUE, source.value);
    put_optional(out, exemplar::TIMESTAMP, &source.timestamp, put_timestamp);
}

fn put_timestamp(out: &mut Vec<u8>, source: &Timestamp) {
    put_uint(out, timestamp::SECONDS, source.seconds as u64);
    put_uint(out, timestamp::NANOS, source.nanos as u64);
}

fn put_labels(out: &mut Vec<u8>, field: u32, labels: &Labels) {
    for (name, value) in labels {
        put_message(out, field, |out| {
            put_str(out, label::NAME, name);
            put_str(out, label::VALUE, value);
        });
    }
}

fn put_optional<T>(
    out: &mut Vec<u8>,
    field: u32,
    source: &Option<T>,
    put_fields: impl FnOnce(&mut Vec<u8>, &T),
) {
    if let Some(source) = source {
        put_message(out, field, |out| put_fields(out, source));
    }
}

fn put_optional_uint(out: &mut Vec<u8>, field: u32, number: Option<u64>) {
    if let Some(number) = number {
        put_uint(out, field, number);
    }
}

fn put_optional_double(out: &mut Vec<u8>, field: u32, number: Option<f64>) {
    if let Some(number) = number {
        put_double(out, field, number);
    }
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
