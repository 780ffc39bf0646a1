//! The embedded gateway's histograms with float counts and with native buckets: whatever was pushed is kept, and
//! shown with its counts.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
#[cfg(feature = "real-servers")]
use serde_json::Value as Json;
use serde_json::json;

#[cfg(feature = "real-servers")]
use crate::common::Server;
use crate::common::client_model::{Bucket, Histogram, decode};
use crate::common::histograms::{
    GROUP, HUGE, PROTOBUF, body, both, classic_float, family, float_bucket, in_api, native_float,
    native_integer, push, scraped, span,
};
use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, stamp_groups};

/// The lines of a family in a format of `/metrics`, without the labels of the group.
#[track_caller]
fn lines(gateway: &OwnGateway, accept: &str, name: &str) -> Vec<String> {
    let (status, text) = gateway.request("GET", "/metrics", &[("Accept", accept)], "");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines
        .map(|line| {
            line.replace("instance=\"\",job=\"j\",", "")
                .replace("{instance=\"\",job=\"j\"}", "")
        })
        .collect()
}

/// Checks a gateway as it is, after a restart that finds the group in the log, and after one that finds it
/// in its row.
#[track_caller]
fn and_after_restarts(sandbox: &Sandbox, mut gateway: OwnGateway, check: impl Fn(&OwnGateway)) {
    check(&gateway);
    gateway.kill();
    let mut gateway = OwnGateway::start(sandbox.path(), &[]);
    check(&gateway);
    assert_eq!(gateway.terminate(), Some(0));
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    check(&gateway);
}

#[test]
fn a_classic_float_histogram_is_shown_with_its_counts() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    push(&gateway, "PUT", &[family("h", classic_float())]);
    and_after_restarts(&sandbox, gateway, |gateway| {
        let expected = [
            "h_bucket{le=\"0.5\"} 1.5",
            "h_bucket{le=\"1\"} 2.75",
            "h_bucket{le=\"+Inf\"} 4",
            "h_sum 5.25",
            "h_count 4",
        ];
        for accept in ["text/plain", "application/openmetrics-text"] {
            assert_eq!(lines(gateway, accept, "h_"), expected, "{accept}");
        }
        assert_eq!(scraped(gateway, "h"), classic_float());
        assert_eq!(
            in_api(gateway, "h"),
            json!({
                "buckets": {"0.5": "1.5", "1": "2.75", "+Inf": "4"},
                "count": "4",
                "sum": "5.25",
            })
        );
        let status = format!("status --gateway {} --output json", gateway.url());
        let status = sandbox.run(&status).code(0).json();
        let series = &status[0]["families"][0]["metrics"][0];
        assert_eq!(series["count"], 4);
        assert_eq!(series["buckets"][1], json!({"le": 1, "count": 2.75}));
    });
}

#[test]
fn native_buckets_are_in_the_api_by_their_bounds() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    push(
        &gateway,
        "PUT",
        &[
            family("float", native_float()),
            family("integer", native_integer()),
        ],
    );
    and_after_restarts(&sandbox, gateway, |gateway| {
        assert_eq!(
            in_api(gateway, "integer"),
            json!({
                "buckets": [
                    [1, "-4", "-2", "3"],
                    [1, "-2", "-1", "1"],
                    [3, "-0.125", "0.125", "7"],
                    [0, "0.25", "0.5", "3"],
                    [0, "4", "8", "5"],
                ],
                "count": "19",
                "sum": "-3.5",
            })
        );
        assert_eq!(
            in_api(gateway, "float"),
            json!({
                "buckets": [
                    [1, "-1", "-0.25", "1.25"],
                    [3, "-0.125", "0.125", "0.25"],
                    [0, "0.25", "1", "2"],
                    [0, "4", "16", "3"],
                ],
                "count": "6.5",
                "sum": "10",
            })
        );
        assert_eq!(scraped(gateway, "integer"), native_integer());
        assert_eq!(scraped(gateway, "float"), native_float());
        assert_eq!(
            lines(gateway, "text/plain", "float_"),
            [
                "float_bucket{le=\"+Inf\"} 6.5",
                "float_sum 10",
                "float_count 6.5"
            ]
        );
        let status = format!("status --gateway {} --output json", gateway.url());
        let status = sandbox.run(&status).code(0).json();
        let series = &status[0]["families"][0]["metrics"][0];
        let zero = json!({"lower": -0.125, "upper": 0.125, "count": 0.25});
        assert_eq!(series["native_buckets"][1], zero);
    });
}

