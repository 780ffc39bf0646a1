//! `gateway --group.aggregate`: a scrape shows the sum of what several instances push, and sums of counters never fall.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use metricsjob_metrics::{Count, Family, Kind, Labels, Value};

use crate::common::own_gateway::{OwnGateway, gateway_command};
use crate::common::{Sandbox, eventually};

const WEB: &str = r#"job="web" without (instance)"#;

fn start(rule: &str) -> OwnGateway {
    OwnGateway::alone(&[&format!("--group.aggregate={rule}")])
}

fn dir(sandbox: &Sandbox) -> PathBuf {
    sandbox.state_db().parent().unwrap().to_owned()
}

fn push(gateway: &OwnGateway, instance: &str, body: &str) {
    gateway.put(&format!("/metrics/job/web/instance/{instance}"), body);
}

fn delete(gateway: &OwnGateway, path: &str) {
    assert_eq!(gateway.request("DELETE", path, &[], "").0, 202);
}

/// The pushed samples of a scrape, without `instance=""` and what has no job.
fn samples(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| line.contains("job=\"") && !line.starts_with("push_"));
    lines
        .map(|line| line.replace("instance=\"\",", ""))
        .collect()
}

#[track_caller]
fn shows(gateway: &OwnGateway, expected: &[&str]) {
    let shown = samples(&gateway.metrics());
    assert_eq!(shown, expected);
}

#[test]
fn each_type_is_summed_as_it_should_be() {
    let gateway = start(WEB);
    let body = |n: u32| {
        format!(
            "# TYPE requests_total counter\nrequests_total{{code=\"200\"}} {n}\nrequests_total{{code=\"500\"}} 1\n\
             # TYPE seconds histogram\nseconds_bucket{{le=\"1\"}} {n}\nseconds_bucket{{le=\"+Inf\"}} 10\n\
             seconds_sum 1.5\nseconds_count 10\n\
             # TYPE bytes summary\nbytes{{quantile=\"0.5\"}} 7\nbytes_sum {n}\nbytes_count 2\n\
             # TYPE queue gauge\nqueue {n}\nuntyped {n}\n"
        )
    };
    push(&gateway, "a", &body(1));
    push(&gateway, "b", &body(4));
    push(&gateway, "c", &body(2));
    gateway.put(
        "/metrics/job/other/instance/a",
        "# TYPE requests_total counter\nrequests_total 9\n",
    );
    shows(
        &gateway,
        &[
            "bytes_sum{job=\"web\"} 7",
            "bytes_count{job=\"web\"} 6",
            "queue{job=\"web\"} 2",
            "requests_total{instance=\"a\",job=\"other\"} 9",
            "requests_total{code=\"200\",job=\"web\"} 7",
            "requests_total{code=\"500\",job=\"web\"} 3",
            "seconds_bucket{job=\"web\",le=\"1\"} 7",
            "seconds_bucket{job=\"web\",le=\"+Inf\"} 30",
            "seconds_sum{job=\"web\"} 4.5",
            "seconds_count{job=\"web\"} 30",
            "untyped{job=\"web\"} 2",
        ],
    );
    // Groups are as they were pushed.
    let api: serde_json::Value = serde_json::from_str(&gateway.get("/api/v1/metrics").1).unwrap();
    assert_eq!(api["data"].as_array().unwrap().len(), 4);
    // Of a sum there is one push time, the newest.
    let times = gateway.samples("push_time_seconds{");
    let labels: Vec<&str> = times.keys().map(String::as_str).collect();
    let [of_other, of_sum] = [
        r#"push_time_seconds{instance="a",job="other"}"#,
        r#"push_time_seconds{instance="",job="web"}"#,
    ];
    assert_eq!(labels, [of_sum, of_other]);
    let newest = api["data"].as_array().unwrap().iter().map(|group| {
        let value = &group["push_time_seconds"]["metrics"][0]["value"];
        (group["labels"]["job"] == "web").then(|| value.as_str().unwrap().parse::<f64>().unwrap())
    });
    let newest = newest.flatten().fold(0.0, f64::max);
    assert!((times[of_sum] - newest).abs() < 1e-6);
}

