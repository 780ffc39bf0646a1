//! Messages of the errors that users make or meet most, in full: what is on stdout, on stderr, and the exit code.
//!
//! Placeholders stand for text that differs from machine to machine or from run to run. `scripts/test` never writes what is
//! expected; to see a difference reviewed, run `cargo insta test --review -- messages::`.

use insta::assert_snapshot;
use regex_automata::meta::Regex;

use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Port, Sandbox, eventually};

/// Jobs: `nightly`, which is right, and two with mistakes.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/nightly.toml", "command = ['true']\n");
    sandbox.write("jobs/typo.toml", "comand = ['true']\n");
    sandbox.write("jobs/broken.toml", "command = ['true'\n");
    sandbox
}

/// All that the program says with the words of `line` as arguments.
fn told(sandbox: &Sandbox, line: &str) -> String {
    let output = sandbox.command(line.split(' ')).output().unwrap();
    let code = output.status.code().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    let home = sandbox.path().display().to_string();
    let mut text = format!("{stdout}--- stderr\n{stderr}--- exit code {code}\n");
    text = text.replace(&home, "[HOME]");
    for (pattern, placeholder) in [
        (r"127\.0\.0\.1:[0-9]{5}", "127.0.0.1:[PORT]"),
        (r" in [0-9.]+[mun]?s\b", " in [TIME]"),
        (r"\(process [0-9]+\)", "(process [PID])"),
        (r"outbox entry [0-9]+", "outbox entry [ID]"),
    ] {
        let found = Regex::new(pattern).unwrap();
        let (mut masked, mut end) = (String::new(), 0);
        for place in found.find_iter(&text) {
            masked += &text[end..place.start()];
            masked += placeholder;
            end = place.end();
        }
        text = masked + &text[end..];
    }
    text
}

#[test]
fn a_job_that_does_not_exist() {
    assert_snapshot!(told(&sandbox(), "run nightyl"), @r#"
    --- stderr
    error: no job is called "nightyl" (did you mean "nightly"?); looked in jobs, [HOME]/.config/metricsjob/jobs, /etc/metricsjob/jobs
    --- exit code 2
    "#);
}

#[test]
fn a_key_that_a_job_file_does_not_have() {
    assert_snapshot!(told(&sandbox(), "run typo"), @r#"
    --- stderr
    error: jobs/typo.toml:1:1: unknown key "comand" (did you mean "command"?)
    --- exit code 2
    "#);
}

#[test]
fn a_job_file_that_is_no_toml() {
    assert_snapshot!(told(&sandbox(), "run broken"), @"
    --- stderr
    error: jobs/broken.toml:1:18: unclosed array, expected `]`
    --- exit code 2
    ");
}

#[test]
fn grouping_labels() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "run nightly -g db"), @"
    --- stderr
    error: invalid value 'db' for '--grouping <NAME=VALUE>': it has no =, the form is NAME=VALUE

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "run nightly -g 1db=x"), @r#"
    --- stderr
    error: grouping label "1db" is not a label name ([a-zA-Z_][a-zA-Z0-9_]*, for example db or instance)
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "run nightly -g job=x"), @r#"
    --- stderr
    error: grouping label "job" is the grouping key's own: give the job by its name instead
    --- exit code 2
    "#);
}

#[test]
fn a_duration_without_a_unit() {
    assert_snapshot!(told(&sandbox(), "run nightly --timeout 5"), @"
    --- stderr
    error: invalid value '5' for '--timeout <DURATION>': is not a duration: time unit needed, for example 5sec or 5ms (for example 500ms or 1h 30m)

    For more information, try '--help'.
    --- exit code 2
    ");
}

#[test]
fn a_parameter_that_a_built_in_does_not_have() {
    assert_snapshot!(told(&sandbox(), "run backup --set durtion=1s"), @r#"
    --- stderr
    error: --set durtion: the built-in backup has no such parameter (did you mean "duration"?)
    --- exit code 2
    "#);
}

#[test]
fn no_subcommand_and_no_job() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "runn backup"), @"
    --- stderr
    error: unrecognized subcommand 'runn'

      tip: a similar subcommand exists: 'run'

    Usage: metricsjob [OPTIONS] <COMMAND>

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "run"), @"
    --- stderr
    error: the following required arguments were not provided:
      <JOB>

    Usage: metricsjob run <JOB>

    For more information, try '--help'.
    --- exit code 2
    ");
}

