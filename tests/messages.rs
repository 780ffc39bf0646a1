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
    told_words(sandbox, line.split(' '))
}

/// All that the program says with `words` as arguments.
fn told_words<'a>(sandbox: &Sandbox, words: impl IntoIterator<Item = &'a str>) -> String {
    let output = sandbox.command(words).output().unwrap();
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
    error: invalid value '5' for '--timeout <DURATION>': needs a unit: 5s, 5m

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
    error: could not read missing.prom: No such file or directory
    --- exit code 2
    ");
    let line = "run nightly --no-push --ca-file missing.pem";
    assert_snapshot!(told(&sandbox, line), @"
    --- stderr
    warning: --ca-file missing.pem: could not read the file: No such file or directory; it is ignored
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
    --- exit code 2
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

#[test]
fn durations_elsewhere() {
    let sandbox = sandbox();
    sandbox.write("jobs/timed.toml", "command = ['true']\ntimeout = '10'\n");
    assert_snapshot!(told(&sandbox, "run nightly --backoff 1..60"), @"
    --- stderr
    error: invalid value '1..60' for '--backoff <MIN..MAX>': needs a unit: 1s, 1m

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told_words(&sandbox, ["run", "nightly", "--timeout", "1h 30"]), @"
    --- stderr
    error: invalid value '1h 30' for '--timeout <DURATION>': needs a unit: 30s, 30m

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "run nightly --timeout 1hor"), @r#"
    --- stderr
    error: invalid value '1hor' for '--timeout <DURATION>': is not a duration: unknown time unit "hor", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations) (for example 500ms or 1h 30m)

    For more information, try '--help'.
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "run timed"), @r#"
    --- stderr
    error: jobs/timed.toml:2:11: timeout "10" needs a unit: 10s, 10m
    --- exit code 2
    "#);
}

#[test]
fn numbers() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "exec --retries x -- true"), @"
    --- stderr
    error: invalid value 'x' for '--retries <N>': is not a whole number (for example 10)

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --success-codes 256 -- true"), @"
    --- stderr
    error: invalid value '256' for '--success-codes <CODE,…>': is too large: it can be at most 255

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --tail x -- true"), @"
    --- stderr
    error: invalid value 'x' for '--tail <N>': must be a whole number from 0 to 1000

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "history --last ten"), @"
    --- stderr
    error: invalid value 'ten' for '--last <N>': is not a whole number (for example 10)

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "outbox show x"), @"
    --- stderr
    error: invalid value 'x' for '<ID>': is not the id of an entry, a whole number (see: metricsjob outbox list)

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "metric set x 1,5"), @"
    --- stderr
    error: invalid value '1,5' for '<VALUE>': is not a number (for example 17, 0.5 or 1e6)

    For more information, try '-h'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "gateway --web.max-connections=0"), @"
    --- stderr
    error: invalid value '0' for '--web.max-connections <COUNT>': is too small: it must be at least 1

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --metrics-limit 5MB -- true"), @r#"
    --- stderr
    error: invalid value '5MB' for '--metrics-limit <SIZE>': unknown unit "MB" (try KiB, MiB or GiB)

    For more information, try '--help'.
    --- exit code 2
    "#);
}

