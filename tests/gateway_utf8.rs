//! `--push.enable-utf8-names`: names of metrics and labels that are any UTF-8.

use std::io::{Read, Write};

use metricsjob_metrics::text::{self, Limits};
use metricsjob_metrics::{Family, Labels, Names, protobuf};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::common::Sandbox;
use crate::common::own_gateway::OwnGateway;
#[cfg(feature = "real-servers")]
use crate::common::{Finished, Server};

const FLAG: &str = "--push.enable-utf8-names";

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// A gauge and a histogram.
const TEXT: &str = "\
    # HELP \"my.metric\" Some.\n\
    # TYPE \"my.metric\" gauge\n\
    {\"my.metric\", \"label.é\"=\"v\"} 1\n\
    # TYPE \"my.hist\" histogram\n\
    {\"my.hist_bucket\", le=\"1\"} 1\n\
    {\"my.hist_bucket\", le=\"+Inf\"} 2\n\
    {\"my.hist_sum\"} 3\n\
    {\"my.hist_count\"} 2\n\
    plain{\"say \\\"hi\\\"\"=\"x\"} 4\n";

fn gateway() -> OwnGateway {
    OwnGateway::alone(&[FLAG])
}

/// The content type and the body of `/metrics`.
#[track_caller]
fn scrape(gateway: &OwnGateway, accept: &str) -> (String, Vec<u8>) {
    let mut stream = gateway.connect();
    write!(stream, "GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.unwrap() + 4);
    let head = str::from_utf8(head).unwrap();
    assert!(head.contains(" 200 "), "{head}");
    let content_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then_some(value)
    });
    (content_type.unwrap().to_owned(), body.to_owned())
}

#[track_caller]
fn scrape_text(gateway: &OwnGateway, accept: &str) -> String {
    String::from_utf8(scrape(gateway, accept).1).unwrap()
}

/// The lines about what was pushed.
fn pushed(text: &str) -> Vec<&str> {
    let own = [
        "push_time",
        "push_failure",
        "pushgateway_",
        "metricsjob_",
        "process_",
        "http_",
        "errors_total",
        "tokio_",
        "system_",
    ];
    text.lines()
        .filter(|line| !own.iter().any(|own| line.contains(own)))
        .collect()
}

/// What TEXT is in the group of `job="j"`, quoted, and as Prometheus 2 knows it.
const QUOTED: [&str; 10] = [
    "# TYPE \"my.hist\" histogram",
    "{\"my.hist_bucket\",instance=\"\",job=\"j\",le=\"1\"} 1",
    "{\"my.hist_bucket\",instance=\"\",job=\"j\",le=\"+Inf\"} 2",
    "{\"my.hist_sum\",instance=\"\",job=\"j\"} 3",
    "{\"my.hist_count\",instance=\"\",job=\"j\"} 2",
    "# HELP \"my.metric\" Some.",
    "# TYPE \"my.metric\" gauge",
    "{\"my.metric\",instance=\"\",job=\"j\",\"label.é\"=\"v\"} 1",
    "# TYPE plain untyped",
    "plain{instance=\"\",job=\"j\",\"say \\\"hi\\\"\"=\"x\"} 4",
];
const UNDERSCORES: [&str; 10] = [
    "# TYPE my_hist histogram",
    "my_hist_bucket{instance=\"\",job=\"j\",le=\"1\"} 1",
    "my_hist_bucket{instance=\"\",job=\"j\",le=\"+Inf\"} 2",
    "my_hist_sum{instance=\"\",job=\"j\"} 3",
    "my_hist_count{instance=\"\",job=\"j\"} 2",
    "# HELP my_metric Some.",
    "# TYPE my_metric gauge",
    "my_metric{instance=\"\",job=\"j\",label__=\"v\"} 1",
    "# TYPE plain untyped",
    "plain{instance=\"\",job=\"j\",say__hi_=\"x\"} 4",
];

#[test]
fn text_in_and_out() {
    let gateway = gateway();
    gateway.put("/metrics/job/j", TEXT);
    let quoted = scrape_text(&gateway, "text/plain;escaping=allow-utf-8");
    assert_eq!(pushed(&quoted), QUOTED);
    assert_eq!(pushed(&gateway.metrics()), UNDERSCORES);
    // Whoever reads only legacy names can read all of it.
    text::parse(gateway.metrics().as_bytes()).unwrap();
    // What comes out can be pushed again.
    let again = pushed(&quoted).join("\n") + "\n";
    gateway.put("/metrics/job/j", again);
    assert_eq!(
        pushed(&scrape_text(&gateway, "*/*;escaping=allow-utf-8")),
        QUOTED
    );
}

