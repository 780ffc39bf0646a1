//! `status --check`: the state of jobs as a monitoring plugin says it.

use crate::common::{FakeServer, Finished, Sandbox, TestGateway, US};

on_each_gateway!(
    the_worst_group_counts,
    jobs_are_chosen_by_their_label,
    warnings,
    the_severity_of_a_job,
    groups_without_runs,
    performance_data,
);

const PAST: &str = "batch_job_deadline_timestamp_seconds 1e9\n";
const FUTURE: &str = "batch_job_deadline_timestamp_seconds 1e11\n";

/// The one line of a check that ends with `code`.
#[track_caller]
fn line(check: &Finished, code: i32) -> String {
    let line = check.code(code).quiet_stderr().stdout();
    let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][code as usize];
    assert!(line.starts_with(&format!("JOBS {word} - ")), "{line}");
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(line.ends_with('\n') && line.len() <= 4096, "{line}");
    assert!(line.matches('|').count() <= 1, "{line}");
    line.trim_end().to_owned()
}

/// The text of the line, without the performance data.
#[track_caller]
fn text(check: &Finished, code: i32) -> String {
    let line = line(check, code);
    let text = line.split(" | ").next().unwrap();
    text.split_once(" - ").unwrap().1.to_owned()
}

fn exec(gateway: &TestGateway, options: &str, script: &str) {
    gateway.sandbox.exec(options, script);
}

fn the_worst_group_counts(gateway: &TestGateway) {
    let check = || gateway.run("status --check");
    assert!(text(&check(), 3).starts_with("no job has reported a run to "));
    exec(gateway, "--job a", "true");
    assert_eq!(text(&check(), 0), "1 job");
    exec(gateway, "--job b -g db=x -g zone=z", "true");
    gateway.push("--job b -g db=x -g zone=z", FUTURE).code(0);
    assert_eq!(text(&check(), 0), "2 jobs");
    // Another group of the same job.
    exec(gateway, "--job b -g db=y", "exit 3");
    let failed = "b db=y failed (exit code 3)";
    assert_eq!(text(&check(), 2), format!("1 of 2 jobs: {failed}"));
    // Nothing has run since, and before.
    gateway.push("--job c", PAST).code(0);
    let all = text(&check(), 2);
    let late = format!("2 of 3 jobs: {failed}; c is late by ");
    assert!(all.starts_with(&late), "{all}");
    // The job has succeeded since.
    exec(gateway, "--job b -g db=y", "true");
    exec(gateway, "--job c", "true");
    assert_eq!(text(&check(), 0), "3 jobs");
    exec(gateway, "--job c", "kill -9 $$");
    assert_eq!(text(&check(), 2), "1 of 3 jobs: c failed (exit code 137)");
}

fn jobs_are_chosen_by_their_label(gateway: &TestGateway) {
    exec(gateway, "--job good", "true");
    exec(gateway, "--job bad", "false");
    exec(gateway, "--job fine -g a=b", "true");
    let check = |jobs: &str| gateway.run(&format!("status --check {jobs}"));
    assert_eq!(text(&check("good fine"), 0), "2 jobs");
    assert_eq!(text(&check("good good"), 0), "1 job");
    text(&check("good bad"), 2);
    let unseen = "has never reported a run";
    let expected = format!("1 of 1 job: goo {unseen}");
    assert_eq!(text(&check("goo"), 3), expected);
    let expected = format!("2 of 3 jobs: no {unseen}; nor {unseen}");
    assert_eq!(text(&check("nor good no"), 3), expected);
    // Something bad that is known is worse than something unknown.
    let expected = format!("2 of 2 jobs: bad failed (exit code 1); no {unseen}");
    assert_eq!(text(&check("no bad"), 2), expected);

    // The choice is the same without a check.
    gateway.run("status fine").code(0).out("\n1 group\n");
    gateway.run("status no").code(0).out("no groups");
    let plain = gateway.run("status good bad --output json").json();
    let check = gateway.run("status good bad --output json --check");
    assert_eq!(check.code(2).quiet_stderr().json(), plain);
    assert_eq!(plain.as_array().unwrap().len(), 2);
    let none = gateway.run("status no --output json --check");
    assert_eq!(none.code(3).json(), serde_json::json!([]));
}

