//! `GET /metrics?match[]=…`: a part of what was pushed.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::common::own_gateway::OwnGateway;

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

const HISTOGRAM: &str = "# TYPE h histogram\n\
    h_bucket{of=\"a\",le=\"1\"} 1\nh_bucket{of=\"a\",le=\"+Inf\"} 2\nh_sum{of=\"a\"} 3\nh_count{of=\"a\"} 2\n\
    h_bucket{of=\"b\",le=\"5\"} 1\nh_bucket{of=\"b\",le=\"+Inf\"} 1\nh_sum{of=\"b\"} 3\nh_count{of=\"b\"} 1\n";

fn gateway() -> OwnGateway {
    let gateway = OwnGateway::alone(&["--push.enable-utf8-names"]);
    gateway.put(
        "/metrics/job/ci/branch/main",
        "up 1\ndown{reason=\"a} \\\"b\\n\"} 2\ndown{reason=\"\"} 3\n",
    );
    gateway.put(
        "/metrics/job/ci/branch/x",
        "up 4\n{\"my.metric\",\"größe\"=\"süß\"} 5\n",
    );
    gateway.put("/metrics/job/cd", HISTOGRAM);
    gateway
}

fn path(selectors: &[&str]) -> String {
    let parameters = selectors.iter().map(|selector| {
        let selector = utf8_percent_encode(selector, NON_ALPHANUMERIC);
        format!("match[]={selector}")
    });
    format!("/metrics?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// Values of the selected samples, but of the push times only how many there are.
#[track_caller]
fn values(gateway: &OwnGateway, selectors: &[&str]) -> Vec<String> {
    let accept = [("Accept", "text/plain;version=1.0.0;escaping=allow-utf-8")];
    let (status, text) = gateway.request("GET", &path(selectors), &accept, "");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| match line {
        time if time.starts_with("push_") => time.split('{').next().unwrap().to_owned(),
        line => line.rsplit_once(' ').unwrap().1.to_owned(),
    };
    lines.map(value).collect()
}

#[test]
fn a_part_is_shown() {
    let gateway = gateway();
    let h_a = ["1", "2", "3", "2"];
    let h_b = ["1", "1", "3", "1"];
    let h = [h_a, h_b].concat();
    let times = ["push_failure_time_seconds", "push_time_seconds"];
    for (selectors, expected) in [
        (&["up"][..], &["1", "4"][..]),
        (&["{__name__=\"up\"}"], &["1", "4"]),
        (&["{\"up\"}"], &["1", "4"]),
        (&["up{branch=\"main\"}"], &["1"]),
        (&["{__name__=~\"up|down\",branch!~\"x\"}"], &["2", "3", "1"]),
        (&["up{branch=\"main\"}", "down{reason=\"\"}"], &["3", "1"]),
        // Whole values, of which a brace, quotes and a line feed are part.
        (&["down{reason=~\"a.*\"}"], &["2"]),
        (&["down{reason=`a} \"b\n`}"], &["2"]),
        (&["down{reason=\"a\"}"], &[]),
        // A label that is missing is empty.
        (&["up{reason=\"\"}"], &["1", "4"]),
        (&["up{instance!=\"\"}"], &[]),
        (&["{\"my.metric\"}"], &["5"]),
        (&["{\"größe\"=~\"s.+\"}"], &["5"]),
        // What belongs together stays together.
        (&["h"], &h),
        (&["h_bucket"], &h),
        (&["h_sum{of=\"a\"}"], &h_a),
        (&["h{of=\"b\",job=\"cd\"}"], &h_b),
        (&["h_bucket{le=\"5\"}"], &h_b),
        (&["{le=\"+Inf\"}"], &h),
        (&["h{le=\"5\"}"], &[]),
        // Of the gateway itself nothing is shown.
        (&["{__name__=~\"process_.*|metricsjob_.*\"}"], &[]),
        (&["{job=\"other\"}"], &[]),
        (&["push_time_seconds{branch=\"x\"}"], &["push_time_seconds"]),
        (&["{branch=\"x\"}"], &["5", times[0], times[1], "4"]),
    ] {
        assert_eq!(values(&gateway, selectors), expected, "{selectors:?}");
    }
    // All of it, but nothing of the gateway.
    let all = values(&gateway, &["{job=~\".+\"}"]);
    assert_eq!(all.len(), 3 + 2 + 8 + 2 * 3, "{all:?}");
}

#[test]
fn in_each_format() {
    let gateway = gateway();
    let selected = |accept: &str, selectors: &[&str]| {
        let answer = gateway.exchange("GET", &path(selectors), &[("Accept", accept)], "");
        assert_eq!(answer.status, 200);
        answer
    };
    let text = selected("text/plain", &["h{of=\"a\"}"]);
    assert!(
        text.body.starts_with("# TYPE h histogram\nh_bucket{"),
        "{}",
        text.body
    );
    assert_eq!(text.body.lines().count(), 5);
    let text = selected("text/plain", &["{\"my.metric\"}"]).body;
    assert!(text.contains("my_metric{"), "{text}");
    let openmetrics = selected("application/openmetrics-text", &["h{of=\"a\"}"]).body;
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
    assert_eq!(openmetrics.matches("h_count").count(), 1, "{openmetrics}");
    let messages = selected(PROTOBUF, &["h{of=\"a\"}"]).bytes;
    let families = metricsjob_metrics::protobuf::decode_again(&messages).unwrap();
    assert_eq!((families.len(), families[0].metrics.len()), (1, 1));
    assert_eq!(families[0].metrics[0].labels.get("of"), Some("a"));
    let messages = selected(PROTOBUF, &["push_time_seconds"]).bytes;
    let families = metricsjob_metrics::protobuf::decode_again(&messages).unwrap();
    assert_eq!((families.len(), families[0].metrics.len()), (1, 3));
    // Nothing is a response too.
    assert_eq!(selected("text/plain", &["none"]).body, "");
    let zipped = [("Accept-Encoding", "gzip")];
    let answer = gateway.exchange("GET", &path(&["up"]), &zipped, "");
    assert_eq!(answer.headers["content-encoding"], "gzip");
}

#[test]
fn selectors_that_are_none() {
    let gateway = gateway();
    for (selector, message) in [
        ("", "expected {"),
        ("{}", "it selects everything"),
        ("up{", "expected a label name or }"),
        ("up[5m]", "expected { with matchers"),
        ("up{l=~\"(.{1000}){1000}\"}", "bytes when compiled"),
        ("up{l=~\"a**\"}", "a repetition is repeated"),
    ] {
        let (status, body) = gateway.get(&path(&["up", selector]));
        assert_eq!(status, 400, "{selector}");
        assert!(
            body.starts_with("match[]: selector ") && body.contains(message),
            "{body}"
        );
    }
    // Other parameters are for others.
    let (status, body) = gateway.get("/metrics?match=up&x");
    assert_eq!(status, 200);
    assert!(
        body.contains("process_cpu_seconds_total") && body.contains("up{"),
        "{body}"
    );
}

/// A real Prometheus selects the same series, and refuses the same selectors.
#[cfg(feature = "real-servers")]
mod prometheus {
    use std::collections::BTreeSet;

    use serde_json::Value as Json;

    use super::*;
    use crate::common::{Sandbox, Server};

    /// Selectors on which Prometheus 2 and 3 agree: since 3 a dot matches a line feed, and names can be in quotes.
    const SELECTORS: [&str; 61] = [
        r#"up"#,
        r#"up{}"#,
        r#" up { job = "ci" , } "#,
        "up{job=\"ci\" # comment\n}",
        r#"{job="ci"}"#,
        r#"{job='ci'}"#,
        r#"{job=`ci`}"#,
        r#"{job!="ci",job!=""}"#,
        r#"{job!="ci"}"#,
        r#"{}"#,
        r#"{,}"#,
        r#"{job="ci",,}"#,
        r#"{job=""}"#,
        r#"{job=~".*"}"#,
        r#"{job=~".+"}"#,
        r#"{job=~""}"#,
        r#"{job!~""}"#,
        r#"{none="",job="ci"}"#,
        r#"{none!="",job="ci"}"#,
        r#"{none=~".*",job="ci"}"#,
        r#"{none=~".+",job="ci"}"#,
        r#"{job=ci}"#,
        r#"{job=="ci"}"#,
        r#"{job}"#,
        r#"{"#,
        r#"}"#,
        r#"{job="ci"}}"#,
        r#"job="ci""#,
        r#"{9a="ci"}"#,
        r#"{job:x="ci"}"#,
        r#"a:b{job="ci"}"#,
        r#"up{__name__="up"}"#,
        r#"{__name__="up"}"#,
        r#"{__name__=~"u.",__name__!="x"}"#,
        r#"{job=~"c"}"#,
        r#"{job=~"c|ci"}"#,
        r#"{job=~"^ci$"}"#,
        r#"{job=~"(?i)CI"}"#,
        r#"{text=~"(?s:a.b)"}"#,
        r#"{text=~"(?-s:a.b)"}"#,
        r#"{text="a\nb"}"#,
        r#"{text='\141\x0ab'}"#,
        r#"{text="\u0061\nb"}"#,
        "{text=\"a\nb\"}",
        "{text=`a\nb`}",
        r#"{text="\'"}"#,
        r#"{text='\''}"#,
        r#"{text="\q"}"#,
        r#"{text="\777"}"#,
        r#"{text=~"\\w+"}"#,
        r#"{text=~"[ü\\w]+"}"#,
        r#"{text=~"\\d+"}"#,
        r#"{text=~"a{"}"#,
        r#"{text=~"a{1,2}{3}"}"#,
        r#"{text=~"a**"}"#,
        r#"{text=~"[a&&b]"}"#,
        r#"{text=~"[[:alpha:]]"}"#,
        r#"{text=~"[[:foo:]]"}"#,
        r#"{text=~"(?x)a"}"#,
        r#"{text=~"\\Qa{\\E"}"#,
        r#"{text=~"a{1001}"}"#,
    ];

    fn query(selector: &str) -> String {
        let selector = utf8_percent_encode(selector, NON_ALPHANUMERIC);
        format!("/api/v1/query?query={selector}")
    }

    #[test]
    fn selects_the_same() {
        let gateway = OwnGateway::alone(&[]);
        gateway.put("/metrics/job/ci", "up 1\na:b 1\n");
        gateway.put("/metrics/job/cd/x/1", "up 1\n");
        let texts = [
            "a\\nb", "a", "ü", "üa", "a{", "&", "'", "12", "١٢", "[", "aa",
        ];
        let body: String = (texts.iter())
            .map(|text| format!("texts{{text=\"{text}\"}} 1\n"))
            .collect();
        gateway.put("/metrics/job/texts", body);
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: scraped\n  honor_labels: true\n  \
             static_configs: [{{targets: ['{}']}}]\n  metric_relabel_configs:\n  \
             - {{source_labels: [job], regex: 'scraped', action: drop}}\n",
            gateway.address()
        );
        let sandbox = Sandbox::new();
        let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
        prometheus.wait_for(&query("texts"), |body| body.contains("\"metric\""));
        let mut differences = Vec::new();
        for selector in SELECTORS {
            let (status, body) = prometheus.request("GET", &query(selector), "");
            let expected = (status == 200).then(|| series_of(&body));
            let (status, body) = gateway.get(&path(&[selector]));
            let found = (status == 200).then(|| samples_of(&body));
            if expected != found {
                differences.push(format!("{selector}: {expected:?}, not {found:?} ({body})"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    /// Name, job and the label `text` of each series in the response to a query, without those that Prometheus makes.
    fn series_of(body: &str) -> BTreeSet<[String; 3]> {
        let body: Json = serde_json::from_str(body).unwrap();
        let series = body["data"]["result"].as_array().unwrap().iter();
        let series = series.map(|series| {
            ["__name__", "job", "text"].map(|label| {
                let value = series["metric"][label].as_str();
                value.unwrap_or_default().to_owned()
            })
        });
        series.filter(|[_, job, _]| job != "scraped").collect()
    }

    fn samples_of(body: &str) -> BTreeSet<[String; 3]> {
        let limits = metricsjob_metrics::text::Limits::default();
        let names = metricsjob_metrics::Names::Legacy;
        let families = metricsjob_metrics::text::parse_names(body.as_bytes(), &limits, names);
        let families = families.unwrap().into_iter();
        let series = families.flat_map(|family| {
            let series = family.metrics.into_iter();
            series.map(move |metric| {
                let label = |name: &str| metric.labels.get(name).unwrap_or_default().to_owned();
                [family.name.clone(), label("job"), label("text")]
            })
        });
        series.collect()
    }
}