#[test]
fn forms_of_a_scrape() {
    let gateway = gateway();
    gateway.put(
        "/metrics/job/j/U__my_2e_label/v",
        "# TYPE \"a.b_c_total\" counter\n{\"a.b_c_total\"} 1\n",
    );
    let text = "text/plain; version=0.0.4; charset=utf-8; escaping=";
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=";
    let series = "instance=\"\",job=\"j\"";
    for (accept, content_type, line) in [
        (
            "text/plain".to_owned(),
            format!("{text}underscores"),
            format!("a_b_c_total{{{series},my_label=\"v\"}} 1"),
        ),
        (
            "text/plain;escaping=dots".into(),
            format!("{text}dots"),
            format!("a_dot_b__c__total{{{series},my_dot_label=\"v\"}} 1"),
        ),
        (
            "text/plain;escaping=values".into(),
            format!("{text}values"),
            format!("U__a_2e_b__c__total{{U__my_2e_label=\"v\",{series}}} 1"),
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8".into(),
            format!("{text}allow-utf-8"),
            format!("{{\"a.b_c_total\",{series},\"my.label\"=\"v\"}} 1"),
        ),
        (
            "application/openmetrics-text".into(),
            format!("{open}underscores"),
            "# TYPE a_b_c counter".into(),
        ),
        (
            "application/openmetrics-text;escaping=allow-utf-8".into(),
            format!("{open}allow-utf-8"),
            "# TYPE \"a.b_c\" counter".into(),
        ),
        (
            "application/openmetrics-text;escaping=allow-utf-8".into(),
            format!("{open}allow-utf-8"),
            "# EOF".into(),
        ),
    ] {
        let (found, body) = scrape(&gateway, &accept);
        assert_eq!(found, content_type, "{accept}");
        let body = String::from_utf8(body).unwrap();
        assert!(body.lines().any(|found| found == line), "{line}: {body}");
        // The push times have the label too.
        let label = ["my_label", "my_dot_label", "U__my_2e_label", "\"my.label\""];
        let times = body.lines().filter(|line| line.starts_with("push_"));
        assert_eq!(
            times
                .filter(|line| label.iter().any(|label| line.contains(label)))
                .count(),
            2,
            "{body}"
        );
    }
    for (escaping, metric, label) in [
        ("", "a_b_c_total", "my_label"),
        (";escaping=allow-utf-8", "a.b_c_total", "my.label"),
    ] {
        let (content_type, body) = scrape(&gateway, &format!("{PROTOBUF}{escaping}"));
        assert!(content_type.starts_with("application/vnd.google.protobuf"));
        let escaping = match escaping {
            "" => "; escaping=underscores",
            _ => "; escaping=allow-utf-8",
        };
        assert!(content_type.ends_with(escaping), "{content_type}");
        let families = protobuf::decode(&body, &Limits::default()).unwrap();
        let family = families.iter().find(|family| family.name == metric);
        let labels = &family.unwrap().metrics[0].labels;
        assert_eq!(labels.get(label), Some("v"), "{labels:?}");
    }
}

#[test]
fn a_path_names_one_group_however_it_is_written() {
    let gateway = gateway();
    gateway.put("/metrics/job/j/U__my_2e_label/v", "m 1\n");
    gateway.put("/metrics/job/j/my.label/v", "m 2\n");
    gateway.put("/metrics/job/j/my%2Elabel@base64/dg", "m 3\n");
    assert_eq!(
        gateway.samples("m{"),
        [("m{instance=\"\",job=\"j\",my_label=\"v\"}".to_owned(), 3.0)].into()
    );
    // The path's labels win over the body's.
    gateway.put("/metrics/job/j/my.label/v", "m{\"my.label\"=\"w\"} 4\n");
    assert_eq!(gateway.samples("m{").len(), 1);
    let (_, page) = gateway.get("/");
    let path = "/metrics/job/j/U__my_2e_label/v";
    assert!(page.contains(&format!("data-delete=\"{path}\"")), "{page}");
    assert_eq!(gateway.request("DELETE", path, &[], "").0, 202);
    assert!(gateway.samples("push_time").is_empty());
}