#[test]
fn urls_of_gateways() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "run nightly --gateway htp://x"), @r#"
    --- stderr
    error: gateway "htp://x" has the scheme "htp": only http and https are spoken
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "run nightly --gateway http://"), @r#"
    --- stderr
    error: gateway "http://" is not a URL: empty host (for example http://127.0.0.1:9091)
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "run nightly --gateway http://host/x?y"), @r#"
    --- stderr
    error: gateway "http://host/x?y" has a query (?…), which a gateway's base URL has not: remove it
    --- exit code 2
    "#);
}

#[test]
fn a_gateway_that_cannot_be_reached() {
    let (sandbox, port) = (sandbox(), Port::reserve());
    let line = format!(
        "run nightly --push-retry-window 0s --gateway http://{}",
        port.address()
    );
    assert_snapshot!(told(&sandbox, &line), @"
    --- stderr
    warning: could not connect to http://127.0.0.1:[PORT]/metrics/job/nightly: connection refused (is a gateway listening there?); the report is kept as outbox entry [ID] in [HOME]/.local/state/metricsjob/state.db
    nightly: success in [TIME]
      not reported: POST to http://127.0.0.1:[PORT]/metrics/job/nightly
    --- exit code 0
    ");
    assert_snapshot!(told(&sandbox, &format!("{line} --require-push --quiet")), @"
    --- stderr
    warning: could not connect to http://127.0.0.1:[PORT]/metrics/job/nightly: connection refused (is a gateway listening there?); the report is kept as outbox entry [ID] in [HOME]/.local/state/metricsjob/state.db
    --- exit code 69
    ");
}

#[test]
fn a_gateway_that_wants_credentials() {
    let (sandbox, gateway) = (sandbox(), FakeServer::status("401 Unauthorized", "who?"));
    let line = format!("push --job j --gateway {} jobs.prom", gateway.url());
    sandbox.write("jobs.prom", "m 1\n");
    assert_snapshot!(told(&sandbox, &line), @"
    --- stderr
    warning: http://127.0.0.1:[PORT]/metrics/job/j responded with 401 Unauthorized: who? (give it credentials by --basic-auth-file or --bearer-token-file); the report is kept as outbox entry [ID] in [HOME]/.local/state/metricsjob/state.db
    --- exit code 69
    ");
}

#[test]
fn a_file_that_is_missing() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "push --job j missing.prom"), @"
    --- stderr
    error: could not read missing.prom: No such file or directory (os error 2)
    --- exit code 2
    ");
    let line = "run nightly --no-push --ca-file missing.pem";
    assert_snapshot!(told(&sandbox, line), @"
    --- stderr
    warning: --ca-file missing.pem: could not read the file: No such file or directory (os error 2); it is ignored
    nightly: success in [TIME]
    --- exit code 0
    ");
}

#[test]
fn text_that_is_not_of_the_format() {
    let sandbox = sandbox();
    sandbox.write("bad.prom", "# TYPE m gauge\nm 1 x\n");
    assert_snapshot!(told(&sandbox, "push --job j bad.prom"), @r#"
    --- stderr
    error: bad.prom: line 2: expected a timestamp in whole milliseconds after the value, found "x"
    --- exit code 2
    "#);
}

#[test]
fn a_metric_of_two_types() {
    let sandbox = sandbox();
    sandbox.write("a.prom", "# TYPE m counter\nm 1\n");
    sandbox.write("b.prom", "# TYPE m gauge\nm 1\n");
    assert_snapshot!(told(&sandbox, "push --job a a.prom"), @r#"
    pushed 1 series by POST to the embedded gateway ([HOME]/.local/state/metricsjob/state.db), group {job="a"}
    --- stderr
    --- exit code 0
    "#);
    assert_snapshot!(told(&sandbox, "push --job b b.prom"), @r#"
    --- stderr
    warning: the embedded gateway refused the push: the metric m is a gauge here, but a counter in the group {job="a"}: a name has one type over all groups; the report is kept as outbox entry [ID] in [HOME]/.local/state/metricsjob/state.db
    --- exit code 69
    "#);
}

#[test]
fn a_command_that_is_missing() {
    assert_snapshot!(told(&sandbox(), "exec -- no-such-command"), @r#"
    --- stderr
    error: no-such-command: failure (exit code 127) in [TIME]: could not start "no-such-command": it is not in PATH
    --- exit code 127
    "#);
}

#[test]
fn a_command_that_fails_and_one_that_hangs() {
    let sandbox = sandbox();
    sandbox.write("fails", "echo why >&2; exit 3\n");
    assert_snapshot!(told(&sandbox, "exec --job bad --tail 2 -- sh fails"), @"
    --- stderr
    why
    error: bad: failure (exit code 3) in [TIME]
    error:   | why
    --- exit code 3
    ");
    assert_snapshot!(told(&sandbox, "exec --job slow --timeout 100ms -- sleep 100"), @"
    --- stderr
    error: slow: timeout in [TIME]: it took longer than 100ms
    --- exit code 124
    ");
}

#[test]
fn a_lock_that_is_held() {
    let sandbox = sandbox();
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let mut command = sandbox.exec_command("--job nightly --lock", script);
    let mut holder = sandbox.spawn(&mut command);
    eventually("it is held", || sandbox.path().join("ready").exists());
    assert_snapshot!(told(&sandbox, "run nightly --lock-wait 10ms"), @r#"
    --- stderr
    nightly: skipped: another run is in progress (process [PID])
      reported by POST to the embedded gateway ([HOME]/.local/state/metricsjob/state.db), group {job="nightly"}
      show it with: metricsjob status
    --- exit code 0
    "#);
    sandbox.write("end", "");
    assert!(holder.wait().unwrap().success());
}

#[test]
fn a_state_directory_that_is_served() {
    let sandbox = sandbox();
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    let _gateway = OwnGateway::start(&dir, &[]);
    let line = "gateway --web.listen-address=127.0.0.1:0";
    assert_snapshot!(told(&sandbox, line), @"
    --- stderr
    error: another gateway serves the state directory [HOME]/.local/state/metricsjob already, or an import is under way: let that one end, or choose another with --state-dir
    --- exit code 1
    ");
}

#[test]
fn an_address_that_is_none_and_one_that_is_taken() {
    let (sandbox, port) = (sandbox(), Port::reserve());
    assert_snapshot!(told(&sandbox, "gateway --web.listen-address=nowhere"), @r#"
    --- stderr
    error: --web.listen-address: "nowhere" is not an address to listen on: it has no port (try 127.0.0.1:9091, or :9091 for all interfaces)
    --- exit code 1
    "#);
    let _listener = port.listen();
    let line = format!("gateway --web.listen-address={}", port.address());
    assert_snapshot!(told(&sandbox, &line), @"
    --- stderr
    error: could not listen on 127.0.0.1:[PORT]: address already in use by another process (choose another address with --web.listen-address)
    --- exit code 1
    ");
}

#[test]
fn an_entry_that_the_outbox_does_not_have() {
    assert_snapshot!(told(&sandbox(), "outbox show 7"), @"
    --- stderr
    error: the outbox has no entry 7 (see: metricsjob outbox list)
    --- exit code 1
    ");
}

#[test]
fn a_metric_outside_a_job() {
    assert_snapshot!(told(&sandbox(), "metric set x 1"), @"
    --- stderr
    error: METRICSJOB_METRICS is not set: metric works inside a command that metricsjob exec or run has started
    --- exit code 2
    ");
}
