//! `push` reads OpenMetrics: what becomes of it in the text format, and what is refused.

use crate::common::{FakeServer, Sandbox, TestGateway, of_job};

on_each_gateway!(openmetrics_arrives);

/// Each type, with all that the format has. The Python client's parser takes it, too.
const TEXT: &str = r#"# HELP jobs Jobs that were \"done\",\nin C:\temp \\ all.
# TYPE jobs counter
jobs_total{kind="a"} 17 # {trace_id="abc"} 1.0 1520879607.789
jobs_created{kind="a"} 1520430000.123
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_bucket{le="0.5"} 1 # {} 0.3
wait_seconds_bucket{le="+Inf"} 3
wait_seconds_sum 4.5
wait_seconds_count 3
wait_seconds_created 1520430000.123
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 10
size_bytes_sum 40
size_bytes_count 4
# HELP build Which it is.
# TYPE build info
build_info{version="1"} 1
# TYPE state stateset
state{state="up"} 1
state{state="down"} 0
# TYPE pool gaugehistogram
pool_bucket{le="1"} 2
pool_bucket{le="+Inf"} 3
pool_gcount 3
pool_gsum 3.5
# TYPE odd unknown
odd -1.5
undeclared_total{path="C:\temp\"\\\n"} 2
# EOF
"#;

const SENT: &str = r#"# HELP jobs_total Jobs that were "done",\nin C:\\temp \\ all.
# TYPE jobs_total counter
jobs_total{kind="a"} 17
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.5"} 1
wait_seconds_bucket{le="+Inf"} 3
wait_seconds_sum 4.5
wait_seconds_count 3
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 10
size_bytes_sum 40
size_bytes_count 4
# HELP build_info Which it is.
# TYPE build_info gauge
build_info{version="1"} 1
# TYPE state gauge
state{state="up"} 1
state{state="down"} 0
# TYPE pool_bucket gauge
pool_bucket{le="1"} 2
pool_bucket{le="+Inf"} 3
# TYPE pool_gcount gauge
pool_gcount 3
# TYPE pool_gsum gauge
pool_gsum 3.5
# TYPE odd untyped
odd -1.5
# TYPE undeclared_total untyped
undeclared_total{path="C:\\temp\"\\\n"} 2
"#;

const LEFT_OUT: &str = "warning: stdin: the times of creation of jobs, wait_seconds, and the exemplars \
                        of jobs, wait_seconds are left out: no gateway keeps them\n";

/// The body that `push` would send of `text`.
#[track_caller]
fn sent(sandbox: &Sandbox, options: &str, text: &str) -> (String, String) {
    let push = sandbox.run_with_input(&format!("push --job j --dry-run {options}"), text);
    let body = push.code(0).stdout();
    let body = body.split_once("\n\n").unwrap().1.to_owned();
    (body, push.stderr())
}

#[test]
fn every_type_is_sent_as_text() {
    let sandbox = Sandbox::new();
    let expected = (SENT.to_owned(), LEFT_OUT.to_owned());
    assert_eq!(sent(&sandbox, "", TEXT), expected);
    // And what is insignificant in text is so here.
    let text = format!("\u{feff}{}", TEXT.replace('\n', " \r\n\n"));
    // Only HELP has all of its line.
    let text = text.replace("all. \r", "all.\r");
    let text = text.replace("is. \r", "is.\r");
    assert_eq!(sent(&sandbox, "", text.trim_end()), expected);
}