fn warnings(gateway: &TestGateway) {
    let check = || gateway.run("status --check slow met odd refused");
    exec(gateway, "--job slow --max-duration 1ms", "sleep 0.02");
    exec(gateway, "--job met --max-duration 1h", "true");
    exec(
        gateway,
        "--job odd --expect rows=1.. --expect sum=1..",
        "true",
    );
    exec(gateway, "--job refused", "true");
    gateway
        .push(
            "--job refused",
            "# TYPE batch_job_success counter\nbatch_job_success 1\n",
        )
        .code(69);
    let all = text(&check(), 1);
    for part in [
        "3 of 4 jobs: odd has unexpected values of rows, sum; refused had its last push refused; slow took ",
        " (at most 1ms)",
    ] {
        assert!(all.contains(part), "{all}");
    }
    // A warning does not hide that a job may never have run.
    text(&gateway.run("status --check slow no"), 3);
    text(&gateway.run("status --check met"), 0);
    // Those of a group are told together.
    exec(
        gateway,
        "--job slow --max-duration 1ms",
        "sleep 0.02; exit 5",
    );
    let both = text(&gateway.run("status --check slow"), 2);
    assert!(both.contains("slow failed (exit code 5), took "), "{both}");
    assert!(both.starts_with("1 of 1 job: "), "{both}");
}

fn the_severity_of_a_job(gateway: &TestGateway) {
    for (severity, code) in [("warning", 1), ("info", 1), ("critical", 2), ("page", 2)] {
        let options = format!("--job {severity} --severity {severity}");
        exec(gateway, &options, "false");
        text(&gateway.run(&format!("status --check {severity}")), code);
        let late = format!("{severity}_late");
        let options = format!("--job {late} --severity {severity}");
        exec(gateway, &format!("{options} --max-age 1ms"), "true");
        crate::common::eventually("it is late", || {
            gateway.run(&format!("status --check {late}")).code_is(code)
        });
    }
    text(&gateway.run("status --check warning critical info"), 2);
    // An owner alone is no severity.
    exec(gateway, "--job owned --owner dba", "false");
    text(&gateway.run("status --check owned"), 2);
}

/// Those of programs that push metrics and do not say how they ended.
fn groups_without_runs(gateway: &TestGateway) {
    gateway.push("--job plain", "m 1\n").code(0);
    let all = text(&gateway.run("status --check"), 3);
    assert!(all.starts_with("no job has reported a run to "), "{all}");
    exec(gateway, "--job j", "true");
    assert_eq!(text(&gateway.run("status --check"), 0), "1 job");
    let expected = "1 of 1 job: plain has never reported a run";
    assert_eq!(text(&gateway.run("status --check plain"), 3), expected);
    // A program of somebody else, which says so in its own words.
    let other = "x_last_completion_timestamp_seconds 1e9\nx_success 0\n";
    gateway.push("--job other", other).code(0);
    let expected = "1 of 2 jobs: other failed";
    assert_eq!(text(&gateway.run("status --check"), 2), expected);
}

fn performance_data(gateway: &TestGateway) {
    exec(
        gateway,
        "--job b --max-age 26h --max-duration 1h30m",
        "true",
    );
    exec(
        gateway,
        "--job b -g db=x --max-age 26h --severity warning",
        "true",
    );
    exec(gateway, "--job c", "false");
    exec(gateway, "--job a -g path=a|'b'=é", "true");
    let line = line(&gateway.run("status --check"), 2);
    let items: Vec<(&str, &str)> = line
        .split_once(" | ")
        .unwrap()
        .1
        .split(' ')
        .map(|item| item.split_once('=').unwrap())
        .collect();
    let labels: Vec<&str> = items.iter().map(|(label, _)| *label).collect();
    assert_eq!(
        labels,
        [
            "'a/path/a%7C%27b%27%3D%C3%A9_age'",
            "'a/path/a%7C%27b%27%3D%C3%A9_duration'",
            "'b_age'",
            "'b_duration'",
            "'b/db/x_age'",
            "'b/db/x_duration'",
            "'c_duration'",
        ]
    );
    let limits = |index: usize| {
        let (value, limits) = items[index].1.split_once("s;").unwrap();
        let value: f64 = value.parse().unwrap();
        assert!((0.0..600.0).contains(&value), "{line}");
        limits
    };
    assert_eq!(limits(0), ";;0");
    assert_eq!(limits(2), ";93600;0");
    assert_eq!(limits(3), "5400;;0");
    assert_eq!(limits(4), "93600;;0");
    assert_eq!(limits(5), ";;0");
    assert_eq!(limits(6), ";;0");
}

#[test]
fn a_run_in_progress() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "false").code(1);
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let options = "--job j --push-start --max-duration 1h";
    let child = sandbox.spawn(&mut sandbox.exec_command(options, script));
    let check = || sandbox.run("status --check j");
    crate::common::eventually("it is running", || check().code_is(0));
    assert_eq!(text(&check(), 0), "1 job");
    // It has begun long ago.
    let started = "batch_job_start_timestamp_seconds 1e9\nbatch_job_max_duration_seconds 60\n";
    sandbox.run_with_input("push --job j", started).code(0);
    let long = text(&check(), 1);
    assert!(long.starts_with("1 of 1 job: j has run for "), "{long}");
    assert!(long.ends_with(" (at most 1m)"), "{long}");
    sandbox.write("end", "");
    crate::common::finished(child).code(0);
    text(&check(), 0);
}

