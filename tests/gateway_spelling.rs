//! One series is one, however it is spelled: labels are compared without the empty ones, `le` and `quantile`
//! as numbers.

use prost::Message;
use rusqlite::Connection;

use crate::common::client_model::{LabelPair, Metric, MetricFamily, Number, Quantile, Summary};
use crate::common::histograms::{PROTOBUF, body, classic_float, family, float_bucket};
use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, stamp_groups};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

#[track_caller]
fn refused(gateway: &OwnGateway, path: &str, kind: &str, body: impl AsRef<[u8]>, reason: &str) {
    let (status, said) = gateway.request("PUT", path, &[("Content-Type", kind)], body);
    assert!(status == 400 && said.contains(reason), "{status} {said}");
}

#[test]
fn in_the_text_formats() {
    let gateway = OwnGateway::alone(&[]);
    let histogram = |second: &str| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"{second}\"}} 1\n\
             h_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"
        )
    };
    let summary = |second: &str| {
        format!(
            "# TYPE s summary\ns{{quantile=\"0.5\"}} 1\ns{{quantile=\"{second}\"}} 1\ns_sum 1\ns_count 1\n"
        )
    };
    for (text, reason) in [
        (histogram("1"), "le=\"1\" twice"),
        (histogram("1.0"), "le=\"1\" twice"),
        (histogram("1e0"), "le=\"1\" twice"),
        (summary("0.50"), "quantile=\"0.5\" twice"),
        (summary("5e-1"), "quantile=\"0.5\" twice"),
        (
            "# TYPE m gauge\nm{a=\"\"} 1\nm 1\n".into(),
            "m and m{a=\"\"} are one",
        ),
        (
            "# TYPE m gauge\nm{b=\"1\"} 1\nm{a=\"\",b=\"1\"} 1\n".into(),
            "are one series",
        ),
    ] {
        refused(&gateway, "/metrics/job/j", "text/plain", &text, reason);
        // The reader of OpenMetrics may say it in its own words.
        refused(
            &gateway,
            "/metrics/job/j",
            OPENMETRICS,
            text + "# EOF\n",
            "",
        );
    }
    for text in [histogram("1.5"), summary("0.55")] {
        gateway.put("/metrics/job/j", text);
    }
}

#[test]
fn in_protobuf() {
    let gateway = OwnGateway::alone(&[]);
    let mut histogram = classic_float();
    histogram.bucket.insert(1, float_bucket(0.5, 1.5));
    let twice = body(&[family("h", histogram)]);
    refused(
        &gateway,
        "/metrics/job/j",
        PROTOBUF,
        twice,
        "le=\"0.5\" twice",
    );
    let quantile = |quantile| Quantile {
        quantile: Some(quantile),
        value: Some(1.0),
    };
    let summary = Summary {
        quantile: vec![quantile(0.0), quantile(-0.0)],
        ..Default::default()
    };
    let mut summaries = family("s", classic_float());
    summaries.r#type = Some(2);
    summaries.metric[0].histogram = None;
    summaries.metric[0].summary = Some(summary);
    let twice = body(&[summaries]);
    refused(
        &gateway,
        "/metrics/job/j",
        PROTOBUF,
        twice,
        "quantile=\"0\" twice",
    );
    let metric = |label: Vec<LabelPair>| Metric {
        label,
        untyped: Some(Number { value: Some(1.0) }),
        ..Default::default()
    };
    let empty = LabelPair {
        name: Some("a".into()),
        value: None,
    };
    let family = MetricFamily {
        name: Some("m".into()),
        r#type: Some(3),
        metric: vec![metric(vec![]), metric(vec![empty])],
        ..Default::default()
    };
    let twice = family.encode_length_delimited_to_vec();
    refused(
        &gateway,
        "/metrics/job/j",
        PROTOBUF,
        twice,
        "are one series",
    );
}

