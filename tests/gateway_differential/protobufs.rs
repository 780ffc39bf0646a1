//! Bodies of protobuf, accepted or not.

use prost::Message;

use crate::common::client_model::{
    Bucket, BucketSpan, Histogram, LabelPair, Metric, MetricFamily, Number, Quantile, Summary,
};

use super::pair::beside;
use super::request::{Request, post, put};

const ALL: &str = "# HELP m help\n# TYPE m gauge\nm{a=\"1\"} 1\nm{a=\"2\"} NaN\n\
    # TYPE c counter\nc 1\nu 5\n\
    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n\
    # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\nh_count 2\n";

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const SUMMARY: i32 = 2;
const UNTYPED: i32 = 3;
const HISTOGRAM: i32 = 4;

fn push(families: impl IntoIterator<Item = MetricFamily>) -> Request {
    let families = families.into_iter();
    let bytes: Vec<u8> = families
        .flat_map(|it| it.encode_length_delimited_to_vec())
        .collect();
    put("job/a", bytes).said_protobuf()
}

fn family(name: &str, kind: i32, metrics: impl Into<Vec<Metric>>) -> MetricFamily {
    MetricFamily {
        name: Some(name.into()),
        help: None,
        r#type: Some(kind),
        metric: metrics.into(),
    }
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> Vec<LabelPair> {
    let label = |(name, value): (&str, &str)| LabelPair {
        name: Some(name.into()),
        value: Some(value.into()),
    };
    labels.map(label).into()
}

fn gauge(label: Vec<LabelPair>) -> Metric {
    let gauge = Some(Number { value: Some(1.0) });
    Metric {
        label,
        gauge,
        ..Default::default()
    }
}

fn histogram(bounds: &[f64]) -> Metric {
    let bucket = bounds.iter().map(|bound| Bucket {
        cumulative_count: Some(1),
        upper_bound: Some(*bound),
        ..Default::default()
    });
    let histogram = Histogram {
        sample_count: Some(3),
        sample_sum: Some(4.0),
        bucket: bucket.collect(),
        ..Default::default()
    };
    Metric {
        histogram: Some(histogram),
        ..Default::default()
    }
}

fn summary(quantiles: &[f64]) -> Metric {
    let quantile = quantiles.iter().map(|quantile| Quantile {
        quantile: Some(*quantile),
        value: Some(1.0),
    });
    let summary = Summary {
        sample_count: Some(3),
        sample_sum: Some(4.0),
        quantile: quantile.collect(),
    };
    Metric {
        summary: Some(summary),
        ..Default::default()
    }
}

#[test]
fn all_types() {
    beside(&[], |pair| {
        let all = put("job/a", ALL).protobuf();
        pair.sequences([
            vec![all.clone()],
            vec![all.clone().gzip()],
            vec![put("job/a", "old 1\n"), post("job/a", ALL).protobuf()],
            vec![all, put("job/a", "").protobuf()],
        ]);
    });
}

#[test]
fn whatever_is_cut_off() {
    beside(&[], |pair| {
        let all = put("job/a", ALL).protobuf();
        // Where the length of a message stands, but nothing of the message: see the differences.
        let mut behind_lengths = Vec::new();
        let mut start = 0;
        while let Some(&length) = all.body.get(start) {
            assert!(length < 128);
            behind_lengths.push(start + 1);
            start += 1 + usize::from(length);
        }
        let lengths = (0..all.body.len()).filter(|length| !behind_lengths.contains(length));
        pair.sequences(lengths.map(|length| [all.clone().cut(length)]));
    });
}

#[test]
fn the_last_of_a_name_wins() {
    beside(&[], |pair| {
        let first = family("m", GAUGE, [gauge(labels([("a", "1")]))]);
        let second = family("m", GAUGE, [gauge(labels([("a", "2")]))]);
        let mut untyped = first.clone();
        untyped.r#type = Some(UNTYPED);
        untyped.metric[0].untyped = untyped.metric[0].gauge.take();
        pair.sequences([
            [push([first.clone(), second.clone()])],
            [push([first.clone(), first.clone()])],
            [push([first, untyped])],
        ]);
    });
}

#[test]
fn names_and_values_of_labels() {
    beside(&[], |pair| {
        let without_name = LabelPair {
            name: None,
            value: Some("1".into()),
        };
        let without_value = LabelPair {
            name: Some("a".into()),
            value: None,
        };
        for labels in [
            vec![],
            labels([("a", "")]),
            labels([("b", "1"), ("a", "2")]),
            labels([("a", "1"), ("a", "2")]),
            labels([("a", "1"), ("a", "1")]),
            labels([("__a", "1")]),
            labels([("job", "1")]),
            labels([("job", "1"), ("job", "2")]),
            labels([("instance", "1")]),
            labels([("instance", "")]),
            labels([("quantile", "1")]),
            labels([("le", "1")]),
            labels([("a", "\n\"\\")]),
            vec![without_name],
            vec![without_value],
        ] {
            pair.sequences([
                [push([family("m", GAUGE, [gauge(labels.clone())])])],
                [push([family(
                    "m",
                    GAUGE,
                    [gauge(labels.clone()), gauge(labels)],
                )])],
            ]);
        }
    });
}

#[test]
fn types_that_are_missing_or_not_those_of_the_values() {
    beside(&[], |pair| {
        for kind in [COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM] {
            let metrics = [
                gauge(vec![]),
                Metric::default(),
                histogram(&[1.0]),
                summary(&[0.5]),
            ];
            pair.sequences(metrics.map(|metric| [push([family("m", kind, [metric])])]));
        }
        let mut without = family("m", GAUGE, [gauge(vec![])]);
        without.r#type = None;
        pair.sequences([[push([without])]]);
    });
}

#[test]
fn quantiles_and_buckets() {
    beside(&[], |pair| {
        let inf = f64::INFINITY;
        for numbers in [&[][..], &[1.0, inf], &[2.0, 1.0], &[-inf]] {
            pair.sequences([
                [push([family("h", HISTOGRAM, [histogram(numbers)])])],
                [push([family("s", SUMMARY, [summary(numbers)])])],
            ]);
        }
        let mut empty = histogram(&[]);
        empty.histogram = Some(Histogram::default());
        pair.sequences([[push([family("h", HISTOGRAM, [empty])])]]);
    });
}

#[test]
fn native_histograms() {
    beside(&[], |pair| {
        let span = BucketSpan {
            offset: Some(0),
            length: Some(2),
        };
        let native = Histogram {
            sample_count: Some(3),
            sample_sum: Some(4.0),
            schema: Some(0),
            zero_threshold: Some(0.001),
            zero_count: Some(0),
            positive_span: vec![span],
            positive_delta: vec![1, 1],
            ..Default::default()
        };
        let mut both = native.clone();
        both.bucket = histogram(&[1.0]).histogram.unwrap().bucket;
        let metric = |histogram| Metric {
            histogram: Some(histogram),
            ..Default::default()
        };
        for histogram in [native, both] {
            pair.send(&push([family("h", HISTOGRAM, [metric(histogram)])]));
            // The API is a known difference.
            let [real, ours] = pair.shown();
            assert_eq!(real.data(), ours.data());
            pair.wipe();
        }
    });
}

#[test]
fn timestamps_helps_and_names() {
    beside(&[], |pair| {
        let mut timed = gauge(vec![]);
        timed.timestamp_ms = Some(0);
        let mut helpful = family("m", GAUGE, [gauge(vec![])]);
        helpful.help = Some("a\nb\\c\"d ".into());
        pair.sequences([
            vec![push([family("m", GAUGE, [timed])])],
            vec![push([helpful])],
            vec![push([family("push_time_seconds", GAUGE, [gauge(vec![])])])],
            vec![push([family("x:y", GAUGE, [gauge(vec![])])])],
        ]);
    });
}

#[test]
fn bytes_that_are_not_utf8() {
    beside(&[], |pair| {
        let whole = push([family("m", GAUGE, [gauge(labels([("lab", "val")]))])]);
        for text in ["lab", "val"] {
            let mut broken = whole.clone();
            let at = broken
                .body
                .windows(3)
                .position(|it| it == text.as_bytes())
                .unwrap();
            broken.body[at..at + 3].fill(0xff);
            pair.sequences([[broken]]);
        }
    });
}
