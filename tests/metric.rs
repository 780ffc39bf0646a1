//! Metrics from inside a running command: `metricsjob metric`, and lines appended to its file.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{Finished, Sandbox, TestGateway, US, eventually, finished, of_job, send};

on_each_gateway!(every_kind_is_reported);

/// Runs a script in which `m` is `metricsjob metric`, as the job `m`.
pub fn run(sandbox: &Sandbox, script: &str) -> Finished {
    sandbox.exec(
        "--job m",
        &format!("m() {{ {US} metric \"$@\"; }}\n{script}"),
    )
}

#[test]
fn bounds_may_be_negative() {
    let sandbox = Sandbox::new();
    run(&sandbox, "m observe h -2.5 --buckets -3,-1,0,1e1").code(0);
    for (bound, count) in [("-3", 0.0), ("-1", 1.0), ("0", 1.0), ("10", 1.0)] {
        let series = format!("h_bucket{{le=\"{bound}\"}}");
        assert_eq!(sandbox.value("m", &series), Some(count), "{bound}");
    }
}

fn every_kind_is_reported(gateway: &TestGateway) {
    let script = r#"
        m inc orders_synced_total 5 -l region=eu
        m inc orders_synced_total --label region=eu
        m inc orders_synced_total 0.5 -l region=us --help "Orders."
        m set queue_size 17 --help "Orders still waiting."
        m set queue_size -3
        m observe request_seconds 0.231 --buckets 0.1,0.5,1,5
        m observe request_seconds 0.5
        m observe request_seconds 7
        m observe default_seconds 0.3
        for i in 1 2 3 4 5 6 7 8 9 10; do m observe row_seconds 0.00$i --quantiles 0.5,0.9; done
    "#;
    run(&gateway.sandbox, script).code(0).quiet();
    let samples = gateway.samples();
    let value = |series: &str| samples.get(&of_job("m", series)).copied();
    for (series, expected) in [
        (r#"orders_synced_total{region="eu"}"#, 6.0),
        (r#"orders_synced_total{region="us"}"#, 0.5),
        ("queue_size", -3.0),
        (r#"request_seconds_bucket{le="0.1"}"#, 0.0),
        (r#"request_seconds_bucket{le="0.5"}"#, 2.0),
        (r#"request_seconds_bucket{le="5"}"#, 2.0),
        (r#"request_seconds_bucket{le="+Inf"}"#, 3.0),
        ("request_seconds_count", 3.0),
        ("request_seconds_sum", 7.731),
        (r#"default_seconds_bucket{le="0.25"}"#, 0.0),
        (r#"default_seconds_bucket{le="0.5"}"#, 1.0),
        (r#"default_seconds_bucket{le="10"}"#, 1.0),
        ("row_seconds_count", 10.0),
    ] {
        assert_eq!(value(series), Some(expected), "{series}");
    }
    let median = value(r#"row_seconds{quantile="0.5"}"#).unwrap();
    assert!((0.0039..0.0041).contains(&median), "{median}");
}

#[test]
fn gauges_go_up_and_down() {
    let sandbox = Sandbox::new();
    let script = r#"
        m add connections 3; m sub connections 1 -l pool=a; m sub connections 0.5; m add connections -1
        m set level 5; m add level 2; m set level 1; m add level 0.5
        echo 'plain 4' >>$METRICSJOB_METRICS; m sub plain 1
        m set full +Inf; m add full 1; m set huge 1e308; m add huge 1e308
        m inc n_total 1; m add n_total 1
    "#;
    run(&sandbox, script)
        .code(0)
        .err("line 14 of the job's metrics is left out: huge is too large")
        .err("line 16 of the job's metrics is left out: n_total is a counter already, and not a gauge");
    for (series, value) in [
        ("connections", 1.5),
        (r#"connections{pool="a"}"#, -1.0),
        ("level", 1.5),
        ("plain", 3.0),
        ("full", f64::INFINITY),
        ("huge", 1e308),
        ("n_total", 1.0),
    ] {
        assert_eq!(sandbox.value("m", series), Some(value), "{series}");
    }
}

/// Against the exact quantiles of values that are spread over six orders of magnitude.
#[test]
fn quantiles_are_within_one_percent() {
    let sandbox = Sandbox::new();
    let values: Vec<f64> = (0..10_000)
        .map(|n: u64| 1.0015_f64.powi((n * 7919 % 10_000) as i32) / 1000.0)
        .collect();
    let event = |value: &f64| {
        format!(
            "# metricsjob {{\"name\":\"s\",\"change\":{{\"observe\":{{\"value\":\"{value}\",\
             \"scale\":{{\"quantiles\":[0.0,0.1,0.5,0.9,0.99,1.0]}}}}}}}}\n"
        )
    };
    sandbox.write("events", values.iter().map(event).collect::<String>());
    run(&sandbox, "cat events >>$METRICSJOB_METRICS")
        .code(0)
        .quiet();
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
        let exact = sorted[(quantile * 9999.0) as usize];
        let series = format!("s{{quantile=\"{quantile}\"}}");
        let found = sandbox.value("m", &series).unwrap();
        assert!(
            (found / exact - 1.0).abs() <= 0.01,
            "{quantile}: {found}, {exact}"
        );
    }
}

#[test]
fn lines_of_the_text_format_do_too() {
    let sandbox = Sandbox::new();
    let script = r#"cat >>"$METRICSJOB_METRICS" <<'END'
# HELP rows_total Rows\\n that were read.
# TYPE rows_total counter
rows_total{table="a"} 1
rows_total{table="a"} 2
plain 3.5

# a comment
# TYPE wait_seconds histogram
wait_seconds_bucket{le="1"} 2
wait_seconds_bucket{le="+Inf"} 3
wait_seconds_sum 4
wait_seconds_count 3
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 10
size_bytes_sum 40
size_bytes_count 4
# TYPE rows_total counter
rows_total{table="b\"\\\n"} 7
END
printf 'last_line_without_end 1' >>"$METRICSJOB_METRICS""#;
    run(&sandbox, script).code(0).quiet();
    for (series, value) in [
        (r#"rows_total{table="a"}"#, 2.0),
        (r#"rows_total{table="b\"\\\n"}"#, 7.0),
        ("plain", 3.5),
        (r#"wait_seconds_bucket{le="1"}"#, 2.0),
        (r#"wait_seconds_bucket{le="+Inf"}"#, 3.0),
        ("wait_seconds_count", 3.0),
        (r#"size_bytes{quantile="0.5"}"#, 10.0),
        ("size_bytes_sum", 40.0),
        ("last_line_without_end", 1.0),
    ] {
        assert_eq!(sandbox.value("m", series), Some(value), "{series}");
    }
    let status = sandbox.run("status --output json").json().to_string();
    assert!(
        status.contains(r#""help":"Rows\\n that were read.","#),
        "{status}"
    );
}

#[test]
fn what_does_not_parse_is_left_out_with_its_line() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(100_000);
    sandbox.write("long", format!("long{{a=\"{long}\"}} 1\n"));
    sandbox.write("bytes", b"a{b=\"\xff\"} 1\n");
    let script = r#"
        m inc a_total 1
        echo 'no value' >>$METRICSJOB_METRICS
        m set a_total 5
        echo 'stamped 1 1234567890' >>$METRICSJOB_METRICS
        echo '# TYPE a_total gauge' >>$METRICSJOB_METRICS
        echo '# metricsjob {"name":"x"}' >>$METRICSJOB_METRICS
        echo 'batch_job_success 0' >>$METRICSJOB_METRICS
        echo 'job_label{job="x"} 0' >>$METRICSJOB_METRICS
        cat long bytes >>$METRICSJOB_METRICS
        m observe h 1 --buckets 1,2
        m observe h 1 --buckets 1,3
        echo 'good 2' >>$METRICSJOB_METRICS
    "#;
    let result = run(&sandbox, script);
    result.code(0);
    for line in [
        "line 2 of the job's metrics is left out: expected a number as value, found \"value\"",
        "line 3 of the job's metrics is left out: a_total is a counter already, and not a gauge",
        "line 4 of the job's metrics is left out: stamped has a timestamp",
        "line 5 of the job's metrics is left out: a_total is a counter already, and not a gauge",
        "line 6 of the job's metrics is left out: not an event: missing field `change`",
        "line 9 of the job's metrics is left out: it is too long",
        "line 10 of the job's metrics is left out: it is not UTF-8",
        "line 12 of the job's metrics is left out: h has other buckets or quantiles already",
        "a metric of the job is left out: the metric batch_job_success appears twice",
        "a metric of the job is left out: job_label{job=\"x\"} carries the label job",
    ] {
        result.err(&format!("warning: m: {line}"));
    }
    assert_eq!(result.stderr().lines().count(), 10, "{}", result.stderr());
    assert_eq!(sandbox.value("m", "a_total"), Some(1.0));
    assert_eq!(sandbox.value("m", "good"), Some(2.0));
    assert_eq!(sandbox.value("m", "batch_job_success"), Some(1.0));
    assert_eq!(sandbox.value("m", "h_count"), Some(1.0));
}

#[test]
fn a_flood_of_mistakes_is_summed_up() {
    let sandbox = Sandbox::new();
    let script = "for i in $(seq 1000); do echo 'a b' >>$METRICSJOB_METRICS; done";
    let result = run(&sandbox, script);
    result
        .code(0)
        .err("warning: m: 980 further ones like these");
    assert_eq!(result.stderr().lines().count(), 21);
}

#[test]
fn too_many_series_are_cut_off() {
    let sandbox = Sandbox::new();
    let script = "seq -f 'n{i=\"%.0f\"} 1' 20000 >>$METRICSJOB_METRICS; echo 'n{i=\"1\"} 5' >>$METRICSJOB_METRICS";
    let result = run(&sandbox, script);
    result.code(0).err("the job has more than 10000 series");
    assert_eq!(sandbox.value("m", r#"n{i="1"}"#), Some(5.0));
    assert_eq!(sandbox.value("m", r#"n{i="10000"}"#), Some(1.0));
    assert_eq!(sandbox.value("m", r#"n{i="10001"}"#), None);
}

#[test]
fn two_hundred_processes_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    let script = "
        for i in $(seq 200); do
            (m inc seen_total 1 -l worker=$i; m inc seen_total 2 -l all=yes
             m observe wait_seconds 0.$i --quantiles 0.5; echo \"own{worker=\\\"$i\\\"} $i\" >>$METRICSJOB_METRICS) &
        done; wait";
    run(&sandbox, script).code(0).quiet();
    let samples = sandbox.samples();
    assert_eq!(sandbox.value("m", r#"seen_total{all="yes"}"#), Some(400.0));
    assert_eq!(sandbox.value("m", "wait_seconds_count"), Some(200.0));
    for worker in 1..=200 {
        let value = |name: &str| samples[&of_job("m", &format!(r#"{name}{{worker="{worker}"}}"#))];
        assert_eq!(value("seen_total"), 1.0);
        assert_eq!(value("own"), f64::from(worker));
    }
}

#[test]
fn the_file_may_be_written_anew_or_removed() {
    let sandbox = Sandbox::new();
    let script = "echo 'a 1' >$METRICSJOB_METRICS; echo 'a 2' >$METRICSJOB_METRICS";
    run(&sandbox, script).code(0).quiet();
    assert_eq!(sandbox.value("m", "a"), Some(2.0));
    run(&sandbox, "rm $METRICSJOB_METRICS")
        .code(0)
        .err("warning: m: could not read the job's metrics: No such file");
}

#[test]
fn odd_values() {
    let sandbox = Sandbox::new();
    let script = "m set a NaN; m set b +Inf; m set c -Inf; m set d 1e300; m set e -0.5; m inc f 0";
    run(&sandbox, script).code(0).quiet();
    assert!(sandbox.value("m", "a").unwrap().is_nan());
    assert_eq!(sandbox.value("m", "b"), Some(f64::INFINITY));
    assert_eq!(sandbox.value("m", "c"), Some(f64::NEG_INFINITY));
    assert_eq!(sandbox.value("m", "d"), Some(1e300));
    assert_eq!(sandbox.value("m", "e"), Some(-0.5));
    assert_eq!(sandbox.value("m", "f"), Some(0.0));
}

#[test]
fn wrong_usage() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let sandbox = Sandbox::new().variable("METRICSJOB_METRICS", path);
    for (line, message) in [
        ("inc a -1", "a counter cannot go down, by -1"),
        ("inc a NaN", "a counter cannot go up by NaN"),
        ("inc a-b", "\"a-b\" is not a metric name"),
        ("inc a x", "invalid"),
        ("set a", "<VALUE>"),
        ("set a 1 -l b", "NAME=VALUE"),
        ("set a 1 -l b-c=1", "\"b-c\" is not a label name"),
        ("set a 1 -l __b=1", "\"__b\" is not a label name"),
        ("set a 1 -l b=1 -l b=2", "the label b is given twice"),
        ("add a NaN", "a gauge cannot go up or down by NaN"),
        ("sub a Inf", "a gauge cannot go up or down by -inf"),
        ("add a", "<VALUE>"),
        ("observe a Inf", "inf is no observation"),
        ("observe a 1 --buckets 2,1", "--buckets must rise"),
        ("observe a 1 --buckets NaN", "--buckets has a bound"),
        ("observe a 1 --quantiles 1.5", "--quantiles has a quantile"),
        (
            "observe a 1 --buckets 1 --quantiles 0.5",
            "cannot be used with",
        ),
    ] {
        sandbox.run(&format!("metric {line}")).code(2).err(message);
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), "");
    sandbox
        .run("metric set a 1 --help text -l b=1")
        .code(0)
        .quiet();
    let gone = Sandbox::new().variable("METRICSJOB_METRICS", "/no/such/file");
    gone.run("metric set a 1")
        .code(1)
        .err("could not append to /no/such/file, which METRICSJOB_METRICS names: No such file");
    Sandbox::new()
        .run("metric set a 1")
        .code(2)
        .err("METRICSJOB_METRICS is not set: metric works inside a command");
}

/// `--help` takes a text here, and asks for help where it has none.
#[test]
fn help_is_help_without_a_text() {
    let sandbox = Sandbox::new();
    for line in [
        "metric set --help",
        "metric set -h",
        "metric set a 1 --help",
        "metric --help",
    ] {
        sandbox.run(line).code(0).out("Usage: metricsjob metric");
    }
}

/// A full disk is the job's to know; what other processes append stays whole.
#[test]
fn a_full_disk_is_told() {
    let sandbox = Sandbox::new().variable("METRICSJOB_METRICS", "/dev/full");
    sandbox
        .run("metric set a 1")
        .code(1)
        .err("could not append to /dev/full");
}

/// What a gateway could not take is not in the history either, which would not be readable.
#[test]
fn metrics_that_collide_spoil_nothing() {
    let sandbox = Sandbox::new();
    let result = run(
        &sandbox,
        "m observe h 1; m inc h_sum; m set h_count 3; m set batch_job_runs_total 5",
    );
    result
        .code(0)
        .err("the metric h_sum collides with the histogram h")
        .err("the metric batch_job_runs_total appears twice");
    let names: Vec<_> = sandbox.history()[0]["metrics"].as_array().unwrap().clone();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["name"], "h");
}

#[test]
fn the_runners_counter_is_not_the_jobs() {
    let sandbox = Sandbox::new();
    let job = "command = ['sh', '-c', 'echo \"batch_job_runs_total{outcome=\\\"success\\\"} 100\" >>$METRICSJOB_METRICS']
[[metric]]
name = 'batch_job_runs_total'
type = 'counter'
cumulative = true
";
    sandbox.write("jobs/cheat.toml", job);
    for count in [1.0, 2.0] {
        sandbox
            .run("run cheat --quiet")
            .code(0)
            .err("batch_job_runs_total appears twice");
        let total = r#"batch_job_runs_total{outcome="success"}"#;
        assert_eq!(sandbox.value("cheat", total), Some(count));
    }
}

/// Whatever the job leaves in its place, the run ends.
#[test]
fn the_file_may_become_something_else() {
    let sandbox = Sandbox::new();
    for (what, kind) in [
        ("mkfifo $METRICSJOB_METRICS", "a FIFO"),
        ("mkdir $METRICSJOB_METRICS", "a directory"),
        ("ln -s /dev/zero $METRICSJOB_METRICS", "a device"),
    ] {
        let result = run(&sandbox, &format!("rm $METRICSJOB_METRICS; {what}"));
        result.code(0).err(&format!(
            "could not read the job's metrics: it is {kind}, not a regular file"
        ));
        assert_eq!(result.stderr().lines().count(), 1);
    }
}

#[test]
fn a_counter_does_not_become_infinite() {
    let sandbox = Sandbox::new();
    run(&sandbox, "m inc n 1e308; m inc n 1e308")
        .code(0)
        .err("n is too large");
    assert_eq!(sandbox.value("m", "n"), Some(1e308));
}

/// And no other: another run may be under way, and other users have theirs.
#[test]
fn the_file_of_a_killed_run_is_removed_by_the_next() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    let files = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&tmp).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let start = || {
        sandbox.write("pids", "");
        let script = "sleep 60 & echo $! >../pids; wait";
        let mut command = sandbox.exec_command("", script);
        let child = sandbox.spawn(command.env("TMPDIR", &tmp).current_dir(&tmp));
        let pid = || fs::read_to_string(sandbox.path().join("pids")).unwrap();
        eventually("it has begun", || pid().ends_with('\n'));
        (child, pid().trim().parse().unwrap())
    };
    let (mut killed, its_sleep) = start();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = files();
    assert_eq!(left.len(), 1);
    let (mut goes_on, sleep) = start();
    eventually("it is removed", || files().is_disjoint(&left));
    assert_eq!(files().len(), 1);
    let mut next = sandbox.exec_command("", "test -f \"$METRICSJOB_METRICS\"");
    let next = next.env("TMPDIR", &tmp).output().unwrap();
    Finished::from(next).code(0);
    assert_eq!(files().len(), 1);
    goes_on.kill().unwrap();
    goes_on.wait().unwrap();
    for pid in [its_sleep, sleep] {
        send(pid, Signal::SIGKILL);
    }
}

/// Whoever writes to the file for ever holds up nobody.
#[test]
fn a_file_without_end_is_read_as_far_as_the_job_wrote() {
    let sandbox = Sandbox::new();
    let script = "echo 'before 1' >>$METRICSJOB_METRICS
        (while echo 'x 1'; do :; done >>$METRICSJOB_METRICS 2>/dev/null &
        echo $! >pid)";
    let start = Instant::now();
    run(&sandbox, script).code(0);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(sandbox.value("m", "before"), Some(1.0));
    let pid = fs::read_to_string(sandbox.path().join("pid")).unwrap();
    send(pid.trim().parse().unwrap(), Signal::SIGKILL);
}

#[test]
fn what_is_over_the_limit_is_left_out() {
    let sandbox = Sandbox::new();
    let script = "printf 'a 1\\nb 2\\nc 3\\n' >>$METRICSJOB_METRICS";
    let run = sandbox.exec("--job m --metrics-limit 9", script);
    run.code(0)
        .err("the job's metrics: 3 bytes at the end are left out")
        .err("--metrics-limit");
    let values = ["a", "b", "c"].map(|name| sandbox.value("m", name));
    assert_eq!(values, [Some(1.0), Some(2.0), None]);
    sandbox
        .exec("--job m --metrics-limit 12", script)
        .code(0)
        .quiet_stderr();
    // By default, and with a large file that takes long to read.
    let script = "head -c 80000000 /dev/zero | tr '\\0' x >>$METRICSJOB_METRICS";
    sandbox
        .exec("--job m", script)
        .code(0)
        .err("12891136 bytes at the end are left out");
    sandbox
        .exec("--job m --metrics-limit 1", "true")
        .code(0)
        .quiet();
}

#[test]
fn a_signal_ends_the_reading() {
    let sandbox = Sandbox::new();
    let script = "truncate -s 200G \"$METRICSJOB_METRICS\"";
    let mut command = sandbox.exec_command("--job m --metrics-limit 400GiB", script);
    let run = sandbox.spawn(&mut command);
    eventually("it reads", || {
        let io = fs::read_to_string(format!("/proc/{}/io", run.id())).unwrap();
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.unwrap().parse::<u64>().unwrap() > 100 << 20
    });
    let start = Instant::now();
    send(run.id(), Signal::SIGTERM);
    let run = finished(run);
    assert!(start.elapsed() < Duration::from_secs(5));
    run.err("bytes at the end are left out, because a signal came");
    assert_eq!(sandbox.outcomes(), ["success"]);
}