#[test]
fn gauges_by_the_rule() {
    for (words, expected) in [
        ("", "2"),
        (" gauges last", "2"),
        (" gauges sum", "7"),
        (" gauges max", "4"),
        (" gauges min", "1"),
    ] {
        let gateway = start(&format!("{WEB}{words}"));
        for (instance, value) in [("a", 1), ("b", 4), ("c", 2)] {
            push(&gateway, instance, &format!("# TYPE m gauge\nm {value}\n"));
        }
        shows(&gateway, &[&format!("m{{job=\"web\"}} {expected}")]);
        // What is gone does not count.
        delete(&gateway, "/metrics/job/web/instance/c");
        let expected = match words {
            " gauges sum" => "5",
            " gauges min" => "1",
            _ => "4",
        };
        shows(&gateway, &[&format!("m{{job=\"web\"}} {expected}")]);
    }
}

fn counter(value: u32) -> String {
    format!("# TYPE c_total counter\nc_total {value}\n")
}

#[track_caller]
fn sum(gateway: &OwnGateway) -> f64 {
    gateway.value("web", "c_total").unwrap_or(0.0)
}

/// Retries do not count twice, a counter that begins anew does not take away what it had counted, nor does a group that goes.
#[test]
fn a_sum_never_falls() {
    let sandbox = Sandbox::new();
    let rule = format!("--group.aggregate={WEB}");
    let start = || OwnGateway::start(&dir(&sandbox), &[&rule]);
    let mut gateway = start();
    push(&gateway, "a", &counter(5));
    push(&gateway, "b", &counter(7));
    push(&gateway, "b", &counter(7));
    assert_eq!(sum(&gateway), 12.0);
    push(&gateway, "b", &counter(2));
    assert_eq!(sum(&gateway), 14.0);
    // By POST, by an empty PUT, and by a push that is refused.
    gateway.request("POST", "/metrics/job/web/instance/b", &[], counter(1));
    assert_eq!(sum(&gateway), 15.0);
    push(&gateway, "b", "");
    assert_eq!(sum(&gateway), 15.0);
    push(&gateway, "b", &counter(10));
    let refused = gateway.request(
        "PUT",
        "/metrics/job/web/instance/b",
        &[],
        "# TYPE c_total gauge\nc_total 1\n",
    );
    assert_eq!((refused.0, sum(&gateway)), (400, 25.0));
    // Times to live, and deletions.
    let headers = [("Pushgateway-TTL", "300ms")];
    gateway.request("PUT", "/metrics/job/web/instance/c", &headers, counter(100));
    assert_eq!(sum(&gateway), 125.0);
    eventually("it expires", || {
        gateway.own("metricsjob_gateway_expired_groups_total") == 1.0
    });
    assert_eq!(sum(&gateway), 125.0);
    delete(&gateway, "/metrics/job/web/instance/a");
    assert_eq!(sum(&gateway), 125.0);
    // From the log, from the rows, after an orderly end.
    gateway.kill();
    let mut gateway = start();
    assert_eq!(sum(&gateway), 125.0);
    thread::sleep(Duration::from_millis(1500));
    gateway.kill();
    let mut gateway = start();
    assert_eq!(sum(&gateway), 125.0);
    push(&gateway, "b", &counter(1));
    gateway.terminate();
    let gateway = start();
    assert_eq!(sum(&gateway), 126.0);
}

