//! The formats in which all is shown.

use std::io::Read;

use crate::common::Server;
use crate::common::client_model::{self as schema, MetricFamily};

use super::pair::beside;
use super::request::put;

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

const ALL: &str = "# HELP m help\n# TYPE m gauge\nm{a=\"1\"} 1\nm{a=\"2\"} NaN\n\
    # TYPE c counter\nc 1\nu 5\n\
    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n\
    # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\nh_count 2\n";

#[test]
fn what_is_asked_for_is_shown() {
    beside(&[], |pair| {
        pair.send(&put("job/a", ALL));
        pair.send(&put("job/b/instance/i", ALL));
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4",
            "text/html",
            PROTOBUF,
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;proto=other;encoding=delimited",
        ] {
            for encoding in ["", "gzip", "deflate", "br, gzip"] {
                let headers = [("Accept", accept), ("Accept-Encoding", encoding)];
                let [real, ours] = [&pair.real, &pair.ours].map(|it| scrape(it, &headers));
                assert_eq!(real, ours, "{headers:?}");
            }
        }
    });
}

/// Of an answer: how it is encoded, and what it shows of groups, in any order.
#[derive(PartialEq, Debug)]
struct Scrape {
    content_type: String,
    content_encoding: Option<String>,
    lines: Vec<String>,
    /// Written, because a NaN equals none.
    families: Vec<String>,
}

fn scrape(server: &Server, headers: &[(&str, &str)]) -> Scrape {
    let answer = server.exchange("GET", "/metrics", headers, b"");
    assert_eq!(answer.status, 200);
    let content_type = answer.headers["content-type"].replace("; ", ";");
    let content_encoding = answer.headers.get("content-encoding").cloned();
    let mut body = answer.bytes;
    if content_encoding.is_some() {
        let gzip = std::mem::take(&mut body);
        let mut decoder = flate2::read::GzDecoder::new(&*gzip);
        decoder.read_to_end(&mut body).unwrap();
    }
    let (mut lines, mut families) = (Vec::new(), Vec::new());
    if content_type.starts_with("text/") {
        let text = String::from_utf8(body).unwrap();
        let of_groups = text.lines().filter(|line| line.contains("job=\""));
        lines.extend(of_groups.map(|line| match line.strip_prefix("push_") {
            Some(_) => line.rsplit_once(' ').unwrap().0.to_owned(),
            None => line.to_owned(),
        }));
    } else {
        let all = of_groups(schema::decode(&body).unwrap());
        families.extend(all.iter().map(|family| format!("{family:?}")));
    }
    lines.sort();
    assert!(lines.len() + families.len() > 5, "{lines:?} {families:?}");
    Scrape {
        content_type,
        content_encoding,
        lines,
        families,
    }
}

/// The families of groups, without the values of times.
fn of_groups(mut families: Vec<MetricFamily>) -> Vec<MetricFamily> {
    families.retain_mut(|family| {
        family.metric.retain(|metric| {
            metric
                .label
                .iter()
                .any(|label| label.name.as_deref() == Some("job"))
        });
        if family.name().starts_with("push_") {
            family
                .metric
                .iter_mut()
                .for_each(|metric| metric.gauge = None);
        }
        family
            .metric
            .sort_by_key(|metric| format!("{:?}", metric.label));
        !family.metric.is_empty()
    });
    families
}