fn openmetrics_arrives(gateway: &TestGateway) {
    for options in ["", "--format protobuf --input-format openmetrics"] {
        let options = format!("--job j --method put {options}");
        gateway.push(&options, TEXT).code(0).err(LEFT_OUT);
        let samples = gateway.samples();
        for (series, value) in [
            (r#"jobs_total{kind="a"}"#, 17.0),
            (r#"wait_seconds_bucket{le="0.5"}"#, 1.0),
            ("wait_seconds_sum", 4.5),
            (r#"size_bytes{quantile="0.5"}"#, 10.0),
            ("size_bytes_count", 4.0),
            (r#"build_info{version="1"}"#, 1.0),
            (r#"state{state="down"}"#, 0.0),
            (r#"pool_bucket{le="1"}"#, 2.0),
            ("pool_gsum", 3.5),
            ("odd", -1.5),
        ] {
            assert_eq!(
                samples.get(&of_job("j", series)),
                Some(&value),
                "{series}: {samples:#?}"
            );
        }
        let created = samples.keys().find(|series| series.contains("_created"));
        assert_eq!(created, None);
    }
}

#[test]
fn what_the_text_is_can_be_said_or_seen() {
    let sandbox = Sandbox::new();
    // In OpenMetrics the name of a counter is without `_total`.
    let open = "# TYPE a counter\na_total 1\n";
    let whole = format!("{open}# EOF\n");
    let counter = "# TYPE a_total counter\na_total 1\n";
    let untyped = "# TYPE a_total untyped\na_total 1\n";
    for (file, text) in [
        ("a.om", &*whole),
        ("a.openmetrics", &whole),
        ("a.prom", &whole),
        ("b.prom", &format!("{open}# EOF\r\n\r\n")),
        ("c.prom", &format!("{open}# EOF")),
    ] {
        sandbox.write(file, text);
        assert_eq!(sent(&sandbox, file, ""), (counter.into(), String::new()));
    }
    for options in [
        "--format openmetrics",
        "--input-format openmetrics",
        "--format openmetrics --input-format openmetrics",
        "--format openmetrics --input-format auto",
    ] {
        let expected = (counter.to_owned(), String::new());
        assert_eq!(sent(&sandbox, options, &whole), expected);
        let cut_off = sandbox.run_with_input(&format!("push --job j {options}"), open);
        cut_off.code(2).err(
            "error: stdin: line 3: there is no # EOF, the last line of OpenMetrics: the text may have been cut off",
        );
    }
    sandbox.write("open.om", open);
    let cut_off = sandbox.run("push --job j open.om");
    cut_off.code(2).err("there is no # EOF");
    // It is a comment to the text format.
    for options in ["--input-format text", "--input-format text a.om"] {
        let (body, warning) = sent(&sandbox, options, &whole);
        assert_eq!(body, untyped);
        assert!(
            warning.contains("HELP and TYPE of a are left out"),
            "{warning}"
        );
    }
    sandbox
        .run_with_input("push --job j --input-format text --format openmetrics", "")
        .code(2)
        .err("--input-format text and --format openmetrics both say what the text is");
    sandbox
        .run("status --format openmetrics")
        .code(2)
        .err("--format openmetrics is for push");
    sandbox
        .run("push --help")
        .code(0)
        .out("--input-format <FORMAT>")
        .out("--format openmetrics");
}

/// How metrics are sent has nothing to do with how they are read.
#[test]
fn the_format_that_is_sent_stays() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_GATEWAY", server.url())
        .variable("METRICSJOB_FORMAT", "protobuf");
    sandbox
        .run_with_input("push --job j", "# TYPE a gauge\na 1\n# EOF\n")
        .code(0)
        .quiet_stderr();
    sandbox
        .run_with_input("push --job j --format openmetrics", "# EOF\n")
        .code(0)
        .err("stdin holds no metrics");
    let requests = server.requests();
    let has = |index: usize, value: &str| {
        let mut headers = requests[index].headers.iter();
        headers.any(|header| header.contains(value))
    };
    assert!(has(0, "application/vnd.google.protobuf"), "{requests:?}");
    assert!(has(1, "text/plain; version=0.0.4"), "{requests:?}");
}

#[test]
fn nothing_is_lost_in_silence() {
    let sandbox = Sandbox::new();
    let left_out = "so HELP and TYPE are left out\n";
    for (text, warnings) in [
        // The text format.
        ("m 1\n# TYPE m\n# HELP m\n#\n# note\n", String::new()),
        (
            "# TYPE a gauge\n# HELP b Text.\n# TYPE c untyped\nm 1\n",
            format!("warning: stdin: there are no samples of a, b, c, {left_out}"),
        ),
        (
            "# HELP a Text.\n# TYPE a counter\na_total 1\n",
            "warning: stdin: HELP and TYPE of a are left out: they must name its samples, a_total \
             (only OpenMetrics, whose last line is # EOF, has them as here)\n"
                .into(),
        ),
        (
            "# TYPE a counter\n# TYPE a_total counter\na_total 1\n",
            format!("warning: stdin: there are no samples of a, {left_out}"),
        ),
        (
            "# TYPE s summary\ns{quantile=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n",
            "warning: stdin: the text does not have s_sum, s_count, h_sum, and a gateway shows 0 for that\n"
                .into(),
        ),
        // OpenMetrics.
        (
            "# TYPE a counter\n# UNIT b_seconds seconds\n# TYPE c counter\nc_created 1\n# EOF\n",
            format!(
                "warning: stdin: there are no samples of a, b_seconds, c, {left_out}\
                 warning: stdin: the times of creation of c are left out: no gateway keeps them\n\
                 warning: stdin holds no metrics, so only the push time of the group changes\n"
            ),
        ),
        (
            "# TYPE a gauge\na 1 # {x=\"y\"} 2 3.5\n# EOF\n",
            "warning: stdin: the exemplars of a are left out: no gateway keeps them\n".into(),
        ),
    ] {
        assert_eq!(sent(&sandbox, "", text).1, warnings, "{text:?}");
    }
    let many: String = (0..30).map(|n| format!("# TYPE m{n:02} gauge\n")).collect();
    let (_, warnings) = sent(&sandbox, "", &format!("{many}m 1\n"));
    assert!(
        warnings.contains(" m08, m09 and 20 more, so "),
        "{warnings}"
    );
    let many: String = (0..30)
        .map(|n| format!("# TYPE m{n} counter\nm{n}_total 1\n"))
        .collect();
    let (_, warnings) = sent(&sandbox, "", &many);
    assert_eq!(warnings.lines().count(), 11, "{warnings}");
    assert!(warnings.contains("HELP and TYPE of 20 more are left out"));
}

/// A histogram of OpenMetrics without a sum has no count either: it is that of the last bucket.
#[test]
fn counts_of_infinite_buckets() {
    let sandbox = Sandbox::new();
    let text = "# TYPE h histogram\nh_bucket{le=\"-1\"} 2\nh_bucket{le=\"+Inf\"} 5\n";
    for text in [text.to_owned(), format!("{text}# EOF\n")] {
        let (body, _) = sent(&sandbox, "", &text);
        assert!(body.ends_with("h_sum 0\nh_count 5\n"), "{body}");
    }
}

/// Text without its `# EOF`, and what the message says.
const REFUSED: [(&str, &str); 38] = [
    (
        "m 1 1700000000\n",
        "line 1: m has a timestamp: pushed metrics must not have any",
    ),
    ("m 1 1.5e9\n", "line 1: m has a timestamp"),
    (
        "# TYPE a counter\na_created 1 1.5\n",
        "line 2: a_created has a timestamp",
    ),
    (
        "m 1 x\n",
        "expected a timestamp in seconds, or # and an exemplar, after the value, found \"x\"",
    ),
    ("m\n", "line 1: expected a number as value, found \"\""),
    (
        "m 1 # x\n",
        "expected { and an exemplar's labels after #, found \"x\"",
    ),
    (
        "m 1 # {a=\"b\"}\n",
        "expected a number as the exemplar's value, found \"\"",
    ),
    (
        "m 1 # {a=\"b\"} 1 x\n",
        "expected a timestamp in seconds after the exemplar, found \"x\"",
    ),
    (
        "m 1 # {a=\"b\"} 1 2 3\n",
        "unexpected \"3\" after the exemplar",
    ),
    ("m 1 # {a} 1\n", "expected = after the label name a"),
    (
        "# EOF\nm 1\n",
        "line 2: nothing may follow # EOF, and there is \"m\"",
    ),
    (
        "# EOF x\n",
        "line 1: nothing may follow # EOF, and there is \"x\"",
    ),
    (
        "# note\n",
        "line 1: expected HELP, TYPE, UNIT or EOF after #, found \"note\": OpenMetrics has no",
    ),
    (
        "# TYPE m-n gauge\n",
        "expected a metric name after #, found \"-n\"",
    ),
    (
        "# TYPE m untyped\n",
        "unknown TYPE \"untyped\" (known in OpenMetrics: counter, gauge, histogram, gaugehistogram",
    ),
    ("# TYPE m Gauge\n", "unknown TYPE \"Gauge\""),
    (
        "# TYPE m gauge\n# TYPE m gauge\n",
        "line 2: second TYPE line for m",
    ),
    (
        "m 1\n# TYPE m gauge\n",
        "second TYPE line for m, or one after its samples",
    ),
    ("# HELP m a\n# HELP m a\n", "second HELP line for m"),
    ("# UNIT m_a a\n# UNIT m_a a\n", "second UNIT line for m_a"),
    (
        "# UNIT m seconds\n",
        "m has the UNIT \"seconds\", and its name must end in _ and that",
    ),
    (
        "# UNIT seconds seconds\n",
        "its name must end in _ and that",
    ),
    (
        "# TYPE m_a info\n# UNIT m_a a\n",
        "m_a has the UNIT \"a\", and is of the type info, which has none",
    ),
    (
        "# UNIT m_a a\n# TYPE m_a stateset\n",
        "line 2: m_a has the UNIT \"a\"",
    ),
    (
        "# TYPE a_total counter\na_total 1\n",
        "line 2: the counter a_total has no samples of that name in OpenMetrics, only a_total_total, \
         a_total_created: its TYPE and HELP lines must name it a",
    ),
    (
        "# TYPE a counter\na 1\n",
        "the counter a has no samples of that name in OpenMetrics, only a_total",
    ),
    (
        "# TYPE h histogram\nh 1\n",
        "the histogram h has no samples of that name in OpenMetrics, only h_bucket",
    ),
    (
        "# TYPE a counter\na_total -1\n",
        "a_total is a counter, and cannot be -1",
    ),
    (
        "# TYPE a counter\na_total NaN\n",
        "a_total is a counter, and cannot be NaN",
    ),
    (
        "# TYPE a info\na_info{b=\"c\"} 2\n",
        "a_info{b=\"c\"} is an info, which is always 1, not 2",
    ),
    (
        "# TYPE a stateset\na{b=\"c\"} 1\n",
        "a{b=\"c\"} is of a stateset, and needs the label a for its state",
    ),
    (
        "# TYPE a stateset\na{a=\"c\"} 2\n",
        "a{a=\"c\"} is of a stateset, where a state is 1 or 0, not 2",
    ),
    (
        "# TYPE a gaugehistogram\na_bucket{le=\"x\"} 2\n",
        "a_bucket{le=\"x\"} is a bucket, and needs the label le, a number",
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1.5\n",
        "h counts in whole numbers, not 1.5",
    ),
    (
        "# TYPE a counter\n# TYPE a_total gauge\na_total 1\n# TYPE a_total counter\n",
        "line 4: second TYPE line for a_total",
    ),
    ("m 1\nm 2\n", "line 2: m appears twice"),
    ("m{job=\"x\"} 1\n", "carries the label job"),
    ("{\"m\"} 1\n", "expected a metric name, found"),
];

#[test]
fn bad_openmetrics_is_refused_and_nothing_is_sent() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    for (text, message) in REFUSED {
        let push = sandbox.run_with_input(
            "push --job j --input-format openmetrics",
            format!("{text}# EOF\n"),
        );
        push.code(2).err("error: stdin: ").err(message);
        assert_eq!(push.stdout(), "");
    }
    // Where both names can be meant, the sample is one of two families.
    let both =
        "# TYPE a counter\na_total{x=\"1\"} 1\n# TYPE a_total gauge\na_total{x=\"2\"} 1\n# EOF\n";
    let push = sandbox.run_with_input("push --job j", both);
    push.code(2).err("line 4: ");
    assert!(server.requests().is_empty());
    assert!(!sandbox.state_db().exists());
}