#[test]
fn protobuf_in() {
    let gateway = gateway();
    let mut family = Family::gauge("my metric", "Some.", 1.0);
    family.metrics[0].labels = Labels::from([("a.b", "1"), ("c", "2")]);
    let headers = [("Content-Type", PROTOBUF)];
    let push = |family: &Family| {
        let body = protobuf::encode(std::slice::from_ref(family));
        gateway.request("PUT", "/metrics/job/j", &headers, body)
    };
    assert_eq!(push(&family).0, 200);
    let quoted = scrape_text(&gateway, "text/plain;escaping=allow-utf-8");
    assert_eq!(
        pushed(&quoted)[2],
        "{\"my metric\",\"a.b\"=\"1\",c=\"2\",instance=\"\",job=\"j\"} 1"
    );
    for (name, label, reason) in [
        ("", "l", "no name"),
        ("m", "", "is empty"),
        ("m", "__l.x", "reserved"),
    ] {
        family.name = name.into();
        family.metrics[0].labels = Labels::from([(label, "1")]);
        let (status, text) = push(&family);
        assert!(status == 400 && text.contains(reason), "{text}");
    }
}

#[test]
fn such_families_are_checked_like_others() {
    let gateway = gateway();
    gateway.put("/metrics/job/a", TEXT);
    for (body, reason) in [
        (
            "# TYPE \"my.metric\" counter\n{\"my.metric\"} 1\n",
            "is a counter here, but a gauge",
        ),
        ("{\"my.hist_count\"} 1\n", "collides"),
        (
            "{\"m.m\",\"a.b\"=\"1\"} 1\n{\"m.m\",\"a.b\"=\"1\"} 2\n",
            "{\"m.m\",\"a.b\"=\"1\"} appears twice",
        ),
        (
            "{\"m.m\",\"a.b\"=\"1\",\"a.b\"=\"2\"} 1\n",
            "label a.b is given twice",
        ),
        ("{\"\"} 1\n", "no name"),
        ("m{\"\"=\"x\"} 1\n", "no name"),
        ("m{\"__a.b\"=\"x\"} 1\n", "reserved"),
        ("m{\"__name__\"=\"x\"} 1\n", "reserved"),
        ("{m.m} 1\n", "quotes"),
        ("my.metric 1\n", "number"),
    ] {
        let (status, text) = gateway.request("PUT", "/metrics/job/b", &[], body);
        assert!(status == 400 && text.contains(reason), "{body}: {text}");
    }
    assert_eq!(gateway.get("/metrics").0, 200);
    // The same series in another group, by its labels.
    gateway.put("/metrics/job/c/x.y/1", "{\"m.m\",instance=\"\"} 1\n");
    gateway.put("/metrics/job/c", "{\"m.m\",\"x.z\"=\"1\"} 1\n");
    let twice = "{\"m.m\",\"x.y\"=\"1\"} 1\n";
    let (status, text) = gateway.request("PUT", "/metrics/job/c", &[], twice);
    assert!(
        status == 400 && text.contains("is already in the group"),
        "{text}"
    );
}

#[test]
fn names_that_become_the_same_are_one() {
    let gateway = gateway();
    gateway.put(
        "/metrics/job/a",
        "my_metric 1\n{\"my.metric\"} 2\n{\"my-metric\",\"a.b\"=\"x\",a_b=\"y\"} 3\n\
         {\"process.cpu_seconds_total\"} 4\n{\"push.time_seconds\"} 5\n",
    );
    gateway.put(
        "/metrics/job/b",
        "# TYPE \"my:h.h\" histogram\n{\"my:h.h_count\"} 1\n# TYPE my:h_h_count gauge\nmy:h_h_count 2\n",
    );
    for accept in ["text/plain", "application/openmetrics-text"] {
        let text = scrape_text(&gateway, accept);
        let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("my")).collect();
        assert_eq!(
            shown,
            [
                "my:h_h_count{instance=\"\",job=\"b\"} 2",
                "my_metric{instance=\"\",job=\"a\"} 1",
                "my_metric{a_b=\"y\",instance=\"\",job=\"a\"} 3",
            ]
        );
        for name in ["process_cpu_seconds", "push_time_seconds"] {
            assert_eq!(text.matches(&format!("# TYPE {name}")).count(), 1, "{name}");
        }
        if accept == "text/plain" {
            text::parse_strictly(text.as_bytes()).unwrap();
        }
    }
    let (_, body) = scrape(&gateway, PROTOBUF);
    let families = protobuf::decode(&body, &Limits::default()).unwrap();
    let family = families.iter().find(|family| family.name == "my_metric");
    assert_eq!(family.unwrap().metrics.len(), 2);
}

