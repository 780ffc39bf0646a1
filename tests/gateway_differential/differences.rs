//! Where ours is meant to behave differently: all known differences, each with its reason.

use crate::common::client_model as schema;

use super::difference::{Difference, Then};
use super::request::{Request, delete, get, post, put, request};

const CORS: &str = "access-control-allow-origin";

const GAUGE: &str = "# TYPE m gauge\nm 1\n";

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "a grouping key that is not UTF-8",
        why: "the real one makes a group of it that breaks every later push and scrape",
        flags: &[],
        examples: || {
            [
                "job/a/l/%ff",
                "job/%ff",
                "job/a/l@base64/_w",
                "job@base64/_w",
            ]
            .map(|group| vec![put("job/b", "m 1\n"), put(group, "m 1\n")])
            .into()
        },
        real: (400, Then::Broken),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "an empty instance beside none",
        why: "the real one makes a group of it that breaks every later push and scrape",
        flags: &[],
        examples: || {
            vec![
                vec![put("job/a", "m 1\n"), put("job/a/instance/", "m 1\n")],
                vec![put("job/a/instance/", "m 1\n"), put("job/a", "m 1\n")],
            ]
        },
        real: (400, Then::Broken),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "another empty label of a key beside none",
        why: "an empty label is the same as none, so their push times would be one series, of which Prometheus takes either",
        flags: &[],
        examples: || {
            vec![
                vec![put("job/a", "m 1\n"), put("job/a/x/", "n 1\n")],
                vec![put("job/a/x/", "m 1\n"), put("job/a", "n 1\n")],
                vec![
                    put("job/a/x/1", "m 1\n"),
                    put("job/a/x/1/y@base64/=", "n 1\n"),
                ],
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "one series with an empty label and without it",
        why: "an empty label is the same as none, so Prometheus takes either of them",
        flags: &[],
        examples: || {
            let of_groups = [
                put("job/a", "m{x=\"1\",y=\"\"} 1\n"),
                put("job/a/x/1", "m 1\n"),
            ];
            let within = "m{a=\"\"} 7\nm 8\n";
            vec![
                of_groups.into(),
                vec![put("job/a", within)],
                vec![put("job/a", within).protobuf()],
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a bucket or quantile twice, perhaps in other digits",
        why: "they are one series, of which Prometheus takes either",
        flags: &[],
        examples: || {
            [
                "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\nh_count 3\n",
                "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1\"} 1\nh_count 1\n",
                "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.50\"} 2\n",
                "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.5\"} 2\n",
            ]
            .into_iter()
            .flat_map(|text| {
                [
                    vec![put("job/a", text)],
                    vec![put("job/a", text).protobuf()],
                ]
            })
            .collect()
        },
        real: (200, Then::Applied),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a native histogram that breaks a rule of Prometheus",
        why: "Prometheus would refuse the whole scrape",
        flags: &[],
        examples: || {
            let native = |length, deltas: &[i64], count, schema| {
                let span = schema::BucketSpan {
                    offset: Some(0),
                    length: Some(length),
                };
                vec![histogram(schema::Histogram {
                    sample_count: Some(count),
                    schema: Some(schema),
                    positive_span: vec![span],
                    positive_delta: deltas.into(),
                    ..Default::default()
                })]
            };
            vec![
                native(2, &[1], 1, 0),
                native(2, &[1, -2], 1, 0),
                native(1, &[1], 2, 0),
                native(1, &[1], 1, 99),
                native(10_001, &[0; 10_001], 0, 0),
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a push after one to a job that is no base64",
        why: "the real one keeps a lock for ever there, before its version 1.6.1",
        flags: &[],
        examples: || {
            let no_base64 = "job@base64/a+";
            vec![
                vec![put(no_base64, ""), put("job@base64/YQ", "m 1\n")],
                vec![post(no_base64, ""), post("job@base64/YQ", "m 1\n")],
            ]
        },
        real: (0, Then::Hangs),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "a name in protobuf that text cannot have",
        why: "it would break the text exposition for everyone",
        flags: &[],
        examples: || {
            ["x-y", "1xy", "a b", "\u{e4}", ""]
                .map(|name| {
                    vec![
                        put("job/b", "n 1\n"),
                        put("job/a", message(&family(name))).said_protobuf(),
                    ]
                })
                .into()
        },
        real: (200, Then::Applied),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a name or help that is not UTF-8",
        why: "Prometheus would refuse the whole scrape",
        flags: &[],
        examples: || {
            // The length of a message, the length of the text, and the text come first in it.
            let mut of_name = put("job/a", "nam 1\n").protobuf();
            of_name.body[3] = 0xff;
            let mut of_help = put("job/a", "# HELP m help\nm 1\n").protobuf();
            let at = of_help.body.iter().position(|byte| *byte == b'h').unwrap();
            of_help.body[at] = 0xff;
            vec![
                vec![of_name],
                vec![of_help],
                vec![put("job/a", b"# HELP m \xff\nm 1\n")],
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "protobuf that is cut off behind the length of a message",
        why: "the real one takes it for the end",
        flags: &[],
        examples: || {
            let whole = put("job/a", "m 1\n").protobuf();
            let length = whole.body.len();
            let twice = [&whole.body[..], &whole.body[..]].concat();
            vec![vec![whole.body(twice).cut(length + 1)]]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "a family without series in the API",
        why: "there is nothing to show of it",
        flags: &[],
        examples: || {
            let empty = schema::MetricFamily {
                name: Some("m".into()),
                ..Default::default()
            };
            vec![vec![
                put("job/a", "m 1\n"),
                put("job/a", message(&empty)).said_protobuf(),
            ]]
        },
        real: (200, Then::Shows("\"metrics\":[]")),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "a quantile NaN in the API, or a bound of a bucket",
        why: "the text that is kept cannot be read back with it, as no text can",
        flags: &[],
        examples: || {
            let quantile = schema::Quantile {
                quantile: Some(f64::NAN),
                value: Some(1.0),
            };
            let summary = schema::Summary {
                quantile: vec![quantile],
                ..Default::default()
            };
            let metric = schema::Metric {
                summary: Some(summary),
                ..Default::default()
            };
            let family = schema::MetricFamily {
                name: Some("s".into()),
                r#type: Some(2),
                metric: vec![metric],
                ..Default::default()
            };
            vec![vec![put("job/a", message(&family)).said_protobuf()]]
        },
        real: (200, Then::Shows("\"quantiles\":{\"NaN\":\"1.0\"}")),
        ours: (200, Then::Shows("\"quantiles\":{}")),
    },
    Difference {
        what: "a backslash in a type",
        why: "the real one overlooks it, which no format says",
        flags: &[],
        examples: || vec![vec![put("job/a", "# TYPE m gau\\ge\nm 1\n")]],
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "a count below 0",
        why: "what the real one makes of it depends on its processor",
        flags: &[],
        examples: || vec![vec![put("job/a", "# TYPE s summary\ns_count -1\n")]],
        real: (
            200,
            Then::Shows("s_count{instance=\"\",job=\"a\"} 1.8446744073709552e19"),
        ),
        ours: (200, Then::Shows("s_count{instance=\"\",job=\"a\"} 0.0")),
    },
    Difference {
        what: "a count NaN",
        why: "what the real one makes of it depends on its processor",
        flags: &[],
        examples: || vec![vec![put("job/a", "# TYPE s summary\ns_count NaN\n")]],
        real: (
            200,
            Then::Shows("s_count{instance=\"\",job=\"a\"} 9.223372036854776e18"),
        ),
        ours: (200, Then::Shows("s_count{instance=\"\",job=\"a\"} 0.0")),
    },
    Difference {
        what: "a count of a histogram below 0",
        why: "what the real one makes of it depends on its processor",
        flags: &[],
        examples: || vec![vec![put("job/a", "# TYPE h histogram\nh_count -1\n")]],
        real: (
            200,
            Then::Shows("h_count{instance=\"\",job=\"a\"} 1.8446744073709552e19"),
        ),
        ours: (200, Then::Shows("h_count{instance=\"\",job=\"a\"} -1.0")),
    },
    Difference {
        what: "a count of a histogram in fractions, in text",
        why: "later versions than Debian's keep it (1.11.2)",
        flags: &[],
        examples: || {
            let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1.7\nh_count 2.9\n";
            vec![vec![put("job/a", text)]]
        },
        real: (200, Then::Shows("h_count{instance=\"\",job=\"a\"} 2.0")),
        ours: (200, Then::Shows("h_count{instance=\"\",job=\"a\"} 2.9")),
    },
    Difference {
        what: "a count of a histogram in fractions, in protobuf",
        why: "later versions than Debian's show it (1.10)",
        flags: &[],
        examples: || {
            vec![vec![histogram(schema::Histogram {
                sample_count_float: Some(2.5),
                ..Default::default()
            })]]
        },
        real: (200, Then::Shows("h_count{instance=\"\",job=\"a\"} 0.0")),
        ours: (200, Then::Shows("h_count{instance=\"\",job=\"a\"} 2.5")),
    },
    Difference {
        what: "native buckets in the API",
        why: "later versions than Debian's show them (1.8)",
        flags: &[],
        examples: || {
            let span = schema::BucketSpan {
                offset: Some(0),
                length: Some(2),
            };
            vec![vec![histogram(schema::Histogram {
                sample_count: Some(3),
                schema: Some(0),
                positive_span: vec![span],
                positive_delta: vec![1, 1],
                ..Default::default()
            })]]
        },
        real: (200, Then::Shows("\"buckets\":{}")),
        ours: (
            200,
            Then::Shows(r#""buckets":[[0,"0.5","1","1"],[0,"1","2","2"]]"#),
        ),
    },
    Difference {
        what: "a failure time that is pushed",
        why: "the times are the gateway's own",
        flags: &[],
        examples: || {
            let push = "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 5\n";
            vec![vec![put("job/a", "n 1\n"), post("job/a", push)]]
        },
        real: (
            200,
            Then::Shows("push_failure_time_seconds{instance=\"\",job=\"a\"} once"),
        ),
        ours: (200, Then::Unchanged),
    },
    Difference {
        what: "a failure time of another type",
        why: "the times are the gateway's own",
        flags: &[],
        examples: || {
            let push = "push_failure_time_seconds 5\nm 1\n";
            vec![vec![put("job/a", "n 1\n"), post("job/a", push)]]
        },
        real: (400, Then::Refused),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "a push time in protobuf that is not of its type",
        why: "a message that contradicts itself is refused before its name counts",
        flags: &[],
        examples: || {
            let mut time = family("push_time_seconds");
            time.r#type = Some(0);
            let push = post("job/a", message(&time)).said_protobuf();
            vec![vec![put("job/a", "m 1\n"), push]]
        },
        real: (200, Then::Unchanged),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a label le for a histogram",
        why: "its buckets could not be told apart",
        flags: &[],
        examples: || vec![vec![put("job/a/le/5", "# TYPE h histogram\nh_count 1\n")]],
        real: (200, Then::Applied),
        ours: (400, Then::Refused),
    },
    Difference {
        what: "a histogram without its last bucket",
        why: "the text that is kept has it, as every exposition has",
        flags: &[],
        examples: || vec![vec![put("job/a", "# TYPE h histogram\nh_count 1\n")]],
        real: (200, Then::Shows("\"buckets\":{}")),
        ours: (200, Then::Shows("\"buckets\":{\"inf\":\"1.0\"}")),
    },
    Difference {
        what: "gzip without its end",
        why: "the real one does not look at what comes after the last line",
        flags: &[],
        examples: || {
            let whole = put("job/a", GAUGE).gzip();
            let end = whole.body.len();
            let mut flipped = whole.clone();
            flipped.body[end - 3] ^= 0x55;
            vec![
                vec![whole.clone().cut(end - 8)],
                vec![whole.cut(end - 1)],
                vec![flipped],
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "a request that needs no body and says it is gzip",
        why: "the body does not count",
        flags: &[],
        examples: || {
            let delete = delete("job/a").header("Content-Encoding", "gzip");
            vec![vec![put("job/a", "m 1\n"), delete]]
        },
        real: (400, Then::Unchanged),
        ours: (202, Then::Applied),
    },
    Difference {
        what: "GZIP in capitals",
        why: "the names of encodings have no case (RFC 9110, section 8.4.1)",
        flags: &[],
        examples: || {
            let mut gzip = put("job/a", GAUGE).gzip();
            gzip.headers = vec![("Content-Encoding", "GZIP")];
            vec![vec![gzip]]
        },
        real: (400, Then::Unchanged),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "x-gzip",
        why: "it is gzip by its older name (RFC 9110, section 8.4.1.3)",
        flags: &[],
        examples: || {
            let mut gzip = put("job/a", GAUGE).gzip();
            gzip.headers = vec![("Content-Encoding", "x-gzip")];
            vec![vec![gzip]]
        },
        real: (400, Then::Unchanged),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "a Content-Encoding that is not known",
        why: "the real one reads the encoded bytes as they are; who sent them learns what is known instead",
        flags: &[],
        examples: || {
            ["br", "deflate", "zstd", "gzip, gzip"]
                .map(|encoding| vec![put("job/a", GAUGE).header("Content-Encoding", encoding)])
                .into()
        },
        real: (200, Then::Applied),
        ours: (415, Then::Unchanged),
    },
    Difference {
        what: "a change for a page of another site",
        why: "whoever shows the page to a person who reaches the gateway could delete and forge groups",
        flags: &[],
        examples: || {
            let foreign = |request: Request| request.header("Origin", "http://evil.example");
            vec![
                vec![foreign(put("job/a", GAUGE))],
                vec![foreign(post("job/a", GAUGE))],
            ]
        },
        real: (200, Then::Applied),
        ours: (403, Then::Unchanged),
    },
    Difference {
        what: "a name that is none of this machine's, at 127.0.0.1",
        why: "another site's page could read and change everything by such a name, which leads here (DNS rebinding)",
        flags: &[],
        examples: || {
            let named = put("job/a", GAUGE).header("Host", "evil.example");
            vec![vec![named]]
        },
        real: (200, Then::Applied),
        ours: (403, Then::Unchanged),
    },
    Difference {
        what: "pages of all sites may read the API",
        why: "they are those of whoever has written them; --web.cors.origin=* allows it",
        flags: &[],
        examples: || vec![vec![get("/api/v1/status")]],
        real: (200, Then::Header(CORS, "*")),
        ours: (200, Then::Header(CORS, "")),
    },
    Difference {
        what: "snappy",
        why: "later versions than Debian's know it",
        flags: &[],
        examples: || {
            vec![
                vec![put("job/a", GAUGE).snappy()],
                vec![put("job/a", GAUGE).protobuf().snappy()],
            ]
        },
        real: (400, Then::Unchanged),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "snappy that is none",
        why: "later versions than Debian's know it",
        flags: &[],
        examples: || {
            vec![vec![
                put("job/a", GAUGE).header("Content-Encoding", "snappy"),
            ]]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "more labels than are allowed",
        why: "they are limited, for what they cost (--push.max-labels)",
        flags: &[],
        examples: || {
            let labels: Vec<_> = (0..129).map(|at| format!("l{at}=\"\"")).collect();
            let path: String = (0..129).map(|at| format!("/l{at}/1")).collect();
            vec![
                vec![put("job/a", format!("m{{{}}} 1\n", labels.join(",")))],
                vec![put(&format!("job/a{path}"), GAUGE)],
            ]
        },
        real: (200, Then::Applied),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "an inconsistent push without the check",
        why: "the check costs hardly anything, and what it refuses breaks every scrape",
        flags: &["--push.disable-consistency-check"],
        examples: || {
            vec![
                vec![put("job/a", "m 1\n"), put("job/b", GAUGE)],
                vec![put("job/b", "m 1\nm 1\n")],
            ]
        },
        real: (202, Then::Broken),
        ours: (202, Then::Refused),
    },
    Difference {
        what: "a path with slashes or dots too many that nothing is at",
        why: "a redirect to nothing is of no use",
        flags: &[],
        examples: || ["//x", "/x/../y"].map(|path| vec![get(path)]).into(),
        real: (301, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "a page with dots in its path, or in capitals",
        why: "nobody writes it so",
        flags: &[],
        examples: || {
            ["/./metrics", "/x/../metrics", "/METRICS", "/-/Healthy"]
                .map(|path| vec![get(path)])
                .into()
        },
        real: (301, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "a push to a path with slashes or dots before the group",
        why: "clients that follow the redirect make a read of the push",
        flags: &[],
        examples: || {
            ["//metrics/job/a", "/metrics//job/a", "/metrics/./job/a"]
                .map(|path| vec![request("PUT", path, "m 1\n")])
                .into()
        },
        real: (301, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "a push to a path of no group, but nearly",
        why: "what it is redirected to is no group either, or in other letters",
        flags: &[],
        examples: || {
            ["job/", "Job/a", "job@BASE64/YQ"]
                .map(|path| vec![put(path, "m 1\n")])
                .into()
        },
        real: (307, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "values that are empty or dots",
        why: "it is clear which group is meant, and a redirect would make a read of the push",
        flags: &[],
        examples: || {
            ["x//y/1", "x/..", "x/./y/1", "x/%2e%2e", "x/%2e/y/1"]
                .map(|labels| vec![put(&format!("job/a/{labels}"), "m 1\n")])
                .into()
        },
        real: (301, Then::Unchanged),
        ours: (200, Then::Applied),
    },
    Difference {
        what: "an empty job or name of a label",
        why: "the redirect of the real one leads to another group",
        flags: &[],
        examples: || {
            ["job//x/1", "job/a//1"]
                .map(|path| vec![put(path, "m 1\n")])
                .into()
        },
        real: (301, Then::Unchanged),
        ours: (400, Then::Unchanged),
    },
    Difference {
        what: "the options of an API path that nothing is at",
        why: "no request would follow",
        flags: &[],
        examples: || vec![vec![request("OPTIONS", "/api/v1/x", "")]],
        real: (200, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "the methods of the end, after GET",
        why: "405 is to be answered with them (RFC 9110, section 15.5.6)",
        flags: &[],
        examples: || vec![vec![get("/-/quit")]],
        real: (405, Then::Header("allow", "")),
        ours: (405, Then::Header("allow", "OPTIONS, POST, PUT")),
    },
    Difference {
        what: "the methods of the end",
        why: "GET is answered with 405 by both",
        flags: &[],
        examples: || vec![vec![request("DELETE", "/-/quit", "")]],
        real: (405, Then::Header("allow", "GET, OPTIONS, POST, PUT")),
        ours: (405, Then::Header("allow", "OPTIONS, POST, PUT")),
    },
    Difference {
        what: "the Go profiler",
        why: "ours is not written in Go",
        flags: &[],
        examples: || vec![vec![get("/debug/pprof/cmdline")]],
        real: (200, Then::Unchanged),
        ours: (404, Then::Unchanged),
    },
    Difference {
        what: "gzip that is not wanted",
        why: "a quality of 0 says so (RFC 9110, section 12.4.2)",
        flags: &[],
        examples: || vec![vec![get("/metrics").header("Accept-Encoding", "gzip;q=0")]],
        real: (200, Then::Header("content-encoding", "gzip")),
        ours: (200, Then::Header("content-encoding", "")),
    },
    Difference {
        what: "OpenMetrics",
        why: "Prometheus asks for it first",
        flags: &[],
        examples: || {
            vec![vec![
                get("/metrics").header("Accept", "application/openmetrics-text"),
            ]]
        },
        real: (
            200,
            Then::Header("content-type", "text/plain; version=0.0.4; charset=utf-8"),
        ),
        ours: (
            200,
            Then::Header(
                "content-type",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
        ),
    },
];

/// An untyped family with this name.
fn family(name: &str) -> schema::MetricFamily {
    let number = schema::Number { value: Some(1.0) };
    let metric = schema::Metric {
        untyped: Some(number),
        ..Default::default()
    };
    schema::MetricFamily {
        name: Some(name.into()),
        r#type: Some(3),
        metric: vec![metric],
        ..Default::default()
    }
}

/// A push of the histogram `h`.
fn histogram(histogram: schema::Histogram) -> Request {
    let metric = schema::Metric {
        histogram: Some(histogram),
        ..Default::default()
    };
    let family = schema::MetricFamily {
        name: Some("h".into()),
        r#type: Some(4),
        metric: vec![metric],
        ..Default::default()
    };
    put("job/a", message(&family)).said_protobuf()
}

fn message(family: &schema::MetricFamily) -> Vec<u8> {
    prost::Message::encode_length_delimited_to_vec(family)
}