#[test]
fn native_and_classic_float_buckets_in_one() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    push(&gateway, "PUT", &[family("h", both())]);
    // Another family of the group is pushed compressed, and one is replaced.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let body = body(&[family("other", native_integer())]);
    gzip.write_all(&body).unwrap();
    let headers = [("Content-Type", PROTOBUF), ("Content-Encoding", "gzip")];
    let gzip = gzip.finish().unwrap();
    assert_eq!(gateway.request("POST", GROUP, &headers, gzip).0, 200);
    push(&gateway, "POST", &[family("other", classic_float())]);
    and_after_restarts(&sandbox, gateway, |gateway| {
        assert_eq!(scraped(gateway, "h"), both());
        assert_eq!(scraped(gateway, "other"), classic_float());
        assert_eq!(
            lines(gateway, "text/plain", "h_"),
            [
                "h_bucket{le=\"0.5\"} 1.5",
                "h_bucket{le=\"1\"} 2.75",
                "h_bucket{le=\"+Inf\"} 4",
                "h_sum 10",
                "h_count 6.5",
            ]
        );
        // The native ones take the place of the classic ones.
        assert_eq!(in_api(gateway, "h")["buckets"][0][3], "1.25");
    });
}

#[test]
fn odd_counts() {
    let float = |count| Histogram {
        sample_count_float: Some(count),
        ..Default::default()
    };
    let integer = |count| Histogram {
        sample_count: Some(count),
        ..Default::default()
    };
    let with_buckets = |mut histogram: Histogram, bucket: Vec<Bucket>| {
        histogram.bucket = bucket;
        histogram
    };
    let given_both_ways = Bucket {
        cumulative_count: Some(9),
        ..float_bucket(1.0, 1.5)
    };
    let overridden_by_nothing = Bucket {
        cumulative_count: Some(9),
        ..float_bucket(2.0, 0.0)
    };
    // The counts of `h_count`, and of the bucket `1` if there is one, in text and in the API.
    let cases = [
        ("fraction", float(2.5), "2.5", "2.5", None),
        ("zero", float(0.0), "0", "0", None),
        ("nan", float(f64::NAN), "NaN", "NaN", None),
        ("infinite", float(f64::INFINITY), "+Inf", "+Inf", None),
        ("tiny", float(1e-300), "1e-300", "1e-300", None),
        (
            "sum_of_nothing",
            Histogram {
                sample_sum: Some(f64::NAN),
                ..float(1.5)
            },
            "1.5",
            "1.5",
            None,
        ),
        (
            "both_ways",
            with_buckets(
                Histogram {
                    sample_count: Some(9),
                    ..float(2.5)
                },
                vec![given_both_ways],
            ),
            "2.5",
            "2.5",
            Some("1.5"),
        ),
        (
            "zero_float",
            with_buckets(
                Histogram {
                    sample_count: Some(9),
                    ..float(0.0)
                },
                vec![overridden_by_nothing],
            ),
            "9",
            "9",
            None,
        ),
        (
            "huge",
            integer(HUGE),
            "9007199254740992",
            "9007199254740993",
            None,
        ),
        (
            "largest",
            with_buckets(
                integer(u64::MAX),
                vec![Bucket {
                    upper_bound: Some(1.0),
                    cumulative_count: Some(u64::MAX),
                    ..Default::default()
                }],
            ),
            "18446744073709552000",
            "18446744073709551615",
            Some("18446744073709551615"),
        ),
    ];
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    let families: Vec<_> = (cases.iter())
        .map(|(name, histogram, ..)| family(name, histogram.clone()))
        .collect();
    push(&gateway, "PUT", &families);
    and_after_restarts(&sandbox, gateway, |gateway| {
        for (name, pushed, in_text, count, bucket) in &cases {
            let line = format!("{name}_count {in_text}");
            let lines = lines(gateway, "text/plain", &format!("{name}_count"));
            assert_eq!(lines, [line]);
            let series = in_api(gateway, name);
            assert_eq!(series["count"], *count, "{name}");
            if let Some(bucket) = bucket {
                assert_eq!(series["buckets"]["1"], *bucket, "{name}");
            }
            let scraped = scraped(gateway, name);
            let integer = scraped.sample_count.unwrap_or_default();
            match pushed.sample_count_float {
                // The float field counts, unless it is 0.
                Some(float) if float != 0.0 => {
                    let found = scraped.sample_count_float.unwrap();
                    assert_eq!(format!("{found}"), format!("{float}"), "{name}");
                }
                _ => assert_eq!(integer, pushed.sample_count.unwrap_or_default(), "{name}"),
            }
        }
        assert_eq!(in_api(gateway, "zero_float")["buckets"]["2"], "9");
        assert_eq!(in_api(gateway, "sum_of_nothing")["sum"], "NaN");
    });
}