#[test]
fn across_groups() {
    let gateway = OwnGateway::alone(&[]);
    let text = "text/plain";
    gateway.put("/metrics/job/j", "m{x=\"1\",y=\"\"} 1\n");
    let taken = "is already in the group {job=\"j\"}";
    refused(&gateway, "/metrics/job/j/x/1", text, "m 1\n", taken);
    refused(&gateway, "/metrics/job/j/x/1", text, "m{z=\"\"} 1\n", taken);
    gateway.put("/metrics/job/j/x/1", "m{z=\"2\"} 1\n");
    // The push times of these two groups would be one series.
    let beside = "an empty label is the same as none";
    refused(&gateway, "/metrics/job/j/y@base64/=", text, "n 1\n", beside);
    refused(
        &gateway,
        "/metrics/job/j/x/1/y@base64/=",
        text,
        "n 1\n",
        beside,
    );
    gateway.put("/metrics/job/k/y@base64/=", "m 1\n");
    refused(&gateway, "/metrics/job/k", text, "n 1\n", beside);
    gateway.put("/metrics/job/k/y@base64/=", "n{y=\"2\"} 1\n");
    let (status, _) = gateway.request("DELETE", "/metrics/job/k", &[], "");
    assert_eq!(status, 202);
    assert!(
        gateway
            .metrics()
            .contains("n{instance=\"\",job=\"k\",y=\"\"} 1")
    );
}

/// What an older version has taken stays until it is replaced.
#[test]
fn stored_groups_are_loaded() {
    let sandbox = Sandbox::new();
    let mut gateway = OwnGateway::start(sandbox.path(), &[]);
    for group in ["j", "j/a/1", "k"] {
        gateway.put(&format!("/metrics/job/{group}"), "m 1\n");
    }
    assert_eq!(gateway.terminate(), Some(0));
    let database = Connection::open(sandbox.path().join("state.db")).unwrap();
    let change = |key: &str, new_key: &str, text: &str| {
        let change = "UPDATE groups SET grouping_key = ?2, exposition = ?3
                      WHERE grouping_key = ?1";
        assert_eq!(database.execute(change, [key, new_key, text]).unwrap(), 1);
    };
    change(
        "{\"job\":\"j\",\"a\":\"1\"}",
        "{\"job\":\"j\",\"a\":\"\"}",
        "# TYPE m untyped\nm{a=\"\",instance=\"\",job=\"j\"} 2\n",
    );
    change(
        "{\"job\":\"k\"}",
        "{\"job\":\"k\"}",
        "# TYPE h histogram\nh_bucket{instance=\"\",job=\"k\",le=\"1\"} 1\n\
         h_bucket{instance=\"\",job=\"k\",le=\"1.0\"} 1\nh_sum{instance=\"\",job=\"k\"} 1\n\
         h_count{instance=\"\",job=\"k\"} 1\n\
         # TYPE m untyped\nm{instance=\"\",job=\"k\"} 3\nm{b=\"\",instance=\"\",job=\"k\"} 4\n",
    );
    stamp_groups(&database);
    drop(database);
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    let shown = gateway.metrics();
    for line in [
        "m{instance=\"\",job=\"j\"} 1\n",
        "m{a=\"\",instance=\"\",job=\"j\"} 2\n",
        "m{instance=\"\",job=\"k\"} 3\n",
        "m{b=\"\",instance=\"\",job=\"k\"} 4\n",
        "h_bucket{instance=\"\",job=\"k\",le=\"1\"} 1\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // Each is still a group of its own, which can be pushed to and deleted.
    gateway.put("/metrics/job/j/a@base64/=", "m 5\n");
    gateway.put("/metrics/job/k", "m 6\n");
    let (status, _) = gateway.request("DELETE", "/metrics/job/j", &[], "");
    assert_eq!(status, 202);
    let shown = gateway.metrics();
    assert!(!shown.contains("m{instance=\"\",job=\"j\"}"), "{shown}");
    assert!(
        shown.contains("m{a=\"\",instance=\"\",job=\"j\"} 5\n"),
        "{shown}"
    );
    assert!(shown.contains("m{instance=\"\",job=\"k\"} 6\n"), "{shown}");
}