#[test]
fn a_command_that_is_written_for_a_shell() {
    let sandbox = sandbox();
    sandbox.write("jobs/words.toml", "command = 'ls -l'\n");
    assert_snapshot!(told_words(&sandbox, ["exec", "--", "echo hi | wc"]), @r#"
    --- stderr
    error: echo hi | wc: failure (exit code 127) in [TIME]: could not start "echo hi | wc": no program is called that, and there is no shell that would read it: start a shell, as in sh -c 'echo hi | wc'
    --- exit code 127
    "#);
    assert_snapshot!(told_words(&sandbox, ["exec", "--", "ls -l"]), @r#"
    --- stderr
    error: ls -l: failure (exit code 127) in [TIME]: could not start "ls -l": no program is called that, and there is no shell that would read it: give the program and its arguments as words of their own, or start a shell, as in sh -c 'ls -l'
    --- exit code 127
    "#);
    assert_snapshot!(told(&sandbox, "run words"), @"
    --- stderr
    error: jobs/words.toml:1:11: command must be a list of strings, the program and its arguments, but is of type string
    --- exit code 2
    ");
}

#[test]
fn a_group_that_is_deleted() {
    let sandbox = sandbox();
    sandbox.write("m.prom", "m 1\n");
    assert_snapshot!(told(&sandbox, "push --job j m.prom"), @r#"
    pushed 1 series by POST to the embedded gateway ([HOME]/.local/state/metricsjob/state.db), group {job="j"}
    --- stderr
    --- exit code 0
    "#);
    assert_snapshot!(told(&sandbox, "delete --job j"), @r#"
    deleted group {job="j"} from the embedded gateway ([HOME]/.local/state/metricsjob/state.db)
    --- stderr
    --- exit code 0
    "#);
    assert_snapshot!(told(&sandbox, "delete --job j"), @r#"
    nothing to delete: the embedded gateway ([HOME]/.local/state/metricsjob/state.db), group {job="j"} does not exist
    --- stderr
    --- exit code 0
    "#);
}

#[test]
fn directories_and_files() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "push --job j ."), @"
    --- stderr
    error: could not read .: Is a directory
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "run nightly --jobs-dir nowhere"), @"
    --- stderr
    error: could not read the jobs directory nowhere: No such file or directory
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "run ./nowhere.toml"), @"
    --- stderr
    error: could not read the job file ./nowhere.toml: No such file or directory
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --working-directory nowhere -- true"), @r#"
    --- stderr
    error: true: failure (exit code 126) in [TIME]: could not start "true": the working directory nowhere: No such file or directory
    --- exit code 126
    "#);
    assert_snapshot!(told(&sandbox, "exec -- ./jobs/nightly.toml"), @r#"
    --- stderr
    error: nightly.toml: failure (exit code 126) in [TIME]: could not start "./jobs/nightly.toml": Permission denied
    --- exit code 126
    "#);
    assert_snapshot!(told(&sandbox, "gateway --web.config.file=none.yml"), @"
    --- stderr
    error: could not read none.yml: No such file or directory (--web.config.file)
    --- exit code 1
    ");
    assert_snapshot!(told(&sandbox, "state check none.db"), @"
    --- stderr
    error: none.db: there is no such file
    --- exit code 2
    ");
}

#[test]
fn words_that_an_option_does_not_know() {
    let sandbox = sandbox();
    assert_snapshot!(told(&sandbox, "run nightly --method patch"), @r#"
    --- stderr
    error: invalid value 'patch' for '--method <put|post>': unknown method "patch" (put replaces the group, post adds to it)

    For more information, try '--help'.
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "status --output xml"), @"
    --- stderr
    error: invalid value 'xml' for '--output <FORMAT>'
      [possible values: text, json]

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --lock=perhaps -- true"), @"
    --- stderr
    error: invalid value 'perhaps' for '--lock[=<true|false>]': value was not a boolean

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec --metric x -- true"), @r#"
    --- stderr
    error: invalid value 'x' for '--metric <NAME[:TYPE]=PATTERN>': it needs a pattern behind an =, as in 'rows_total=(\d+) rows' or 'size:gauge=size: (\d+)'

    For more information, try '--help'.
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "run backup --set records"), @"
    --- stderr
    error: invalid value 'records' for '--set <PARAM=VALUE>': it has no =, the form is NAME=VALUE

    For more information, try '--help'.
    --- exit code 2
    ");
    assert_snapshot!(told(&sandbox, "exec"), @"
    --- stderr
    error: the following required arguments were not provided:
      <CMD>...

    Usage: metricsjob exec <CMD>...

    For more information, try '--help'.
    --- exit code 2
    ");
}

#[test]
fn results_of_tests() {
    let sandbox = sandbox();
    sandbox.write("old.xml", "<testsuite/>");
    assert_snapshot!(told(&sandbox, "exec --junit target/*.xml -- true"), @r#"
    --- stderr
    warning: true: junit "target/*.xml" matches no file in [HOME]: no test results are reported of it (does the command write them there?)
    --- exit code 0
    "#);
    assert_snapshot!(told(&sandbox, "exec --junit a.xml b.xml -- true"), @r#"
    --- stderr
    error: --junit takes one pattern, and "b.xml" behind it would be the command: quote the pattern, so that the shell does not expand it
    --- exit code 2
    "#);
    assert_snapshot!(told(&sandbox, "exec --junit old.xml -- true"), @"
    --- stderr
    warning: true: old.xml is left out: it was there before and the command has not written it; remove old results before the tests
    --- exit code 0
    ");
    assert_snapshot!(told(&sandbox, "exec --junit a** -- true"), @"
    --- stderr
    error: invalid value 'a**' for '--junit <PATTERN>': is not a pattern of files: recursive wildcards must form a single path component at character 1 (for example 'target/junit/*.xml')

    For more information, try '--help'.
    --- exit code 2
    ");
}

#[test]
fn a_setting_in_the_environment() {
    let sandbox = sandbox().variable("METRICSJOB_PUSH_TIMEOUT", "10");
    assert_snapshot!(told(&sandbox, "run nightly --no-push"), @r#"
    --- stderr
    warning: METRICSJOB_PUSH_TIMEOUT "10": needs a unit: 10s, 10m; it is ignored
    nightly: success in [TIME]
    --- exit code 0
    "#);
}

#[test]
fn a_gateway_whose_url_ends_in_metrics() {
    let sandbox = sandbox();
    let server = FakeServer::status("404 Not Found", "404 page not found");
    let gateway = format!("--gateway {}/metrics", server.url());
    assert_snapshot!(told(&sandbox, &format!("run nightly {gateway}")), @"
    --- stderr
    warning: http://127.0.0.1:[PORT]/metrics/metrics/job/nightly responded with 404 Not Found: 404 page not found (the gateway's URL ends in /metrics, which is where Prometheus scrapes it: give its base URL alone, such as http://127.0.0.1:9091); the report is kept as outbox entry [ID] in [HOME]/.local/state/metricsjob/state.db
    nightly: success in [TIME]
      not reported: POST to http://127.0.0.1:[PORT]/metrics/metrics/job/nightly
    --- exit code 0
    ");
    assert_snapshot!(told(&sandbox, &format!("status {gateway}")), @"
    --- stderr
    error: http://127.0.0.1:[PORT]/metrics/api/v1/metrics responded with 404 Not Found: 404 page not found (the gateway's URL ends in /metrics, which is where Prometheus scrapes it: give its base URL alone, such as http://127.0.0.1:9091)
    --- exit code 69
    ");
}