/// As the Pushgateway since 1.11.2.
#[test]
fn fractions_in_text_are_kept() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    let text =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1.5\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
    gateway.put(GROUP, text);
    and_after_restarts(&sandbox, gateway, |gateway| {
        let shown = lines(gateway, "text/plain", "h_").join("\n");
        assert_eq!(format!("# TYPE h histogram\n{shown}\n"), text);
        let scraped = scraped(gateway, "h");
        assert_eq!(scraped.bucket[0].cumulative_count_float, Some(1.5));
        assert_eq!(scraped.bucket[1].cumulative_count, Some(2));
        assert_eq!(in_api(gateway, "h")["buckets"]["1"], "1.5");
    });
}

#[test]
fn a_float_histogram_is_checked_like_any_other() {
    let gateway = OwnGateway::alone(&[]);
    push(&gateway, "PUT", &[family("h", native_float())]);
    for (text, reason) in [
        (
            "# TYPE h gauge\nh 1\n",
            "a gauge here, but a histogram in the group",
        ),
        ("h_count 1\n", "collides with the histogram h"),
    ] {
        let (status, said) = gateway.request("PUT", "/metrics/job/other", &[], text);
        assert!(status == 400 && said.contains(reason), "{said}");
    }
    // A refused push to the group itself leaves the counts.
    let mut twice = family("h", classic_float());
    twice.metric.push(twice.metric[0].clone());
    let headers = [("Content-Type", PROTOBUF)];
    let (status, said) = gateway.request("PUT", GROUP, &headers, body(&[twice]));
    assert!(status == 400 && said.contains("appears twice"), "{said}");
    assert_eq!(scraped(&gateway, "h"), native_float());
}

