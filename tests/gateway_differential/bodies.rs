//! Compressed bodies, and what the type of a body says.

use super::pair::beside;
use super::request::{Request, delete, put};

const GOOD: &str = "# HELP m help\n# TYPE m gauge\nm{a=\"1\"} 1\n";

#[test]
fn gzip() {
    beside(&[], |pair| {
        let good = put("job/a", GOOD).gzip();
        let mut twice = good.clone();
        twice.body.extend_from_slice(&good.body);
        let said = |body: &str| put("job/a", body).header("Content-Encoding", "gzip");
        pair.sequences([
            [good.clone()],
            [twice],
            [put("job/a", "m 1 1\n").gzip()],
            [put("job/a", "m").gzip()],
            [put("job/a", "").gzip()],
            [said("")],
            [said(GOOD)],
            [good.clone().cut(1)],
            [good.clone().cut(good.body.len() / 2)],
        ]);
    });
}

#[test]
fn no_encoding() {
    beside(&[], |pair| {
        for encoding in ["identity", ""] {
            let with = |mut push: Request| {
                push.headers = vec![("Content-Encoding", encoding)];
                push
            };
            pair.sequences([
                [with(put("job/a", GOOD))],
                [with(put("job/a", GOOD).gzip())],
            ]);
        }
    });
}

#[test]
fn types_of_text() {
    for body in [GOOD, "m 1 1\n", "m{"] {
        beside(&[], |pair| {
            pair.sequences(TYPES.map(|of| [put("job/a", body).header("Content-Type", of)]));
        });
    }
}

#[test]
fn types_of_protobuf() {
    beside(&[], |pair| {
        pair.sequences(TYPES.map(|of| {
            let mut push = put("job/a", GOOD).protobuf();
            push.headers = vec![("Content-Type", of)];
            [push]
        }));
    });
}

#[test]
fn bodies_of_deletions_are_ignored() {
    beside(&[], |pair| {
        for body in ["m{", "m 1\n"] {
            pair.sequences([[put("job/a", GOOD), delete("job/a").body(body)]]);
        }
    });
}

/// Types of bodies. Protobuf is only what is wholly said to be the protobuf that is understood.
const TYPES: [&str; 25] = [
    "text/plain",
    "text/plain; version=0.0.4",
    "text/plain; version=1.0.0",
    "application/openmetrics-text; version=1.0.0",
    "application/json",
    "nonsense",
    "",
    ";",
    "application/vnd.google.protobuf",
    "application/vnd.google.protobuf; encoding=delimited",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text",
    "application/vnd.google.protobuf; proto=other; encoding=delimited",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;",
    "application/vnd.google.protobuf;encoding=delimited;proto=io.prometheus.client.MetricFamily",
    "APPLICATION/vnd.google.protobuf; PROTO=io.prometheus.client.MetricFamily; encoding=\"delimited\"",
    "application/vnd.google.protobuf; proto=IO.prometheus.client.MetricFamily; encoding=delimited",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; x",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; x=y",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; encoding=text",
    "application/vnd.google.protobuf; proto = io.prometheus.client.MetricFamily ; encoding = delimited",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=\"delimited",
    "application/vnd.google.protobuf, proto=io.prometheus.client.MetricFamily; encoding=delimited",
    " application/vnd.google.protobuf ; proto=io.prometheus.client.MetricFamily; encoding=delimited ",
];
