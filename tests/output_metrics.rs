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