#[test]
fn the_page_shows_them() {
    let gateway = OwnGateway::alone(&[]);
    push(
        &gateway,
        "PUT",
        &[family("float", both()), family("integer", native_integer())],
    );
    let (status, html) = gateway.get("/");
    assert_eq!(status, 200);
    let text = html.split('<').filter_map(|part| part.split_once('>'));
    let text: String = text.map(|(_, text)| text).collect();
    for expected in [
        "Count 6.5, sum 10At mostCount0.51.512.75+Inf4Native bucketCount[-1, -0.25)1.25[-0.125, 0.125]0.25(0.25, 1]2(4, 16]3",
        "Native bucketCount[-4, -2)3[-2, -1)1[-0.125, 0.125]7(0.25, 0.5]3(4, 8]5",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

/// Few bytes can say that there are very many buckets.
#[test]
fn broken_native_histograms_of_an_older_version_are_shown_as_far_as_they_go() {
    let sandbox = Sandbox::new();
    let mut gateway = OwnGateway::start(sandbox.path(), &[]);
    push(&gateway, "PUT", &[family("h", native_integer())]);
    assert_eq!(gateway.terminate(), Some(0));
    let broken = Histogram {
        sample_count: Some(1),
        schema: Some(99),
        positive_span: vec![span(i32::MIN, u32::MAX), span(i32::MAX, u32::MAX)],
        positive_delta: vec![1, -2],
        negative_span: vec![span(0, u32::MAX)],
        ..Default::default()
    };
    let database = rusqlite::Connection::open(sandbox.path().join("state.db")).unwrap();
    let change = "UPDATE groups SET natives = ?1";
    let natives = body(&[family("h", broken.clone())]);
    assert_eq!(database.execute(change, [natives]).unwrap(), 1);
    stamp_groups(&database);
    drop(database);
    let gateway = OwnGateway::start(sandbox.path(), &[]);
    let series = in_api(&gateway, "h");
    let buckets = series["buckets"].as_array().unwrap();
    let counts: Vec<_> = buckets.iter().map(|bucket| &bucket[3]).collect();
    assert_eq!(counts, ["1", "-1"]);
    assert_eq!(gateway.get("/").0, 200);
    assert_eq!(
        scraped(&gateway, "h"),
        Histogram {
            sample_sum: Some(0.0),
            ..broken
        }
    );
    push(&gateway, "POST", &[family("h", native_integer())]);
    assert_eq!(scraped(&gateway, "h"), native_integer());
}

/// Prometheus 2.42 reads float histograms, classic ones from text and native ones from protobuf.
#[cfg(feature = "real-servers")]
#[test]
fn prometheus_scrapes_the_counts() {
    let gateway = OwnGateway::alone(&[]);
    push(
        &gateway,
        "PUT",
        &[
            family("classic", classic_float()),
            family("float", native_float()),
            family("integer", native_integer()),
        ],
    );
    let sandbox = Sandbox::new();
    let config = format!(
        "scrape_configs:\n- job_name: gateway\n  honor_labels: true\n  scrape_interval: 200ms\n  \
         scrape_timeout: 200ms\n  static_configs:\n  - targets: ['{}']\n",
        gateway.address()
    );
    let config = sandbox.write("prometheus.yml", config);
    let value = |prometheus: &Server, query: &str| {
        let path = format!("/api/v1/query?query={query}");
        let answer = prometheus.wait_for(&path, |body| body.contains("\"metric\""));
        let answer: Json = serde_json::from_str(&answer).unwrap();
        answer["data"]["result"][0]["value"][1].clone()
    };
    let of_text = Server::prometheus(&config);
    assert_eq!(value(&of_text, "classic_bucket%7Ble=%221%22%7D"), "2.75");
    assert_eq!(value(&of_text, "classic_count"), "4");
    assert_eq!(value(&of_text, "float_count"), "6.5");
    let flags = ["--enable-feature=native-histograms"];
    let of_protobuf = Server::prometheus_with(&config, &flags);
    for (query, expected) in [
        ("histogram_count(float)", "6.5"),
        ("histogram_sum(float)", "10"),
        ("histogram_count(integer)", "19"),
        // The highest bucket ends there.
        ("histogram_quantile(1,float)", "16"),
        ("histogram_quantile(1,integer)", "8"),
    ] {
        assert_eq!(value(&of_protobuf, query), expected, "{query}");
    }
}

/// A push of a broken one would have Prometheus refuse all metrics of the gateway.
#[test]
fn a_broken_native_histogram_is_refused() {
    let gateway = OwnGateway::alone(&[]);
    push(&gateway, "PUT", &[family("h", native_integer())]);
    type Break = fn(&mut Histogram);
    let integer: [(Break, &str); 7] = [
        (
            |it| it.positive_delta.truncate(2),
            "positive spans are of 3 buckets",
        ),
        (
            |it| it.negative_span[0].length = Some(1),
            "negative spans are of 1",
        ),
        (
            |it| it.positive_span[1].offset = Some(-1),
            "positive span 2 is -1, below 0",
        ),
        (
            |it| it.negative_delta[1] = -2,
            "negative bucket 2 counts -1",
        ),
        (|it| it.positive_delta[2] = i64::MAX, "counts"),
        (
            |it| it.sample_count = Some(20),
            "buckets count 19, and it counts 20",
        ),
        (|it| it.schema = Some(9), "schema 9"),
    ];
    let float: [(Break, &str); 4] = [
        (
            |it| it.positive_count[0] = -2.0,
            "positive bucket 1 counts -2",
        ),
        (
            |it| it.positive_count[0] = f64::NAN,
            "positive bucket 1 counts NaN",
        ),
        (
            |it| it.sample_count_float = Some(f64::NAN),
            "its count is NaN",
        ),
        (
            |it| it.zero_count_float = Some(-0.25),
            "zero bucket is -0.25",
        ),
    ];
    let integer = integer.map(|(change, reason)| (native_integer(), change, reason));
    let float = float.map(|(change, reason)| (native_float(), change, reason));
    for (mut histogram, change, reason) in integer.into_iter().chain(float) {
        change(&mut histogram);
        let headers = [("Content-Type", PROTOBUF)];
        let (status, said) =
            gateway.request("PUT", GROUP, &headers, body(&[family("h", histogram)]));
        assert!(status == 400 && said.contains(reason), "{reason}: {said}");
        assert!(said.contains("h is no native histogram"), "{said}");
        assert_eq!(scraped(&gateway, "h"), native_integer(), "{reason}");
    }
}

/// A Prometheus that takes all series of a message for native ones would find a classic one broken.
#[test]
fn classic_and_native_ones_of_a_name_come_in_messages_of_their_own() {
    let gateway = OwnGateway::alone(&[]);
    push(&gateway, "PUT", &[family("h", native_integer())]);
    gateway.put(
        "/metrics/job/k",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
    );
    let headers = [("Accept", PROTOBUF)];
    let scrape = gateway.exchange("GET", "/metrics", &headers, b"");
    let families = decode(&scrape.bytes).unwrap().into_iter();
    let of_name = families.filter(|family| family.name.as_deref() == Some("h"));
    let spans: Vec<Vec<usize>> = of_name
        .map(|family| {
            let histograms = family.metric.into_iter().map(|it| it.histogram.unwrap());
            histograms.map(|it| it.positive_span.len()).collect()
        })
        .collect();
    assert_eq!(spans, [[0], [2]]);
}
