//! `[[metric]]`: metrics that are read from a command's output.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{Sandbox, TestGateway, is_alive, kib, of_job};

on_each_gateway!(matches_become_metrics);

/// A job file that runs a script, with further lines behind it.
fn job(script: &str, rest: &str) -> String {
    format!("command = ['sh', '-c', '''{script}''']\n{rest}")
}

fn matches_become_metrics(gateway: &TestGateway) {
    let script = "
        echo '10 records'; echo '20 records and 5 records' >&2; echo 'size: 7 kB'; echo 'size: -1.5e3 kB'
        echo 'took 0.3s'; echo 'took 3s'
        echo 'orders: 12 rows'; echo 'users: 3 rows'; printf 'orders: 30 rows'";
    let rules = r#"
[[metric]]
name = "records_total"
type = "counter"
help = "Records that were read."
pattern = '(\d+) records'

[[metric]]
name = "size_kilobytes"
type = "gauge"
labels = { unit = "kB" }
pattern = 'size: (\S+) kB'

[[metric]]
name = "stdout_records_total"
type = "counter"
stream = "stdout"
pattern = '(\d+) records'

[[metric]]
name = "step_seconds"
type = "histogram"
buckets = [0.5, 1]
pattern = 'took ([0-9.]+)s'

[[metric]]
name = "rows"
type = "gauge"
pattern = '^(?<table>\w+): (?<value>\d+) rows$'

[[metric]]
name = "never_total"
type = "counter"
pattern = 'never'
"#;
    gateway.write("jobs/out.toml", &job(script, rules));
    let run = gateway.run("run out --quiet");
    run.code(0);
    // It is passed on as it is.
    assert!(
        run.stdout().starts_with("10 records\nsize: 7 kB\n"),
        "{}",
        run.stdout()
    );
    assert!(run.stdout().ends_with("users: 3 rows\norders: 30 rows"));
    assert_eq!(run.stderr(), "20 records and 5 records\n");
    let samples = gateway.samples();
    let value = |series: &str| samples[&of_job("out", series)];
    assert_eq!(value("records_total"), 35.0);
    assert_eq!(value(r#"size_kilobytes{unit="kB"}"#), -1500.0);
    assert_eq!(value("stdout_records_total"), 10.0);
    assert_eq!(value(r#"step_seconds_bucket{le="0.5"}"#), 1.0);
    assert_eq!(value("step_seconds_count"), 2.0);
    assert_eq!(value(r#"rows{table="orders"}"#), 30.0);
    assert_eq!(value(r#"rows{table="users"}"#), 3.0);
    assert_eq!(value("never_total"), 0.0);
}

/// A counter counts matches if its pattern captures no number, however often one stands in a line.
#[test]
fn a_counter_without_a_number_counts_matches() {
    let sandbox = Sandbox::new();
    let rule = |name: &str, pattern: &str| {
        format!("[[metric]]\nname = '{name}'\ntype = 'counter'\npattern = '{pattern}'\n")
    };
    let rules = [
        rule("errors_total", "ERROR"),
        rule(
            "by_kind_total",
            r"(?<level>WARN|ERROR) (?:in )?(?<kind>\w+)",
        ),
        // The number is no group, so that it is not read.
        rule("digits_total", r"\d+"),
        rule("optional_total", r"x=(\d+)?"),
        rule("never_total", "NEVER"),
    ];
    let script =
        "echo 'ERROR io ERROR in net'; echo 'WARN io 17 4' >&2; echo x=3; printf 'ERROR io'";
    sandbox.write("jobs/out.toml", job(script, &rules.concat()));
    sandbox.run("run out --quiet").code(0);
    for (series, value) in [
        ("errors_total", 3.0),
        (r#"by_kind_total{kind="io",level="ERROR"}"#, 2.0),
        (r#"by_kind_total{kind="net",level="ERROR"}"#, 1.0),
        (r#"by_kind_total{kind="io",level="WARN"}"#, 1.0),
        ("digits_total", 3.0),
        ("optional_total", 3.0),
        ("never_total", 0.0),
    ] {
        assert_eq!(sandbox.value("out", series), Some(value), "{series}");
    }
}

/// `exec --metric` in place of a job file.
#[test]
fn exec_reads_metrics_too() {
    let sandbox = Sandbox::new();
    let metrics = [
        r"rows_total=(\d+) rows",
        "errors_total=ERROR (?<kind>.*)",
        r"queue=queue=(\d+)",
        r"a:b:gauge=b=(\d+)",
        r"step_seconds:histogram=took (\S+)s",
        r"size:summary=size (\d+)",
    ];
    let options = metrics.iter().flat_map(|metric| ["--metric", metric]);
    let script = "echo 3 rows 4 rows; echo ERROR io; echo queue=5; echo queue=7; echo b=1
        echo took 0.2s >&2; echo size 9";
    let line = ["exec", "--job", "m"].into_iter().chain(options);
    let run = sandbox.run_args(line.chain(["--", "sh", "-c", script]));
    run.code(0);
    assert!(run.stdout().starts_with("3 rows 4 rows\n"));
    for (series, value) in [
        ("rows_total", 7.0),
        (r#"errors_total{kind="io"}"#, 1.0),
        ("queue", 7.0),
        ("a:b", 1.0),
        (r#"step_seconds_bucket{le="0.25"}"#, 1.0),
        (r#"size{quantile="0.5"}"#, 9.0),
    ] {
        assert_eq!(
            sandbox.value("m", series).map(f64::round),
            Some(value),
            "{series}"
        );
    }
}

#[test]
fn exec_refuses_bad_metrics() {
    let sandbox = Sandbox::new();
    for (metric, problem) in [
        ("rows_total", "it needs a pattern behind an ="),
        ("rows", "it needs a pattern behind an ="),
        ("=x", "name \"\" is not a metric name"),
        ("a-b=(x)", "name \"a-b\" is not a metric name"),
        (
            "a:guage=(x)",
            "unknown type \"guage\" (did you mean \"gauge\"?)",
        ),
        (
            "a:=(x)",
            "unknown type \"\" (known: counter, gauge, histogram, summary)",
        ),
        (
            "a=(",
            "pattern \"(\" is not a regular expression: unclosed group",
        ),
        ("a=x", "a is a gauge, and its pattern captures no number"),
        (
            "a:summary=(?<b>x)",
            "a is a summary, and its pattern captures no number",
        ),
        (
            "a_total=(?<job>x)",
            "the label job comes from the grouping key",
        ),
        ("a_total=(?<__b>x)", "\"__b\" is not a label name"),
    ] {
        let run = sandbox.run_args(["exec", "--metric", metric, "--", "true"]);
        run.code(2).err(&format!(
            "invalid value '{metric}' for '--metric <NAME[:TYPE]=PATTERN>'"
        ));
        run.err(problem);
    }
    let twice = [
        "exec",
        "--metric",
        "a=(x)",
        "--metric",
        "a:counter=x",
        "--",
        "true",
    ];
    let run = sandbox.run_args(twice);
    run.code(2)
        .err("--metric a: a is a gauge already, and cannot be a counter too");
    assert!(!sandbox.state_db().exists());
}

/// The example that ships: counters by channel and symbol, which go on over runs.
#[test]
fn the_lines_of_a_collector_are_counted() {
    let sandbox = Sandbox::new();
    let shipped = include_str!("../jobs/stream-collector.toml");
    // The lines that its comment shows.
    let lines = shipped.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 4);
    sandbox.write("collector.log", format!("{}\n", lines.join("\n")));
    let command = "command = [\"stream-collector\"]";
    assert!(shipped.contains(command));
    sandbox.write(
        "jobs/stream-collector.toml",
        shipped.replace(command, "command = ['cat', 'collector.log']"),
    );
    sandbox.run("check jobs/stream-collector.toml").code(0);
    for runs in [1.0, 2.0] {
        sandbox.run("run stream-collector --quiet").code(0);
        for (series, value) in [
            (
                r#"messages_received_total{channel="trades",symbol="BTC-USD"}"#,
                runs,
            ),
            (
                r#"messages_published_total{stream="market:trades",symbol="BTC-USD"}"#,
                runs,
            ),
            (r#"errors_total{error_type="parse_error"}"#, runs),
            ("reconnects_total", runs),
            (
                r#"publish_latency_seconds_bucket{le="0.005",stream="market:trades",symbol="BTC-USD"}"#,
                1.0,
            ),
            (
                r#"publish_latency_seconds_bucket{le="0.001",stream="market:trades",symbol="BTC-USD"}"#,
                0.0,
            ),
        ] {
            let series = format!("collector_{series}");
            assert_eq!(
                sandbox.value("stream-collector", &series),
                Some(value),
                "{series}"
            );
        }
    }
}

#[test]
fn what_is_no_number_is_warned_about() {
    let sandbox = Sandbox::new();
    let rule = "[[metric]]\nname = 'n'\ntype = 'gauge'\npattern = 'n=(\\S*)'\n";
    sandbox.write(
        "jobs/out.toml",
        job("echo n=x; echo n=; printf 'n=\\377\\n'; echo n=5", rule),
    );
    let run = sandbox.command(["run", "out", "--quiet"]).output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    for value in ["\"x\"", "\"\""] {
        let warning = format!("a match of n in the output is left out: {value} is not a number");
        assert!(stderr.contains(&warning), "{stderr}");
    }
    assert_eq!(sandbox.value("out", "n"), Some(5.0));
}

#[test]
fn bad_rules_have_their_place() {
    let sandbox = Sandbox::new();
    for (rule, problem) in [
        ("type = 'gauge'", "2:1: [[metric]] needs the key name"),
        ("name = 'a'", "2:1: [[metric]] needs the key type"),
        (
            "name = 'a-b'\ntype = 'gauge'",
            "3:8: name \"a-b\" is not a metric name",
        ),
        (
            "name = 'a'\ntype = 'guage'",
            "4:8: unknown type \"guage\" (did you mean \"gauge\"?)",
        ),
        (
            "name = 'a'\ntype = 'untyped'",
            "4:8: unknown type \"untyped\"",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npatern = 'x'",
            "5:1: unknown key \"patern\" (did you mean \"pattern\"?)",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npattern = '('",
            "5:11: pattern \"(\" is not a regular expression: unclosed group",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npattern = '(?<job>x)(?<value>y)'",
            "the label job comes from the grouping key",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npattern = '(\\w{1000}){1000}'",
            "5:11: pattern",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npattern = 'ERROR'",
            "5:11: a is a gauge, and its pattern captures no number: put the number into a group, as in 'size: (\\d+)'",
        ),
        (
            "name = 'a'\ntype = 'histogram'\npattern = '(?<step>x)'",
            "5:11: a is a histogram, and its pattern captures no number",
        ),
        (
            "name = 'a'\ntype = 'summary'\npattern = '(?:x)'",
            "5:11: a is a summary, and its pattern captures no number",
        ),
        (
            "name = 'a'\ntype = 'gauge'\n[[metric]]\nname = 'a'\ntype = 'counter'",
            "5:1: a is a gauge already, and cannot be a counter too",
        ),
        (
            "name = 'a'\ntype = 'gauge'\nbuckets = [1]",
            "5:1: buckets are for a histogram, and a is a gauge",
        ),
        (
            "name = 'a'\ntype = 'histogram'\nbuckets = [2, 1]",
            "5:11: buckets must rise",
        ),
        (
            "name = 'a'\ntype = 'histogram'\nbuckets = ['x']",
            "5:12: buckets must be a number",
        ),
        (
            "name = 'a'\ntype = 'summary'\nquantiles = [2]",
            "5:13: quantiles has a quantile",
        ),
        (
            "name = 'a'\ntype = 'gauge'\ncumulative = true",
            "5:1: cumulative is for a counter, and a is a gauge",
        ),
        (
            "name = 'a'\ntype = 'gauge'\nstream = 'stdout'",
            "5:1: stream says where to look",
        ),
        (
            "name = 'a'\ntype = 'gauge'\npattern = 'x'\nstream = 'out'",
            "6:10: unknown stream \"out\"",
        ),
        (
            "name = 'a'\ntype = 'gauge'\nlabels = { __x = '1' }",
            "5:12: \"__x\" is not a label name",
        ),
    ] {
        sandbox.write(
            "jobs/bad.toml",
            format!("command = ['true']\n[[metric]]\n{rule}\n"),
        );
        sandbox.run("check jobs/bad.toml").code(2).err(problem);
    }
    sandbox.write("jobs/bad.toml", "command = ['true']\nmetric = 1\n");
    sandbox
        .run("check jobs/bad.toml")
        .code(2)
        .err("2:10: metric must be a list of tables");
}

/// Neither a gigabyte of output nor a line without end takes more memory.
#[test]
fn memory_is_bounded() {
    let sandbox = Sandbox::new();
    let rule = "tail = 20\n[[metric]]\nname = 'y_total'\ntype = 'counter'\npattern = 'y=(\\d)'\n";
    let script = "head -c 268435456 /dev/zero; echo; yes y=1 | head -c 1048576
        (head -c 268435456 /dev/zero; echo; yes $(seq 2000 | tr -d \"\\n\") | head -c 536870912) >&2";
    sandbox.write("jobs/big.toml", job(script, rule));
    let mut command = sandbox.command(["run", "big", "--quiet"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    while is_alive(child.id()) {
        peak = peak.max(kib(child.id(), "VmHWM"));
        sleep(Duration::from_millis(20));
    }
    assert!((1..40_000).contains(&peak), "{peak} KiB");
    assert!(child.wait().unwrap().success());
    assert_eq!(sandbox.value("big", "y_total"), Some(262_144.0));
    assert_eq!(sandbox.history()[0]["tail"].as_array().unwrap().len(), 20);
}
