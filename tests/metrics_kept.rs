//! Metrics that a gateway would keep otherwise than they are meant: a run leaves them out, and reports the
//! others. For `push` see `push.rs`.

use crate::common::{Sandbox, TestGateway, of_job, stamp};

on_each_gateway!(
    a_run_leaves_out_what_would_be_kept_otherwise,
    what_is_kept_is_pushed,
    what_is_insignificant_in_lines,
);

/// Lines of one family, and what the warning says.
const LEFT_OUT: [(&str, &str); 5] = [
    (
        "de{x=\"\"} 1\nde 2",
        "a metric of the job is left out: de{x=\"\"} and de are one series, because an empty label",
    ),
    (
        "push_time_seconds 5",
        "a metric of the job is left out: the metric push_time_seconds is a gateway's own",
    ),
    (
        "push_failure_time_seconds{a=\"b\"} 5",
        "a metric of the job is left out: the metric push_failure_time_seconds is a gateway's own",
    ),
    (
        "# TYPE short histogram\nshort_bucket{le=\"1\"} 2\nshort_sum 2",
        "a metric of the job is left out: short counts 2 in one of its buckets, and 0 in all",
    ),
    (
        "# TYPE many summary\nmany_count 1e19",
        "of the job's metrics is left out: many_count counts 10000000000000000000, and a gateway",
    ),
];

fn a_run_leaves_out_what_would_be_kept_otherwise(gateway: &TestGateway) {
    let lines: Vec<&str> = LEFT_OUT.iter().map(|(lines, _)| *lines).collect();
    let lines = format!("good 1\n{}\nbetter 2\n", lines.join("\n"));
    gateway.write("lines", &lines);
    let run = gateway
        .sandbox
        .exec("--job m", "cat lines >>$METRICSJOB_METRICS");
    for (_, warning) in LEFT_OUT {
        run.code(0).err(warning);
    }
    assert_eq!(run.stderr().lines().count(), LEFT_OUT.len());
    let samples = gateway.samples();
    let value = |name: &str| samples.get(&of_job("m", name));
    for (name, expected) in [
        ("good", 1.0),
        ("better", 2.0),
        ("batch_job_success", 1.0),
        ("push_failure_time_seconds", 0.0),
    ] {
        assert_eq!(value(name), Some(&expected), "{name}");
    }
    assert!(*value("push_time_seconds").unwrap() > 1e9);
    for name in ["de", "short_count", "many_count"] {
        assert_eq!(value(name), None, "{name}");
    }
}

/// Events of `metricsjob metric` are checked alike.
#[test]
fn events_are_left_out_too() {
    let sandbox = Sandbox::new();
    let us = env!("CARGO_BIN_EXE_metricsjob");
    let script = format!(
        "m() {{ {us} metric \"$@\"; }}
         m set de 1 -l x=; m set de 2; m set push_time_seconds 5; m set good 1"
    );
    let run = sandbox.exec("--job m", &script);
    run.code(0)
        .err("de{x=\"\"} and de are one series")
        .err("the metric push_time_seconds is a gateway's own");
    assert_eq!(sandbox.value("m", "good"), Some(1.0));
    assert_eq!(sandbox.value("m", "batch_job_success"), Some(1.0));
}

/// Values next to the limits.
fn what_is_kept_is_pushed(gateway: &TestGateway) {
    let text = "\
de{x=\"\"} 1
de{x=\"1\"} 2
push_time_seconds_total 3
push_time 4
# TYPE h histogram
h_bucket{le=\"0\"} 9223372036854774784
h_sum 1
h_count 9223372036854774784
# TYPE s summary
s_sum 0
s_count -0
# TYPE e histogram
e_bucket{le=\"1\"} 3
e_bucket{le=\"+Inf\"} 4
e_sum 5
";
    gateway.push("--job j", text).code(0).quiet_stderr();
    let samples = gateway.samples();
    for (series, value) in [
        (r#"de{x=""}"#, 1.0),
        (r#"de{x="1"}"#, 2.0),
        ("push_time_seconds_total", 3.0),
        ("push_time", 4.0),
        (r#"h_bucket{le="0"}"#, 9_223_372_036_854_774_784.0),
        ("h_count", 9_223_372_036_854_774_784.0),
        ("s_count", 0.0),
        // The count that the text left out.
        ("e_count", 4.0),
    ] {
        assert_eq!(
            samples.get(&of_job("j", series)),
            Some(&value),
            "{series}: {samples:#?}"
        );
    }
}

fn what_is_insignificant_in_lines(gateway: &TestGateway) {
    let lines = "\u{feff}# HELP a_total Text.\r\n# TYPE a_total counter \t\r\na_total{b=\"c\"} 1 \r\n\
                 plain 2\t\r\n\r\n# TYPE h histogram \nh_bucket{le=\"+Inf\"} 3 \nh_count 3\t\n\
                 \u{feff}appended 4\r\n# metricsjob {\"name\":\"event\",\"change\":{\"set\":\"5\"}}\r\n\
                 last 6 \r";
    gateway.write("lines", lines);
    let script = "cat lines >>$METRICSJOB_METRICS";
    gateway.sandbox.exec("--job m", script).code(0).quiet();
    let samples = gateway.samples();
    for (series, value) in [
        (r#"a_total{b="c"}"#, 1.0),
        ("plain", 2.0),
        ("h_count", 3.0),
        ("appended", 4.0),
        ("event", 5.0),
        ("last", 6.0),
    ] {
        assert_eq!(
            samples.get(&of_job("m", series)),
            Some(&value),
            "{series}: {samples:#?}"
        );
    }
}

/// The lines stay those of the text format, and a carriage return within one is an error.
#[test]
fn lines_are_no_openmetrics() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "lines",
        "a 1\rb 2\n# TYPE c info\n# TYPE d counter\nd_total 1\n# EOF\ngood 1\n",
    );
    let run = sandbox.exec("--job m", "cat lines >>$METRICSJOB_METRICS");
    run.code(0)
        .err("line 1 of the job's metrics is left out: carriage return within the line")
        .err("line 2 of the job's metrics is left out: unknown TYPE \"info\"");
    assert_eq!(run.stderr().lines().count(), 2);
    assert_eq!(sandbox.value("m", "good"), Some(1.0));
    assert_eq!(sandbox.value("m", "d_total"), Some(1.0));
}

/// Entries that an older version put into the outbox are still delivered, whatever the rules are now.
#[test]
fn the_outbox_of_an_older_version() {
    let gateway = TestGateway::embedded();
    gateway.push_down("--job j", "m 1\n");
    let database = rusqlite::Connection::open(gateway.sandbox.state_db()).unwrap();
    let body = "# TYPE de untyped\nde 2\n# TYPE push_time_seconds gauge\npush_time_seconds 5\n";
    let changed = database.execute("UPDATE outbox SET body = ?", [body]);
    assert_eq!(changed, Ok(1));
    stamp(&database);
    gateway.run("outbox flush").code(0);
    assert_eq!(gateway.sandbox.outbox_len(), 0);
    assert_eq!(gateway.sandbox.value("j", "de"), Some(2.0));
}
