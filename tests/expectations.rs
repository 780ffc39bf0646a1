//! Expectations of a job: its report has them as metrics under the same names for all jobs.

use crate::common::{Finished, Sandbox, TestGateway, US};

on_each_gateway!(
    limits,
    no_expectations,
    ranges_of_metrics,
    a_range_is_for_all_values,
    only_successes_are_held_against_ranges,
    the_deadline_follows_from_the_last_success,
    the_deadline_of_each_group_is_its_own,
    a_put_keeps_the_deadline,
    a_skipped_run_keeps_the_deadline,
    a_job_file,
    common_names_beside_a_prefix,
);

const DEADLINE: &str = "batch_job_deadline_timestamp_seconds";
const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";

fn exec(gateway: &TestGateway, options: &str, script: &str) -> Finished {
    gateway.sandbox.exec(&format!("--job j {options}"), script)
}

/// `METRIC 1` for a metric that was as expected, 0 for one that was not.
#[track_caller]
fn met(gateway: &TestGateway, metric: &str) -> Option<f64> {
    let series = format!("batch_job_expectation_met{{metric=\"{metric}\"}}");
    gateway.value("j", &series)
}

/// How many seconds after the last success the next one is due.
#[track_caller]
fn age(gateway: &TestGateway, job: &str) -> f64 {
    let value = |name: &str| gateway.value(job, name).unwrap();
    value(DEADLINE) - value(SUCCESS)
}

#[track_caller]
fn is_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-3, "{found} {expected}");
}

fn limits(gateway: &TestGateway) {
    let options = "--max-age 26h --max-duration 90s --slo 0.995 --severity page --owner dba --runbook http://r/a?b";
    exec(gateway, options, "true").code(0);
    let value = |series: &str| gateway.value("j", &format!("batch_job_{series}"));
    is_near(age(gateway, "j"), 93_600.0);
    assert_eq!(value("max_duration_seconds"), Some(90.0));
    assert_eq!(value("slo_ratio"), Some(0.995));
    let info = "alerting_info{owner=\"dba\",runbook=\"http://r/a?b\",severity=\"page\"}";
    assert_eq!(value(info), Some(1.0));
    // A label that was not given is not there; a limit ends nothing.
    let script = "sleep 0.05; exit 3";
    exec(gateway, "--owner ops --max-duration 1ms", script).code(3);
    assert_eq!(value("alerting_info{owner=\"ops\"}"), Some(1.0));
    assert_eq!(value("max_duration_seconds"), Some(0.001));
    assert!(value("duration_seconds").unwrap() > 0.05);
}

/// A report of a job without expectations has none of their families.
fn no_expectations(gateway: &TestGateway) {
    exec(gateway, "", "true").code(0);
    let samples = gateway.samples();
    for name in ["deadline", "max_duration", "expectation", "slo", "alerting"] {
        let name = format!("batch_job_{name}");
        let mut found = samples.keys().filter(|series| series.starts_with(&name));
        assert_eq!(found.next(), None);
    }
}