#[test]
fn groups_stay_when_it_ends() {
    let sandbox = Sandbox::new();
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    let path = "/metrics/job/j/U__my_2e_label/v";
    let shown = |gateway: &OwnGateway| {
        let text = scrape_text(gateway, "text/plain;escaping=allow-utf-8");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("job=")).collect();
        lines.join("\n")
    };
    let mut gateway = OwnGateway::start(&dir, &[FLAG]);
    gateway.put(path, TEXT);
    let all = shown(&gateway);
    assert!(
        all.contains("\"label.é\"=\"v\",\"my.label\"=\"v\""),
        "{all}"
    );
    // From the log first, then from the rows; with the flag and without.
    gateway.kill();
    for flags in [&[][..], &[FLAG], &[]] {
        gateway = OwnGateway::start(&dir, flags);
        assert_eq!(shown(&gateway), all, "{}", gateway.log());
        assert!(!gateway.log().contains("could not be read"));
        let (content_type, body) = scrape(&gateway, "text/plain");
        assert!(
            content_type.ends_with("; escaping=underscores"),
            "{content_type}"
        );
        text::parse_strictly(&body).unwrap();
        assert_eq!(gateway.terminate(), Some(0));
    }
    // What runs on this machine sees them too.
    let status = sandbox.run("status --output json").code(0).json();
    assert_eq!(status[0]["grouping"]["my.label"], "v");
    sandbox.run("status").code(0).out("my.label");
    sandbox.run_with_input("push --job k", "m 1\n").code(0);
    gateway = OwnGateway::start(&dir, &[]);
    assert_eq!(gateway.samples("m{").len(), 1);
    let url = gateway.url();
    let status = sandbox.run(&format!("status --gateway {url} --output json"));
    assert_eq!(status.code(0).json()[0]["grouping"]["my.label"], "v");
    assert_eq!(gateway.request("POST", path, &[], TEXT).0, 400);
    assert!(shown(&gateway).contains("my.metric"));

    let other = Sandbox::new();
    other.run(&format!("gateway import {url}")).code(0);
    let dir = other.state_db().parent().unwrap().to_owned();
    let imported = shown(&OwnGateway::start(&dir, &[]));
    let line = "plain{instance=\"\",job=\"j\",\"my.label\"=\"v\",\"say \\\"hi\\\"\"=\"x\"} 4";
    assert!(imported.contains(line), "{imported}");
    assert!(imported.contains("\"my.hist_count\""), "{imported}");
}

