//! `push`: text that the user has. What arrives, and what is refused before anything is sent.

use crate::common::{FakeServer, Sandbox, TestGateway, of_job};

on_each_gateway!(
    text_arrives,
    text_from_a_file,
    odd_but_accepted_text,
    insignificant_text_arrives,
    summaries_and_histograms_arrive,
);

fn text_arrives(gateway: &TestGateway) {
    let text = "# HELP a Help \\\\ and \\n.\n# TYPE a counter\na{x=\"1\"} 7\na 2.5e3\n\n# note\nb{y=\"q\\\"\\\\\\n\"} -Inf\n";
    let push = gateway.push("--job j -g site=s", text);
    push.code(0).out("pushed 3 series by POST to ");
    let value = |series: &str| gateway.value("j", series);
    assert_eq!(value(r#"a{site="s",x="1"}"#), Some(7.0));
    assert_eq!(value(r#"a{site="s"}"#), Some(2500.0));
    let odd = r#"b{site="s",y="q\"\\\n"}"#;
    assert_eq!(value(odd), Some(f64::NEG_INFINITY));
}

fn text_from_a_file(gateway: &TestGateway) {
    gateway.write("dir/m.prom", "m 1\n");
    gateway.run("push --job j dir/m.prom").code(0);
    gateway
        .run("push --job j --quiet dir/m.prom")
        .code(0)
        .quiet();
    assert!(gateway.value("j", "m").is_some());
}

/// Each of these the Pushgateway accepts, so we do.
fn odd_but_accepted_text(gateway: &TestGateway) {
    for (text, labels, value) in [
        ("  \tm   1\n", "", 1.0),
        ("m{} 2\n", "", 2.0),
        ("m{a=\"b\",} 3\n", r#"a="b""#, 3.0),
        ("m{ a = \"b\" , c=\"d\" } 4\n", r#"a="b",c="d""#, 4.0),
        ("m{a=\"b\"}5\n", r#"a="b""#, 5.0),
        ("m iNf\n", "", f64::INFINITY),
        ("m +Inf\n", "", f64::INFINITY),
        ("# TYPE m GAUGE\nm .5\n", "", 0.5),
        ("#TYPE m gauge\nm 6.\n", "", 6.0),
        ("# TYPE m\n# HELP m\n#\nm 7\n", "", 7.0),
        ("m{instance=\"i\"} 8\n", r#"instance="i""#, 8.0),
        ("# TYPE other gauge\nm 9\n   ", "", 9.0),
    ] {
        gateway.push("--job j --method put", text).code(0);
        let shown = gateway.value("j", &format!("m{{{labels}}}"));
        assert_eq!(shown, Some(value), "{text:?}");
    }
    gateway.push("--job j --method put", "m nAn\n").code(0);
    assert!(gateway.value("j", "m").unwrap().is_nan());
}

/// Text with what the format calls insignificant, and what is sent of it. A gateway refuses each.
const INSIGNIFICANT: [(&str, &str); 13] = [
    ("m 1", "# TYPE m untyped\nm 1\n"),
    (
        "a 1\nm{b=\"c\"} 2",
        "# TYPE a untyped\na 1\n# TYPE m untyped\nm{b=\"c\"} 2\n",
    ),
    ("m 1\r\n", "# TYPE m untyped\nm 1\n"),
    ("m 1\r", "# TYPE m untyped\nm 1\n"),
    (
        "# HELP m Text.\r\n# TYPE m gauge\r\n\r\n# note\r\nm{b=\"c\"} 1\r\nm 2",
        "# HELP m Text.\n# TYPE m gauge\nm{b=\"c\"} 1\nm 2\n",
    ),
    ("m 1 \n", "# TYPE m untyped\nm 1\n"),
    ("m 1\t \t\n", "# TYPE m untyped\nm 1\n"),
    ("m{b=\"c\"}1\t\r\n", "# TYPE m untyped\nm{b=\"c\"} 1\n"),
    ("# TYPE m gauge \nm 1\n", "# TYPE m gauge\nm 1\n"),
    ("# TYPE m\tcounter\t \r\nm 1\n", "# TYPE m counter\nm 1\n"),
    (
        "# TYPE h histogram\r\nh_bucket{le=\"+Inf\"} 1 \r\nh_sum 1 \r\nh_count 1 ",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    ),
    ("\u{feff}m 1\n", "# TYPE m untyped\nm 1\n"),
    (
        "\u{feff}m{b=\"\u{feff}\"} 1",
        "# TYPE m untyped\nm{b=\"\u{feff}\"} 1\n",
    ),
];

fn insignificant_text_arrives(gateway: &TestGateway) {
    for (text, sent) in INSIGNIFICANT {
        let dry_run = gateway.push("--job j --method put --dry-run", text);
        dry_run.code(0).quiet_stderr();
        let printed = dry_run.stdout();
        assert_eq!(printed.split_once("\n\n").unwrap().1, sent, "{text:?}");
        gateway.push("--job j --method put", text).code(0);
        let arrived = gateway.samples();
        gateway.push("--job k --method put", sent).code(0);
        let clean = gateway.samples();
        for (series, value) in &arrived {
            let of_k = series.replace("job=\"j\"", "job=\"k\"");
            if !series.starts_with("push_") {
                assert_eq!(clean.get(&of_k), Some(value), "{text:?} {series}");
            }
        }
        assert_eq!(clean.len(), 2 * arrived.len(), "{text:?}");
        gateway.run("delete --job k").code(0);
    }
}

fn summaries_and_histograms_arrive(gateway: &TestGateway) {
    let text = "\
# TYPE s summary
s{quantile=\"0.5\",x=\"1\"} 2
s{quantile=\"0.9\",x=\"1\"} 3
s_sum{x=\"1\"} 10
s_count{x=\"1\"} 4
# TYPE h histogram
h_bucket{le=\"0.1\"} 1
h_bucket{le=\"+Inf\"} 3
h_sum 5.5
h_count 3
# TYPE n histogram
n_bucket{le=\"1\"} 2
n_sum 1
n_count 4
";
    gateway.push("--job j", text).code(0).out("pushed 3 series");
    let samples = gateway.samples();
    for (series, value) in [
        (r#"s{x="1",quantile="0.5"}"#, 2.0),
        (r#"s{x="1",quantile="0.9"}"#, 3.0),
        (r#"s_sum{x="1"}"#, 10.0),
        (r#"s_count{x="1"}"#, 4.0),
        (r#"h_bucket{le="0.1"}"#, 1.0),
        (r#"h_bucket{le="+Inf"}"#, 3.0),
        ("h_sum", 5.5),
        ("h_count", 3.0),
        // The bucket that the text left out.
        (r#"n_bucket{le="+Inf"}"#, 4.0),
    ] {
        assert_eq!(
            samples.get(&of_job("j", series)),
            Some(&value),
            "{series}: {samples:#?}"
        );
    }
}

/// Text that is refused, and what the message says. The Pushgateway refuses each of these too.
pub const REFUSED: [(&str, &str); 43] = [
    ("a 1\nm", "line 2: expected a number as value, found \"\""),
    (
        "a 1\n# TYPE m gaug",
        "line 2: unknown TYPE \"gaug\" (known: counter, gauge",
    ),
    ("m\n", "line 1: expected a number as value, found \"\""),
    (
        "m one\n",
        "line 1: expected a number as value, found \"one\"",
    ),
    ("m 1\rn 2\n", "line 1: carriage return within the line"),
    ("m 1\r\r\n", "line 1: carriage return within the line"),
    (
        "a 1\n\nm 1 \r \n",
        "line 3: carriage return within the line",
    ),
    ("# TYPE m gauge\r \n", "line 1: unknown TYPE \"gauge\\r\""),
    ("m 1 x\n", "line 1: expected a timestamp"),
    ("m 1 1.5\n", "line 1: expected a timestamp"),
    ("m 1 2 3\n", "line 1: unexpected \"3\" after the timestamp"),
    ("m 0x1p3\n", "expected a number"),
    ("m 1_000\n", "expected a number"),
    ("m +NaN\n", "expected a number"),
    ("m 1e999\n", "expected a number"),
    ("m 1,5\n", "expected a number"),
    ("1m 1\n", "line 1: expected a metric name, found \"1m\""),
    ("m-n 1\n", "expected a number as value, found \"-n\""),
    ("é 1\n", "expected a metric name"),
    ("{a=\"b\"} 1\n", "expected a metric name"),
    (
        "# TYPE m gauge\n# TYPE m gauge\nm 1\n",
        "line 2: second TYPE line for m",
    ),
    (
        "m 1\n# TYPE m gauge\n",
        "line 2: second TYPE line for m, or TYPE after its samples",
    ),
    (
        "# HELP m a\n# HELP m b\nm 1\n",
        "line 2: second HELP line for m",
    ),
    (
        "# TYPE m guage\n",
        "line 1: unknown TYPE \"guage\" (known: counter, gauge",
    ),
    (
        "# TYPE m gauge x\n",
        "unknown TYPE \"gauge x\" (known: counter, gauge, summary, histogram, untyped)\n",
    ),
    (
        "# TYPE m info\nm_info 1\n",
        "untyped); this is one of OpenMetrics, whose last line is # EOF",
    ),
    ("# TYPE m-n gauge\n", "invalid metric name in a comment"),
    ("# HELP m a\\tb\n", "unknown escape \\t in the HELP text"),
    ("m{a=\"1\",a=\"2\"} 1\n", "the label a is given twice"),
    ("m{__name__=\"x\"} 1\n", "__name__ is reserved"),
    ("m{a} 1\n", "expected = after the label name a, found \"}\""),
    (
        "m{a=1} 1\n",
        "expected \" at the start of the value of label a, found \"1}\"",
    ),
    ("m{a=\"1} 1\n", "the value of label a has no closing \""),
    (
        "m{a=\"\\t\"} 1\n",
        "unknown escape \\t in the value of label a",
    ),
    ("m{,} 1\n", "expected a label name or }, found \",}\""),
    ("m{a=\"1\",,} 1\n", "expected a label name or }"),
    (
        "m{a=\"1\" b=\"2\"} 1\n",
        "expected , or } after a label, found \"b=\\\"2\\\"}\"",
    ),
    ("m{1=\"a\"} 1\n", "expected a label name"),
    ("m{a:b=\"a\"} 1\n", "expected = after the label name a"),
    (
        "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
        "line 2: the label le must be a number, not \"x\"",
    ),
    (
        "# TYPE s summary\ns{quantile=\"\"} 1\n",
        "the label quantile must be a number",
    ),
    ("m 1\n\u{feff}m 1\n", "line 2: expected a metric name"),
    ("\u{feff}\u{feff}m 1\n", "line 1: expected a metric name"),
];

/// Text that parses and is refused all the same.
const INCONSISTENT: [(&str, &str); 12] = [
    (
        "m 1 1700000000000\n",
        "line 1: m has a timestamp: pushed metrics must not have any",
    ),
    ("m 1 0\n", "m has a timestamp"),
    ("m 1\nm 2\n", "line 2: m appears twice"),
    (
        "m{a=\"1\",b=\"2\"} 1\nx 1\nm{b=\"2\",a=\"1\"} 1\n",
        "line 3: m{a=\"1\",b=\"2\"} appears twice",
    ),
    (
        "m{job=\"j\"} 1\n",
        "m{job=\"j\"} carries the label job, which the grouping key sets",
    ),
    (
        "m{site=\"s\"} 1\n",
        "m{site=\"s\"} carries the label site, which the grouping key sets",
    ),
    (
        "m{__a=\"1\"} 1\n",
        "has the label __a, which starts with __ and is reserved",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\nh_sum 1\n# TYPE h_x gauge\nh_x 1\n# TYPE g histogram\ng_bucket{le=\"1\",job=\"x\"} 1\n",
        "carries the label job",
    ),
    (
        "h_count 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n",
        "the metric h_count collides with the histogram h",
    ),
    (
        "s_sum 1\n# TYPE s summary\ns{quantile=\"1\"} 1\n",
        "the metric s_sum collides with the summary s",
    ),
    (
        "h_bucket 1\n# TYPE h histogram\nh_sum 1\n",
        "the metric h_bucket collides with the histogram h",
    ),
    ("# TYPE h histogram\nh_sum 1 5\n", "h has a timestamp"),
];

/// What a gateway would take, and keep otherwise than it was written.
const LOSSY: [(&str, &str); 20] = [
    (
        "# TYPE s summary\ns_count 1\ns_count 2\n",
        "line 3: s appears twice",
    ),
    (
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.50\"} 2\n",
        "line 3: s appears twice",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\n",
        "line 3: h appears twice",
    ),
    (
        "# TYPE s summary\ns 5\n",
        "line 2: s is a summary and needs the label quantile here",
    ),
    (
        "# TYPE h histogram\nh_bucket{x=\"1\"} 5\n",
        "line 2: h{x=\"1\"} is a histogram and needs the label le here",
    ),
    (
        "# TYPE h histogram\nh_count -2\n",
        "line 2: h counts in whole numbers, not -2",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1.5\n",
        "line 2: h counts in whole numbers, not 1.5",
    ),
    (
        "# TYPE s summary\ns_count NaN\n",
        "line 2: s counts in whole numbers, not NaN",
    ),
    (
        "# TYPE s summary\ns{quantile=\"-0\"} 1\ns{quantile=\"0\"} 2\n",
        "line 3: s appears twice",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n",
        "line 2: h is a histogram and needs the label le here, a number",
    ),
    (
        "# TYPE h histogram\nh_sum{le=\"1\"} 1\n",
        "line 2: h is a histogram, whose count and sum have no label le",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_sum 1\n",
        "stdin: h counts 5 in one of its buckets, and 0 in all: its _count is missing",
    ),
    (
        "# TYPE h histogram\nh_count 9223372036854775808\n",
        "line 2: h counts 9223372036854776000, and a gateway does not keep counts of 2^63",
    ),
    (
        "# TYPE s summary\ns_count 1e19\n",
        "line 2: s counts 10000000000000000000, and a gateway does not keep",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} +Inf\n",
        "line 2: h counts +Inf, and a gateway does not keep",
    ),
    (
        "de{x=\"\"} 1\nde 2\n",
        "stdin: de and de{x=\"\"} are one series, because an empty label is the same as none",
    ),
    (
        "de{x=\"\",y=\"1\"} 1\nde{y=\"1\",z=\"\"} 1\n",
        "de{y=\"1\",z=\"\"} and de{x=\"\",y=\"1\"} are one series",
    ),
    (
        "# TYPE h histogram\nh_count{x=\"\"} 1\nh_count 1\n",
        "h and h{x=\"\"} are one series",
    ),
    (
        "push_time_seconds 5\n",
        "the metric push_time_seconds is a gateway's own, which overwrites",
    ),
    (
        "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{a=\"1\"} 5\n",
        "the metric push_failure_time_seconds is a gateway's own",
    ),
];

/// Labels that a histogram or summary needs for itself cannot come from the grouping key.
#[test]
fn le_and_quantile_in_the_key() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n";
    let summary = "# TYPE s summary\ns_sum 1\n";
    for (label, text, message) in [
        (
            "le",
            histogram,
            "h, under this grouping key, has the label le, which a histogram uses",
        ),
        (
            "quantile",
            summary,
            "s, under this grouping key, has the label quantile, which a summary uses",
        ),
    ] {
        let push = sandbox.run_with_input(&format!("push --job j -g {label}=5"), text);
        push.code(2).err(message);
    }
    assert!(server.requests().is_empty());
    sandbox
        .run_with_input("push --job j -g le=5", "m 1\n")
        .code(0);
}

#[test]
fn bad_text_is_refused_and_nothing_is_sent() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    for (text, message) in REFUSED.iter().chain(&INCONSISTENT).chain(&LOSSY) {
        let push = sandbox.run_with_input("push --job j -g site=s", text);
        push.code(2).err("error: stdin: ").err(message);
        assert_eq!(push.stdout(), "");
    }
    let push = sandbox.run_with_input("push --job j", b"a 1\nm{a=\"\xff\"} 1\n");
    push.code(2)
        .err("line 2: the value of label a is not UTF-8");
    let push = sandbox.run_with_input("push --job j", b"# HELP m \xff\nm 1\n");
    push.code(2).err("line 1: the HELP text is not UTF-8");
    let push = sandbox.run_with_input("push --job j", b"m\0 1\n");
    push.code(2)
        .err("expected a number as value, found \"\\0\"");
    assert!(server.requests().is_empty());
    assert!(!sandbox.state_db().exists());
}

/// Our refusals are the real server's: none of them is a text that it would have taken.
#[cfg(feature = "real-servers")]
#[test]
fn the_real_pushgateway_refuses_the_same_text() {
    let server = crate::common::Server::pushgateway(&[]);
    for (text, _) in REFUSED {
        let (status, answer) = server.request("POST", "/metrics/job/j", text);
        assert_eq!(status, 400, "{text:?} {answer}");
    }
}

/// Gateways refuse as before what `push` accepts for a person.
#[test]
fn gateways_stay_strict() {
    for server in [
        crate::common::Server::gateway(&[]),
        #[cfg(feature = "real-servers")]
        crate::common::Server::pushgateway(&[]),
    ] {
        for (text, _) in INSIGNIFICANT {
            let (status, answer) = server.request("POST", "/metrics/job/j", text);
            assert_eq!(status, 400, "{text:?} {answer}");
        }
        // As the Pushgateway has it.
        let (status, answer) = server.request("POST", "/metrics/job/j", "push_time_seconds 5\n");
        assert_eq!(status, 200, "{answer}");
        assert!(server.value("j", "push_time_seconds").unwrap() > 1e9);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    let push = sandbox.run("push --job j missing.prom");
    push.code(2)
        .err("error: could not read missing.prom: No such file or directory");
    sandbox
        .run("push --job j .")
        .code(2)
        .err("could not read .: Is a directory");
}

#[test]
fn a_push_that_is_too_large_is_refused() {
    let sandbox = Sandbox::new();
    let file = std::fs::File::create(sandbox.path().join("huge.prom")).unwrap();
    file.set_len(300 * 1024 * 1024).unwrap();
    sandbox
        .run("push --job j huge.prom")
        .code(2)
        .err("it is larger than 64 MiB");
}

#[test]
fn a_hundred_thousand_series() {
    let sandbox = Sandbox::new();
    let text: String = (0..100_000)
        .map(|n| format!("m{{n=\"{n}\"}} {n}\n"))
        .collect();
    sandbox
        .run_with_input("push --job j", text)
        .code(0)
        .out("pushed 100000 series");
    let status = sandbox.run("status --output json").code(0).json();
    let metrics = &status[0]["families"][0]["metrics"];
    assert_eq!(metrics.as_array().unwrap().len(), 100_000);
}
