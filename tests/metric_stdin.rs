//! `metricsjob metric -`: many metrics from stdin, one a line.

use std::time::{Duration, Instant};

use crate::common::Sandbox;
use crate::metric::run;

#[test]
fn many_are_read_from_stdin() {
    let sandbox = Sandbox::new();
    let lines = [
        "\u{feff}inc orders_total 5 -l region=eu",
        "",
        "   ",
        "# a comment",
        "inc orders_total -l 'region=eu' # and another",
        "set queue_size 17 --help \"Orders still \\\"waiting\\\".\"\r",
        "add queue_size 2",
        "sub queue_size -1",
        r"set labelled 1 -l a='b c' -l d=\#",
        "observe wait_seconds 0.3 --buckets 0.1,0.5",
        "observe row_seconds 2 --quantiles 0.5",
        // The last has no line feed.
        "set last 1",
    ];
    sandbox.write("lines", lines.join("\n"));
    run(&sandbox, "m - <lines").code(0).quiet();
    for (series, value) in [
        (r#"orders_total{region="eu"}"#, 6.0),
        ("queue_size", 20.0),
        (r##"labelled{a="b c",d="#"}"##, 1.0),
        (r#"wait_seconds_bucket{le="0.5"}"#, 1.0),
        ("row_seconds_count", 1.0),
        ("last", 1.0),
    ] {
        assert_eq!(sandbox.value("m", series), Some(value), "{series}");
    }
    let status = sandbox.run("status --output json").json().to_string();
    assert!(status.contains(r#"Orders still \"waiting\"."#), "{status}");
}

/// Each bad line is told with its number; the others count.
#[test]
fn bad_lines_of_stdin_do_not_spoil_the_others() {
    let sandbox = Sandbox::new();
    let long = format!("inc long_total 1 -l a={}\n", "x".repeat(100_000));
    let mut text = b"inc a_total 1\n".to_vec();
    for bad in [
        &b"incr a_total"[..],
        b"inc",
        b"inc a_total x",
        b"inc a_total -1",
        b"set a-b 1",
        b"set b 1 -l c=1 -l c=2",
        b"observe h 1 --buckets 2,1",
        b"inc a_total 'x",
        b"inc a_total --help",
        b"inc a_total -h",
        b"-",
        b"inc b_total 1 -l c=\0",
        b"inc b_total 1 -l c=\xff",
        b"metricsjob metric inc a_total",
    ] {
        text.extend_from_slice(bad);
        text.push(b'\n');
    }
    text.extend_from_slice(long.as_bytes());
    text.extend_from_slice(b"inc a_total 2\n");
    sandbox.write("lines", text);
    let result = run(&sandbox, "m - <lines; echo \"code $?\"");
    result.code(0).out("code 1\n");
    for (number, problem) in [
        (2, "unrecognized subcommand 'incr'"),
        (
            3,
            "the following required arguments were not provided: <NAME>",
        ),
        (
            4,
            "invalid value 'x' for '[VALUE]': is not a number (for example 17, 0.5 or 1e6)",
        ),
        (5, "a counter cannot go down, by -1"),
        (6, "\"a-b\" is not a metric name"),
        (7, "the label c is given twice"),
        (8, "--buckets must rise"),
        (9, "a quote, or a \\ at its end, is left open"),
        (10, "a value is required for '--help <TEXT>'"),
        (11, "it asks for help"),
        (12, "unrecognized subcommand '-'"),
        (13, "it has a NUL character"),
        (14, "it is not UTF-8"),
        (15, "unrecognized subcommand 'metricsjob'"),
        (16, "it is too long"),
    ] {
        result.err(&format!("warning: line {number}: {problem}"));
    }
    result.err("error: 15 of 17 lines of stdin could not be read; the others count");
    assert_eq!(result.stderr().lines().count(), 16, "{}", result.stderr());
    assert_eq!(sandbox.value("m", "a_total"), Some(3.0));
}

#[test]
fn a_flood_of_bad_lines_is_summed_up() {
    let sandbox = Sandbox::new();
    let result = run(&sandbox, "yes bad | head -1000 | m -");
    result.code(1).err("warning: 980 further ones like these");
    // The last two are the error, and that the command failed.
    assert_eq!(result.stderr().lines().count(), 23);
}

/// Writers at once, each with many lines, keep apart; so do slow ones, whose lines are there before more comes.
#[test]
fn many_lines_of_many_writers() {
    let sandbox = Sandbox::new();
    let script = "
        for i in 1 2 3 4; do yes 'inc seen_total 1 -l all=yes' | head -25000 | m - & done; wait
        mkfifo lines; m - <lines & exec 3>lines; echo 'set slow 1' >&3
        until grep -q slow $METRICSJOB_METRICS; do sleep 0.02; done; exec 3>&-; wait";
    let start = Instant::now();
    run(&sandbox, script).code(0).quiet();
    // The program that ships takes about a second for them.
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        sandbox.value("m", r#"seen_total{all="yes"}"#),
        Some(100_000.0)
    );
    assert_eq!(sandbox.value("m", "slow"), Some(1.0));
}

#[test]
fn stdin_needs_a_file_to_write_to() {
    let full = Sandbox::new().variable("METRICSJOB_METRICS", "/dev/full");
    let run = full.run_with_input("metric -", "set a 1\n");
    run.code(1).err("could not append to /dev/full");
    let run = Sandbox::new().run_with_input("metric -", "set a 1\n");
    run.code(2).err("METRICSJOB_METRICS is not set");
}