#[test]
fn its_own_errors_are_unknown() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "true").code(0);
    let refused = sandbox.run("status --check j --gateway http://127.0.0.1:1");
    assert!(text(&refused, 3).contains("127.0.0.1:1"));
    let server = FakeServer::status("500 Internal Server Error", "no | \x07\n\n'");
    let broken = sandbox.run(&format!("status --check --gateway {}", server.url()));
    assert!(text(&broken, 3).contains("500"));
    // Usage that we find wrong, and that the parser finds wrong.
    text(&sandbox.run("status --check --gateway a://b"), 3);
    sandbox.run("status --check --bogus").code(3).err("--bogus");
    sandbox.run("status j --output=x --check").code(3);
    sandbox.run("--color never status --check --x").code(3);
    sandbox.run("status --bogus").code(2);
    sandbox.run("status --gateway a://b").code(2);
    sandbox.run("status --help --check").code(0);
    // JSON has no place for it.
    let json = sandbox.run("status --check --output json --gateway http://127.0.0.1:1");
    json.code(3).err("error: ");
    assert_eq!(json.stdout(), "");
    // The config file.
    let config = ["--config", "nowhere.toml"];
    let missing = sandbox.run_args(["status", "--check"].iter().chain(&config));
    text(&missing, 3);
    sandbox.run("status --config nowhere.toml").code(2);
}

#[test]
fn a_stdout_that_takes_nothing_is_unknown() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "true").code(0);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = sandbox.command(["status", "--check", "j"]);
    let run = command.stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(3));
}

/// A program that reads stderr, too, must not take a remark for the line.
#[test]
fn remarks_are_left_to_the_table() {
    let sandbox = Sandbox::new();
    sandbox
        .exec("--job j -g a=b --gateway embedded", "true")
        .code(0);
    sandbox.write(".config/metricsjob/metricsjob.toml", "bogus = 1\n");
    sandbox.run("status").code(0).err("bogus");
    assert_eq!(text(&sandbox.run("status --check"), 0), "1 job");
}

#[test]
fn it_is_one_line_whatever_was_pushed() {
    let sandbox = Sandbox::new();
    for name in ["a|b\nc\x1b[2J\u{2028}'\"=;", "a|b 'c", "\u{202e}", "%"] {
        let push = |arguments: &[&str]| {
            let mut command = sandbox.command(["exec", "--job", name, "-g"]);
            command.arg(format!("l={name}")).args(arguments);
            command.output().unwrap()
        };
        assert_eq!(push(&["--", "false"]).status.code(), Some(1));
        let mut check = sandbox.command(["status", "--check", name]);
        let line = line(&Finished::from(check.output().unwrap()), 2);
        let (text, data) = line.split_once(" | ").unwrap();
        assert!(!line.contains(|c: char| c.is_control()), "{line}");
        assert!(
            !text.contains('|') && data.matches('\'').count() == 2,
            "{line}"
        );
        assert!(!data.contains(' '), "{line}");
    }
    let mut check = sandbox.command(["status", "--check", "no|\n one"]);
    let unknown = text(&Finished::from(check.output().unwrap()), 3);
    assert!(unknown.contains("\\u{7c}"), "{unknown}");
}

#[test]
fn many_problems_are_counted() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(5000);
    for index in 0..9 {
        let line = format!("push --job job{index} -g long={long}");
        let report = format!("p_last_completion_timestamp_seconds 1\np_success 0\n{FUTURE}");
        let more = "p_duration_seconds 1\np_last_success_timestamp_seconds 1\n";
        sandbox.run_with_input(&line, report + more).code(0);
    }
    let text = text(&sandbox.run("status --check"), 2);
    assert!(text.starts_with("9 of 9 jobs: job0 long=xxx"), "{text}");
    assert!(text.ends_with("; and 4 more"), "{text}");
    assert_eq!(text.matches("…").count(), 5, "{text}");

    // Performance data has whole items only.
    for index in 0..200 {
        let line = format!("push --job many_of_them_{index:03}");
        let report = "p_last_completion_timestamp_seconds 1\np_success 1\np_duration_seconds 1\n";
        sandbox.run_with_input(&line, report).code(0);
    }
    let line = line(&sandbox.run("status --check"), 2);
    let items: Vec<&str> = line.split_once(" | ").unwrap().1.split(' ').collect();
    assert!(items.len() > 50 && items.len() < 200, "{}", items.len());
    assert!(items.iter().all(|item| item.ends_with("=1s;;;0")), "{line}");
}

/// As a monitoring server calls it: with hardly any environment.
#[test]
fn without_an_environment() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j --state-dir state", "true").code(0);
    let state = sandbox.path().join("state");
    let mut command = std::process::Command::new(&*US);
    command.env_clear().args(["status", "--check", "j"]);
    let check = command.arg("--state-dir").arg(state).output().unwrap();
    text(&Finished::from(check), 0);
}