/// A remainder is a group, by which the sum falls when it is deleted.
#[test]
fn remainders_are_shown_and_can_be_deleted() {
    let gateway = OwnGateway::alone(&[
        "--group.aggregate",
        WEB,
        "--web.enable-admin-api",
        "--group.ttl=1s",
    ]);
    push(&gateway, "a", &counter(5));
    push(&gateway, "a", &counter(1));
    let api = |gateway: &OwnGateway| gateway.get("/api/v1/metrics").1;
    assert!(api(&gateway).contains(r#""labels":{"job":"web","metricsjob_remainder":"job"}"#));
    let page = gateway.get("/").1;
    assert!(
        page.contains("It is part of a sum, which falls if this group is deleted."),
        "{page}"
    );
    // It does not expire.
    eventually("the group expires", || {
        gateway.own("metricsjob_gateway_groups") == 1.0
    });
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(sum(&gateway), 6.0);
    delete(&gateway, "/metrics/job/web/metricsjob_remainder/job");
    shows(&gateway, &[]);
    // A selector deletes it with the groups that it selects, but for one by age.
    let delete_by = |query: &str| {
        let path = format!("/api/v1/groups?match[]=%7Bjob%3D%22web%22%7D{query}");
        let (status, body) = gateway.request("DELETE", &path, &[], "");
        assert_eq!(status, 200, "{body}");
    };
    push(&gateway, "a", &counter(5));
    push(&gateway, "a", &counter(1));
    push(&gateway, "b", &counter(3));
    thread::sleep(Duration::from_millis(50));
    delete_by("&older_than=1ms");
    assert_eq!(sum(&gateway), 9.0);
    push(&gateway, "b", &counter(3));
    delete_by("");
    shows(&gateway, &[]);
    push(&gateway, "a", &counter(5));
    assert_eq!(gateway.request("PUT", "/api/v1/admin/wipe", &[], "").0, 202);
    shows(&gateway, &[]);
}

/// A remainder has all of a summary or histogram, also where buckets change; gauges are no sums that could fall.
#[test]
fn all_types_leave_a_remainder_but_gauges() {
    let gateway = start(WEB);
    let body = |bound: &str, low: u32, count: u32| {
        format!(
            "# TYPE s summary\ns_sum {count}\ns_count {count}\n# TYPE g gauge\ng 1\n\
             # TYPE h histogram\nh_bucket{{le=\"{bound}\"}} {low}\nh_bucket{{le=\"+Inf\"}} {count}\nh_sum {count}\nh_count {count}\n"
        )
    };
    push(&gateway, "a", &body("1", 5, 10));
    // More observations, but in other buckets: another process.
    push(&gateway, "a", &body("2", 6, 20));
    push(&gateway, "b", &body("1", 1, 2));
    delete(&gateway, "/metrics/job/web/instance/b");
    let expected = [
        "g{job=\"web\"} 1",
        "h_bucket{job=\"web\",le=\"1\"} 6",
        "h_bucket{job=\"web\",le=\"2\"} 12",
        "h_bucket{job=\"web\",le=\"+Inf\"} 32",
        "h_sum{job=\"web\"} 32",
        "h_count{job=\"web\"} 32",
        "s_sum{job=\"web\"} 22",
        "s_count{job=\"web\"} 22",
    ];
    shows(&gateway, &expected);
    delete(&gateway, "/metrics/job/web/instance/a");
    shows(&gateway, &expected[1..]);
}

#[test]
fn other_labels_of_groups_and_of_series_stay() {
    let gateway = start(r#"job=~"web|api",env!="test" without (instance, pod)"#);
    let path =
        |env: &str, instance: &str| format!("/metrics/job/web/env/{env}/instance/{instance}");
    let body = "# TYPE c_total counter\nc_total{pod=\"p\",code=\"1\"} 1\nc_total{pod=\"q\",code=\"1\"} 2\nc_total{code=\"2\"} 4\n";
    gateway.put(&path("prod", "a"), body);
    gateway.put(&path("prod", "b"), body);
    gateway.put(&path("dev", "b"), body);
    gateway.put(&path("test", "a"), "# TYPE c_total counter\nc_total 1\n");
    gateway.put(
        "/metrics/job/api",
        "# TYPE c_total counter\nc_total{env=\"test\"} 1\nc_total 2\n",
    );
    gateway.put(
        "/metrics/job/api/instance/x",
        "# TYPE c_total counter\nc_total 4\n",
    );
    let mut shown = samples(&gateway.metrics());
    shown.sort();
    let mut expected = [
        "c_total{code=\"1\",env=\"dev\",job=\"web\"} 3",
        "c_total{code=\"1\",env=\"prod\",job=\"web\"} 6",
        "c_total{code=\"2\",env=\"dev\",job=\"web\"} 4",
        "c_total{code=\"2\",env=\"prod\",job=\"web\"} 8",
        "c_total{env=\"test\",instance=\"a\",job=\"web\"} 1",
        "c_total{env=\"test\",job=\"api\"} 1",
        "c_total{job=\"api\"} 6",
    ];
    expected.sort();
    assert_eq!(shown, expected);
    delete(&gateway, &path("prod", "a"));
    delete(&gateway, &path("dev", "b"));
    let mut shown = samples(&gateway.metrics());
    shown.sort();
    assert_eq!(shown, expected);
    // A part of it is selected by the labels of the sums.
    let part = gateway
        .get("/metrics?match[]=c_total%7Benv%3D%22prod%22%7D")
        .1;
    assert_eq!(
        samples(&part),
        expected
            .iter()
            .filter(|line| line.contains("prod"))
            .copied()
            .collect::<Vec<_>>()
    );
    assert!(samples(&gateway.get("/metrics?match[]=%7Binstance%3D%22b%22%7D").1).is_empty());
}

/// The first rule that selects a series counts.
#[test]
fn several_rules_from_the_config_file() {
    let sandbox = Sandbox::new();
    let rules = r#"aggregate = ['job="web",queue="x" without (instance) gauges max', '{job="web"} without (instance) gauges min']"#;
    sandbox.write("metricsjob.toml", rules);
    let config = sandbox.path().join("metricsjob.toml");
    let mut command = gateway_command(&dir(&sandbox), &[]);
    command.env("METRICSJOB_CONFIG", config);
    let gateway = OwnGateway::start_command(command);
    for (instance, value) in [("a", 1), ("b", 4)] {
        push(
            &gateway,
            instance,
            &format!("# TYPE m gauge\nm{{queue=\"x\"}} {value}\nm{{queue=\"y\"}} {value}\n"),
        );
    }
    shows(
        &gateway,
        &[
            "m{job=\"web\",queue=\"x\"} 4",
            "m{job=\"web\",queue=\"y\"} 1",
        ],
    );
    let status = gateway.get("/api/v1/status").1;
    assert!(status.contains("\"group.aggregate\":\"job="), "{status}");
}

/// A name whose type changes has no common sum; what was counted under it is dropped, and told in the log.
#[test]
fn a_metric_that_changes_its_type() {
    let gateway = start(WEB);
    push(&gateway, "a", &counter(5));
    push(
        &gateway,
        "a",
        "# TYPE c_total gauge\nc_total 3\n# TYPE d_total counter\nd_total 2\n",
    );
    push(
        &gateway,
        "a",
        "# TYPE c_total gauge\nc_total 1\n# TYPE d_total counter\nd_total 1\n",
    );
    shows(
        &gateway,
        &["c_total{job=\"web\"} 1", "d_total{job=\"web\"} 3"],
    );
    // `x_count` was a counter of its own, and becomes a part of a summary.
    push(
        &gateway,
        "b",
        "# TYPE x_count counter\nx_count 5\n# TYPE d_total counter\nd_total 4\n",
    );
    push(
        &gateway,
        "b",
        "# TYPE x summary\nx_sum 1\nx_count 1\n# TYPE d_total counter\nd_total 1\n",
    );
    let shown = samples(&gateway.metrics());
    assert_eq!(
        shown[1..],
        [
            "d_total{job=\"web\"} 8",
            "x_sum{job=\"web\"} 1",
            "x_count{job=\"web\"} 1"
        ]
    );
    gateway.logs(
        "what a group had counted is lost, because a metric of this name now has another type",
    );
}

/// The bound on all series keeps no group from being remembered.
#[test]
fn a_gateway_that_is_full() {
    let gateway = OwnGateway::alone(&["--group.aggregate", WEB, "--storage.max-series=6"]);
    push(&gateway, "a", &counter(5));
    push(&gateway, "b", &counter(5));
    delete(&gateway, "/metrics/job/web/instance/a");
    push(&gateway, "b", &counter(1));
    assert_eq!(sum(&gateway), 11.0);
}

#[test]
fn in_other_formats() {
    let gateway = start(WEB);
    push(&gateway, "a", &counter(5));
    push(&gateway, "b", &counter(6));
    let accept = [("Accept", "application/openmetrics-text")];
    let (_, text) = gateway.request("GET", "/metrics", &accept, "");
    assert!(
        text.contains("c_total{instance=\"\",job=\"web\"} 11"),
        "{text}"
    );
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let answer = gateway.exchange("GET", "/metrics", &[("Accept", protobuf)], "");
    let families = metricsjob_metrics::protobuf::decode_again(&answer.bytes).unwrap();
    let found = families
        .iter()
        .find(|family| family.name == "c_total")
        .unwrap();
    assert_eq!(found.metrics.len(), 1);
    assert_eq!(found.metrics[0].value, Value::Number(11.0));
}

#[test]
fn native_histograms() {
    use metricsjob_metrics::{BucketSpan, NativeBuckets, NativeHistogram, protobuf};
    let gateway = start(WEB);
    let protobuf_type = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let family = |count: u64| {
        let value = Value::Histogram {
            count: Count::Integer(count),
            sum: 1.0,
            buckets: Vec::new(),
            native: Some(Box::new(NativeHistogram {
                schema: Some(0),
                zero_threshold: Some(0.25),
                zero_count: Some(Count::Integer(0)),
                positive: NativeBuckets {
                    spans: vec![BucketSpan {
                        offset: 1,
                        length: 1,
                    }],
                    deltas: vec![count as i64],
                    counts: Vec::new(),
                },
                ..NativeHistogram::default()
            })),
        };
        Family::new("h", "", Kind::Histogram, [(Labels::new(), value)])
    };
    let push = |instance: &str, count: u64| {
        let path = format!("/metrics/job/web/instance/{instance}");
        let body = protobuf::encode(&[family(count)]);
        let headers = [("Content-Type", protobuf_type)];
        assert_eq!(gateway.request("PUT", &path, &headers, body).0, 200);
    };
    push("a", 3);
    push("b", 5);
    push("b", 2);
    delete(&gateway, "/metrics/job/web/instance/a");
    let answer = gateway.exchange("GET", "/metrics", &[("Accept", protobuf_type)], "");
    let families = protobuf::decode_again(&answer.bytes).unwrap();
    let found = families.iter().find(|family| family.name == "h").unwrap();
    let Value::Histogram { count, native, .. } = &found.metrics[0].value else {
        panic!("{found:?}");
    };
    assert_eq!(*count, Count::Integer(10));
    let buckets: Vec<_> = native.as_ref().unwrap().buckets(*count).collect();
    assert_eq!(buckets.len(), 1);
    assert_eq!(
        (buckets[0].lower, buckets[0].upper, buckets[0].count),
        (1.0, 2.0, Count::Integer(10))
    );
}

#[test]
fn bad_rules_are_refused() {
    let sandbox = Sandbox::new();
    for (rule, message) in [
        (
            "job=\"web\"",
            "error: --group.aggregate: \"job=\"web\"\" does not say which labels the sum is without: end it with such as without (instance)",
        ),
        (
            "job=web without (instance)",
            "--group.aggregate: selector \"{job=web}\", character 6: expected",
        ),
        (
            "job=\"web\" without (job)",
            "the label job cannot be removed: each series of a gateway has it",
        ),
        (
            "job=\"web\",pod=\"x\" without (pod)",
            "selects by the label pod, which a rule removes",
        ),
        (
            "job=\"web\" without (pod) gauges mean",
            "\"gauges mean\" follows the labels, where only gauges sum",
        ),
    ] {
        for subcommand in ["gateway", "serve"] {
            sandbox
                .run_args([subcommand, "--group.aggregate", rule])
                .code(2)
                .err(message);
        }
    }
}

/// The documented cases of prom-aggregation-gateway and gravel, and those in which their users fault them.
#[test]
fn what_other_aggregating_gateways_do() {
    // Counters and histograms add up, with the union of buckets and counts given to the lowest one that fits.
    let gateway = start(r#"job="fn" without (instance)"#);
    let push = |instance: &str, body: &str| {
        gateway.put(&format!("/metrics/job/fn/instance/{instance}"), body)
    };
    let histogram = |bound: &str| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"{bound}\"}} 1\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"
        )
    };
    for (call, bound) in [("1", "1"), ("2", "2"), ("3", "5")] {
        push(
            call,
            &("# TYPE value_total counter\nvalue_total 1\n# TYPE value2 gauge\nvalue2 1\n"
                .to_owned()
                + &histogram(bound)),
        );
    }
    let expected = [
        "h_bucket{job=\"fn\",le=\"1\"} 1",
        "h_bucket{job=\"fn\",le=\"2\"} 2",
        "h_bucket{job=\"fn\",le=\"5\"} 3",
        "h_bucket{job=\"fn\",le=\"+Inf\"} 3",
        "h_sum{job=\"fn\"} 3",
        "h_count{job=\"fn\"} 3",
        "value2{job=\"fn\"} 1",
        "value_total{job=\"fn\"} 3",
    ];
    shows(&gateway, &expected);
    // A client that pushes its whole registry again is not counted again.
    push(
        "3",
        &("# TYPE value_total counter\nvalue_total 1\n# TYPE value2 gauge\nvalue2 1\n".to_owned()
            + &histogram("5")),
    );
    shows(&gateway, &expected);
    // An info metric is that of the last push of each instance.
    for version in ["0.0.1", "0.0.2"] {
        push(
            "4",
            &format!("# TYPE version gauge\nversion{{version=\"{version}\"}} 1\n"),
        );
    }
    let shown = samples(&gateway.metrics());
    assert_eq!(
        shown.last().unwrap(),
        "version{job=\"fn\",version=\"0.0.2\"} 1"
    );
    assert_eq!(shown.len(), expected.len() + 1);
}