#[test]
fn the_api_and_the_page_show_names_as_they_are() {
    let gateway = gateway();
    gateway.put("/metrics/job/j/U__my_2e_label/v", TEXT);
    let (_, api) = gateway.get("/api/v1/metrics");
    let api: Json = serde_json::from_str(&api).unwrap();
    let group = &api["data"][0];
    assert_eq!(group["labels"]["my.label"], "v");
    let metric = &group["my.metric"]["metrics"][0];
    assert_eq!(metric["labels"]["label.é"], "v");
    assert_eq!(group["my.hist"]["metrics"][0]["count"], "2");
    let (_, page) = gateway.get("/");
    for text in [
        "my.metric",
        "my.hist",
        "&quot;my.label&quot;=&quot;v&quot;",
        "label.é",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let (_, status) = gateway.get("/api/v1/status");
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!(status["data"]["flags"]["push.enable-utf8-names"], "true");
}

#[test]
fn without_the_flag_they_are_refused() {
    let gateway = OwnGateway::alone(&[]);
    let refused = |path: &str, headers: &[(&str, &str)], body: &[u8], reason: &str| {
        let (status, text) = gateway.request("PUT", path, headers, body);
        assert!(
            status == 400 && text.contains(reason),
            "{path}: {status} {text}"
        );
    };
    refused(
        "/metrics/job/j/my.label/v",
        &[],
        b"m 1\n",
        "improper label name \"my.label\"",
    );
    for line in TEXT.lines().filter(|line| !line.contains("hist")) {
        let body = format!("{line}\n");
        let reason = match line.starts_with('#') {
            true => "invalid metric name in a comment, at \"\\\"my.metric\\\"\"",
            false if line.starts_with('{') => {
                "expected a metric name, found \"{\\\"my.metric\\\",\""
            }
            false => "expected a label name or }, found",
        };
        refused("/metrics/job/j", &[], body.as_bytes(), reason);
    }
    let mut family = Family::gauge("my.metric", "", 1.0);
    let headers = [("Content-Type", PROTOBUF)];
    let body = protobuf::encode(std::slice::from_ref(&family));
    refused(
        "/metrics/job/j",
        &headers,
        &body,
        "\"my.metric\" is not a metric name",
    );
    family.name = "m".into();
    family.metrics[0].labels = Labels::from([("a.b", "1")]);
    let body = protobuf::encode(std::slice::from_ref(&family));
    refused(
        "/metrics/job/j",
        &headers,
        &body,
        "label a.b, which is not a label name",
    );
    // What looks escaped is a name like any other.
    gateway.put("/metrics/job/j/U__my_2e_label/v", "m 1\n");
    let series = "m{U__my_2e_label=\"v\",instance=\"\",job=\"j\"} 1";
    let (content_type, body) = scrape(&gateway, "text/plain;escaping=allow-utf-8");
    assert_eq!(content_type, text::CONTENT_TYPE);
    assert!(String::from_utf8(body).unwrap().contains(series));
    let (_, status) = gateway.get("/api/v1/status");
    assert!(
        status.contains("\"push.enable-utf8-names\":\"false\""),
        "{status}"
    );
}

proptest! {
    #[test]
    fn any_names_come_back(
        name in ".+|\\PC+|[a-z\\\\\"\n{}=,]+",
        labels in prop::collection::btree_map(".+|[a-z\\\\\"\n{}=,#]+", ".*", 0..4),
    ) {
        prop_assume!(!labels.contains_key("__name__"));
        let mut family = Family::gauge(name, "Some.\n", 1.0);
        family.metrics[0].labels = labels.into_iter().collect();
        let families = [family];
        let text = text::encode(&families);
        let limits = Limits::default();
        let read = text::parse_names(text.as_bytes(), &limits, Names::Utf8);
        prop_assert_eq!(read.as_deref(), Ok(&families[..]), "{}", text);
        // Without them it is the same or nothing.
        if let Ok(read) = text::parse(text.as_bytes()) {
            prop_assert_eq!(read, families);
        }
    }

    /// Text that is taken without the flag means the same with it.
    #[test]
    fn other_text_is_read_as_ever(text in "((# (HELP|TYPE) )?[ab_\"]{1,3}[ab{}=\",# ]{0,12} 1\n){0,3}") {
        if let Ok(families) = text::parse(text.as_bytes()) {
            let utf8 = text::parse_names(text.as_bytes(), &Limits::default(), Names::Utf8);
            prop_assert_eq!(utf8, Ok(families));
        }
    }
}

/// Prometheus 2, which knows no other names.
#[cfg(feature = "real-servers")]
#[test]
fn prometheus_2_scrapes() {
    let gateway = gateway();
    gateway.put("/metrics/job/j/U__my_2e_label/v", TEXT);
    let sandbox = Sandbox::new();
    let file = sandbox.write("metrics", pushed(&gateway.metrics()).join("\n") + "\n");
    let mut promtool = std::process::Command::new("promtool");
    promtool.args(["check", "metrics"]);
    promtool.stdin(std::fs::File::open(file).unwrap());
    let found = Finished::from(promtool.output().unwrap());
    // It asks for HELP texts, and finds the text itself good.
    assert!(
        !found.stderr().contains("error while linting"),
        "{}",
        found.stderr()
    );
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: g\n  honor_labels: true\n  \
         static_configs:\n  - targets: [\"{}\"]\n",
        gateway.address()
    );
    let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
    let found = prometheus.wait_for("/api/v1/query?query=my_metric", |body| {
        body.contains("\"metric\"")
    });
    let found: Json = serde_json::from_str(&found).unwrap();
    let metric = &found["data"]["result"][0]["metric"];
    assert_eq!(metric["my_label"], "v");
    assert_eq!(metric["label__"], "v");
    let up = prometheus.wait_for("/api/v1/query?query=up", |body| body.contains("\"metric\""));
    assert!(up.contains("\"1\"]"), "{up}");
}
