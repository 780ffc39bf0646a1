//! Histograms with float counts and with native buckets: to push, and as a gateway shows them.

use prost::Message;
use serde_json::Value as Json;

use super::client_model::{
    Bucket, BucketSpan, Exemplar, Histogram, LabelPair, Metric, MetricFamily, decode,
};
use super::own_gateway::OwnGateway;

pub const PROTOBUF: &str = "application/vnd.google.protobuf; \
    proto=io.prometheus.client.MetricFamily; encoding=delimited";

pub const GROUP: &str = "/metrics/job/j";

/// More than a float holds exactly.
pub const HUGE: u64 = (1 << 53) + 1;

pub fn family(name: &str, histogram: Histogram) -> MetricFamily {
    MetricFamily {
        name: Some(name.into()),
        r#type: Some(4),
        metric: vec![Metric {
            histogram: Some(histogram),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn body(families: &[MetricFamily]) -> Vec<u8> {
    let families = families.iter();
    families
        .flat_map(Message::encode_length_delimited_to_vec)
        .collect()
}

#[track_caller]
pub fn push(gateway: &OwnGateway, method: &str, families: &[MetricFamily]) {
    let headers = [("Content-Type", PROTOBUF)];
    let (status, text) = gateway.request(method, GROUP, &headers, body(families));
    assert_eq!(status, 200, "{text}");
}

pub fn float_bucket(upper_bound: f64, count: f64) -> Bucket {
    Bucket {
        upper_bound: Some(upper_bound),
        cumulative_count_float: Some(count),
        ..Default::default()
    }
}

pub fn span(offset: i32, length: u32) -> BucketSpan {
    BucketSpan {
        offset: Some(offset),
        length: Some(length),
    }
}

/// Whole counts at last, which text does not tell from integers.
pub fn classic_float() -> Histogram {
    Histogram {
        sample_count_float: Some(4.0),
        sample_sum: Some(5.25),
        bucket: vec![
            float_bucket(0.5, 1.5),
            float_bucket(1.0, 2.75),
            float_bucket(f64::INFINITY, 4.0),
        ],
        ..Default::default()
    }
}

pub fn native_integer() -> Histogram {
    Histogram {
        sample_count: Some(19),
        sample_sum: Some(-3.5),
        schema: Some(0),
        zero_threshold: Some(0.125),
        zero_count: Some(7),
        negative_span: vec![span(1, 2)],
        negative_delta: vec![1, 2],
        positive_span: vec![span(-1, 2), span(2, 1)],
        positive_delta: vec![3, -3, 5],
        ..Default::default()
    }
}

pub fn native_float() -> Histogram {
    Histogram {
        sample_count_float: Some(6.5),
        sample_sum: Some(10.0),
        schema: Some(-1),
        zero_threshold: Some(0.125),
        zero_count_float: Some(0.25),
        negative_span: vec![span(0, 1)],
        negative_count: vec![1.25],
        positive_span: vec![span(0, 3)],
        positive_count: vec![2.0, 0.0, 3.0],
        ..Default::default()
    }
}

/// Native and classic buckets, and an exemplar in one of those.
pub fn both() -> Histogram {
    let mut bucket = classic_float().bucket;
    bucket[1].exemplar = Some(Exemplar {
        label: vec![LabelPair {
            name: Some("trace".into()),
            value: Some("x".into()),
        }],
        value: Some(0.75),
        timestamp: None,
    });
    Histogram {
        bucket,
        ..native_float()
    }
}

/// The histogram of a family at `/metrics` in protobuf.
#[track_caller]
pub fn scraped(gateway: &OwnGateway, name: &str) -> Histogram {
    let headers = [("Accept", PROTOBUF)];
    let answer = gateway.exchange("GET", "/metrics", &headers, b"");
    let families = decode(&answer.bytes).unwrap();
    let mut families = families.into_iter();
    let mut family = families
        .find(|it| it.name.as_deref() == Some(name))
        .unwrap();
    family.metric.remove(0).histogram.unwrap()
}

/// The one series of a family at `/api/v1/metrics`.
#[track_caller]
pub fn in_api(gateway: &OwnGateway, name: &str) -> Json {
    let (status, text) = gateway.get("/api/v1/metrics");
    assert_eq!(status, 200, "{text}");
    let api: Json = serde_json::from_str(&text).unwrap();
    let mut series = api["data"][0][name]["metrics"][0].clone();
    series.as_object_mut().unwrap().remove("labels");
    series
}