fn ranges_of_metrics(gateway: &TestGateway) {
    let script = "for m in own_rows=5 bytes=1e9 batch_job_files=0; do
        $US metric set ${m%=*} ${m#*=}
    done";
    let script = script.replace("$US", &US);
    let options = "--expect own_rows=1..10 --expect bytes=..1e8 --expect missing=0.. --expect files=0..0 \
                   --expect batch_job_files=1.. --expect batch_job_bytes=0..";
    exec(gateway, options, &script).code(0);
    for (metric, expected) in [
        ("own_rows", 1.0),
        ("bytes", 0.0),
        ("missing", 0.0),
        ("files", 1.0),
        ("batch_job_files", 0.0),
        // The prefix can be left out, but nothing else is taken for it.
        ("batch_job_bytes", 0.0),
    ] {
        assert_eq!(met(gateway, metric), Some(expected), "{metric}");
    }
    // Another prefix than that of the expectations.
    let script = format!("{} metric set p_rows 3", &*US);
    exec(
        gateway,
        "--prefix p --expect rows=3..3 --expect p_rows=..3",
        &script,
    )
    .code(0);
    assert_eq!(met(gateway, "rows"), Some(1.0));
    assert_eq!(met(gateway, "p_rows"), Some(1.0));
    // They are families of this report: what was expected before is gone.
    assert_eq!(met(gateway, "own_rows"), None);
}

fn a_range_is_for_all_values(gateway: &TestGateway) {
    let script = |second: &str| {
        format!(
            "printf 'rows{{t=\"a\"}} 5\\nrows{{t=\"b\"}} {second}\\n' >>\"$METRICSJOB_METRICS\""
        )
    };
    for (second, expected) in [("6", 1.0), ("0", 0.0), ("NaN", 0.0), ("+Inf", 1.0)] {
        exec(gateway, "--expect rows=1..", &script(second)).code(0);
        assert_eq!(met(gateway, "rows"), Some(expected), "{second}");
    }
    exec(gateway, "--expect rows=1..1e9", &script("+Inf")).code(0);
    assert_eq!(met(gateway, "rows"), Some(0.0));
}

/// A failed run is an alert of its own.
fn only_successes_are_held_against_ranges(gateway: &TestGateway) {
    exec(gateway, "--expect rows=1..", "exit 1").code(1);
    assert_eq!(met(gateway, "rows"), None);
    let script = format!("{} metric set rows 3", &*US);
    exec(gateway, "--expect rows=1..", &script).code(0);
    assert_eq!(met(gateway, "rows"), Some(1.0));
    exec(gateway, "--expect rows=1..", "exit 1").code(1);
    assert_eq!(met(gateway, "rows"), Some(1.0));
    exec(gateway, "--expect rows=1..", "true").code(0);
    assert_eq!(met(gateway, "rows"), Some(0.0));
}

fn the_deadline_follows_from_the_last_success(gateway: &TestGateway) {
    let deadline = || gateway.value("j", DEADLINE);
    // Without a success it is not known.
    exec(gateway, "--max-age 1h", "exit 1").code(1);
    assert_eq!(deadline(), None);
    exec(gateway, "--max-age 1h", "true").code(0);
    is_near(age(gateway, "j"), 3600.0);
    let first = deadline();
    // Other ends are no successes, and may come with a new age.
    exec(gateway, "--max-age 1h", "exit 1").code(1);
    assert_eq!(deadline(), first);
    exec(gateway, "--max-age 1h", "kill -9 $$").code(137);
    assert_eq!(deadline(), first);
    exec(gateway, "--max-age 1h --timeout 50ms", "exec sleep 9").code(124);
    assert_eq!(deadline(), first);
    exec(gateway, "--max-age 2h", "exit 1").code(1);
    is_near(age(gateway, "j"), 7200.0);
    // A report without an age leaves the one that is there.
    exec(gateway, "", "exit 1").code(1);
    is_near(age(gateway, "j"), 7200.0);
    exec(gateway, "--max-age 2h", "true").code(0);
    is_near(age(gateway, "j"), 7200.0);
    assert!(deadline() > first);
}

fn the_deadline_of_each_group_is_its_own(gateway: &TestGateway) {
    exec(gateway, "-g db=a --max-age 1h", "true").code(0);
    exec(gateway, "-g db=b --max-age 1h", "false").code(1);
    let deadline = |db: &str| gateway.value("j", &format!("{DEADLINE}{{db=\"{db}\"}}"));
    assert!(deadline("a").is_some());
    assert_eq!(deadline("b"), None);
}

/// The last success is gone, but when the next one is due is in each report.
fn a_put_keeps_the_deadline(gateway: &TestGateway) {
    let options = "--method put --max-age 1h";
    exec(gateway, options, "true").code(0);
    let deadline = gateway.value("j", DEADLINE);
    assert!(deadline.is_some());
    exec(gateway, options, "false").code(1);
    assert_eq!(gateway.value("j", DEADLINE), deadline);
    assert_eq!(gateway.value("j", SUCCESS), None);
}

fn a_skipped_run_keeps_the_deadline(gateway: &TestGateway) {
    exec(gateway, "--max-age 1h", "true").code(0);
    let deadline = gateway.value("j", DEADLINE);
    let inner = format!(
        "{} exec --job j --lock --max-age 1h --gateway {} -- true",
        &*US,
        gateway.name()
    );
    // The outer run fails, so that it keeps the deadline, too.
    let script = format!("{inner} && exit 7");
    exec(gateway, "--max-age 1h --lock", &script).code(7);
    let skipped = "batch_job_runs_total{outcome=\"skipped\"}";
    assert_eq!(gateway.value("j", skipped), Some(1.0));
    assert_eq!(gateway.value("j", DEADLINE), deadline);
}

fn a_job_file(gateway: &TestGateway) {
    let job =
        "command = ['sh', '-c', '[ -z \"$FAIL\" ] && echo \"m_rows 5\" >>\"$METRICSJOB_METRICS\"']
prefix = 'm'
max_duration = '1h'
slo = 0.9
owner = 'dba'

[[expect]]
metric = 'rows'
min = 1
max = 4.5

[[expect]]
metric = 'm_rows'
min = 1
";
    gateway.write("jobs/j.toml", job);
    gateway.run("run j").code(0);
    assert_eq!(met(gateway, "rows"), Some(0.0));
    assert_eq!(met(gateway, "m_rows"), Some(1.0));
    assert_eq!(gateway.value("j", "batch_job_slo_ratio"), Some(0.9));
    assert_eq!(gateway.value("j", DEADLINE), None);
    // The command line has its say over the file, range by range.
    let options = "--expect rows=..9 --slo 0.5 --max-age 1m";
    gateway.run(&format!("run j {options}")).code(0);
    assert_eq!(met(gateway, "rows"), Some(1.0));
    assert_eq!(met(gateway, "m_rows"), Some(1.0));
    assert_eq!(gateway.value("j", "batch_job_slo_ratio"), Some(0.5));
    is_near(age(gateway, "j"), 60.0);

    // Without an age a schedule decides: at the next multiple of an hour, with a tenth of it as the grace.
    gateway.write("jobs/j.toml", &format!("every = '1h'\n{job}"));
    gateway.run("run j").code(0);
    let success = gateway.value("j", SUCCESS).unwrap();
    let due = ((success / 3600.0).floor() + 1.0) * 3600.0 + 360.0;
    let deadline = gateway.value("j", DEADLINE);
    assert_eq!(deadline, Some(due));
    let mut failing = gateway.sandbox.command(["run", "j"]);
    let failed = failing.env("FAIL", "1").output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(gateway.value("j", DEADLINE), deadline);
    // What may delay a run delays the deadline.
    gateway.write(
        "jobs/j.toml",
        &format!("every = '1h'\njitter = '1m'\n{job}"),
    );
    let mut failing = gateway.sandbox.command(["run", "j"]);
    failing.env("FAIL", "1").output().unwrap();
    assert_eq!(gateway.value("j", DEADLINE), Some(due + 60.0));
}

/// Names that rules use are there with a prefix and without.
fn common_names_beside_a_prefix(gateway: &TestGateway) {
    for (script, code) in [("sleep 0.01", 0), ("exit 5", 5)] {
        exec(gateway, "--prefix own --max-age 1h", script).code(code);
        for name in [
            "success",
            "duration_seconds",
            "last_success_timestamp_seconds",
            "last_completion_timestamp_seconds",
            "runs_total{outcome=\"success\"}",
            "runs_total{outcome=\"failure\"}",
        ] {
            let own = gateway.value("j", &format!("own_{name}"));
            let common = gateway.value("j", &format!("batch_job_{name}"));
            assert!(own.is_some() && own == common, "{name}: {own:?} {common:?}");
        }
    }
    // What is expected of a job has these names alone.
    assert_eq!(gateway.value("j", "own_deadline_timestamp_seconds"), None);
    is_near(age(gateway, "j"), 3600.0);
}

#[test]
fn typed_mistakes() {
    let sandbox = Sandbox::new();
    for (option, why) in [
        ("--slo=99", "is not a number between 0 and 1"),
        ("--slo=1", "is not a number between 0 and 1"),
        ("--max-age=26", "26"),
        ("--max-age=0s", "0s"),
        ("--max-duration=soon", "soon"),
        ("--expect=rows", "the form is METRIC=MIN..MAX"),
        ("--expect=rows=..", "has neither min nor max"),
        ("--expect=rows=5..1", "above its max of 1"),
        ("--expect=a-b=1..", "is no name of a metric"),
    ] {
        sandbox.exec(option, "true").code(2).err(why);
    }
    assert!(sandbox.history().is_empty());
}

/// Mistakes in the environment or the config file keep no job from running.
#[test]
fn mistakes_of_the_host() {
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_SLO", "99")
        .variable("METRICSJOB_MAX_AGE", "never");
    let run = sandbox.exec("--job j --no-push", "true");
    run.code(0).err("METRICSJOB_SLO").err("METRICSJOB_MAX_AGE");

    let sandbox = Sandbox::new();
    sandbox.write(
        ".config/metricsjob/metricsjob.toml",
        "owner = 'dba'\nslo = 99\n",
    );
    let run = sandbox.exec("--job j", "true");
    run.code(0).err("metricsjob.toml:2:7: ");
    assert_eq!(sandbox.value("j", "batch_job_slo_ratio"), None);
    let owner = sandbox.value("j", "batch_job_alerting_info{owner=\"dba\"}");
    assert_eq!(owner, Some(1.0));
}

#[test]
fn mistakes_in_a_job_file() {
    let sandbox = Sandbox::new();
    let job = "command = ['true']
slo = 99
max_age = '26'
max_duration = 0
severity = ''
[[expect]]
metric = 'a'
[[expect]]
metric = 'b'
min = 2
max = 1
[[expect]]
min = 1
[[expect]]
metric = 'c'
min = '1'
[[expect]]
metric = 'd'
mim = 1
[[expect]]
metric = 'e'
min = 1
[[expect]]
metric = 'e'
max = 1
";
    sandbox.write("jobs/bad.toml", job);
    let check = sandbox.run("check jobs/bad.toml");
    let stderr = check.code(2).stderr();
    for (place, why) in [
        (
            "2:7",
            "slo \"99\" is not a number between 0 and 1 (such as 0.99)",
        ),
        ("3:11", "max_age \"26\""),
        ("4:16", "max_duration"),
        ("5:12", "severity must not be empty"),
        ("6:1", "[[expect]] has neither min nor max"),
        (
            "8:1",
            "[[expect]] has a min of 2, which is above its max of 1",
        ),
        ("12:1", "[[expect]] needs the key metric"),
        ("16:7", "min"),
        ("19:1", "unknown key \"mim\" (did you mean \"min\"?)"),
        ("23:1", "e is in two [[expect]]"),
    ] {
        let expected = format!("error: jobs/bad.toml:{place}: {why}");
        assert!(stderr.contains(&expected), "no {expected:?} in\n{stderr}");
    }
    assert_eq!(stderr.lines().count(), 10, "{stderr}");
    sandbox.run("run bad").code(2);
    assert!(sandbox.history().is_empty());
}
