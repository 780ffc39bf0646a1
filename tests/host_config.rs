//! The host's config file: `metricsjob.toml`.

use std::fs;

use crate::common::{FakeServer, Finished, Sandbox};

const USER: &str = ".config/metricsjob/metricsjob.toml";

fn with(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(USER, config);
    sandbox
}

fn request(run: &Finished) -> String {
    run.stdout() + &run.stderr()
}

/// The settings that `config show` prints, by their names: value and place.
fn shown(sandbox: &Sandbox, name: &str) -> (String, String) {
    let shown = sandbox.run("config show --output json").code(0).json();
    let mut all = shown.as_array().unwrap().iter();
    let found = all.find(|setting| setting["setting"] == name).unwrap();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("value"), text("from"))
}

#[test]
fn how_to_reach_a_gateway() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = with(&format!(
        "gateway = '{}'\ncompress = 'gzip'\nformat = 'protobuf'\n[credentials]\nbearer_token_file = '{}'",
        server.url(),
        "/TOKEN"
    ));
    let token = sandbox.write("token", "s3cret\n");
    let file = sandbox.path().join(USER);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("/TOKEN", token.to_str().unwrap())).unwrap();
    sandbox.run("exec -- env").code(0);
    let requests = server.requests();
    let headers = &requests.last().unwrap().headers;
    for header in ["authorization: Bearer s3cret", "content-encoding: gzip"] {
        assert!(headers.iter().any(|found| found == header), "{headers:?}");
    }
    let is_protobuf =
        |header: &String| header.starts_with("content-type: application/vnd.google.protobuf");
    assert!(headers.iter().any(is_protobuf), "{headers:?}");
}

/// A command does not find the settings of the config file in its environment: it may be another host's.
#[test]
fn nothing_is_left_in_the_environment() {
    let sandbox = with("gateway = 'embedded'\npush_timeout = '3s'\nquiet = true\ntimeout = '1m'");
    let run = sandbox.run("exec --no-push -- env");
    for name in ["GATEWAY", "PUSH_TIMEOUT", "QUIET", "TIMEOUT"] {
        let variable = format!("METRICSJOB_{name}=");
        assert!(
            !run.code(0).stdout().contains(&variable),
            "{}",
            run.stdout()
        );
    }
}

#[test]
fn places() {
    let elsewhere = tempfile::tempdir().unwrap();
    let state = elsewhere.path().join("state");
    let sandbox = with(&format!(
        "state_dir = '{}'\njobs_dir = '{}'\nrequire_push = true\ngateway = ['embedded', 'http://127.0.0.1:1']",
        state.display(),
        elsewhere.path().join("jobs").display()
    ));
    // The directory of jobs is not there yet.
    sandbox.run("run backup --set duration=0s").code(69);
    assert!(state.join("state.db").exists());
    fs::create_dir(elsewhere.path().join("jobs")).unwrap();
    fs::write(elsewhere.path().join("jobs/own.toml"), "command = ['true']").unwrap();
    sandbox.run("run own --no-push").code(0);
    sandbox.run("run own --no-push --state-dir other").code(0);
    assert!(sandbox.path().join("other/state.db").exists());
}

#[test]
fn one_file_in_place_of_both() {
    let sandbox = with("prefix = 'user'");
    sandbox.write("other.toml", "method = 'put'");
    let run = sandbox.run("exec --config other.toml --dry-run -- true");
    assert!(request(&run).starts_with("PUT "), "{}", request(&run));
    assert_eq!(shown(&sandbox, "prefix").0, "user");
    let named = Sandbox::new().variable("METRICSJOB_CONFIG", "other.toml");
    named.write("other.toml", "prefix = 'named'");
    assert_eq!(
        shown(&named, "prefix"),
        ("named".into(), "other.toml:1:1".into())
    );
    // An option of a command is its own.
    let run = sandbox.run("exec --no-push -- echo --config nothing");
    run.code(0).out("--config nothing");
}

#[test]
fn a_file_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    sandbox
        .run("status --config nothing.toml")
        .code(2)
        .err("error: could not read the config file nothing.toml: ");
    let sandbox = sandbox.variable("METRICSJOB_CONFIG", "nothing.toml");
    sandbox
        .run("exec --no-push -- true")
        .code(0)
        .err("warning: METRICSJOB_CONFIG: could not read the config file nothing.toml: ");
    let sandbox = Sandbox::new();
    sandbox.write(USER, [0xff, 0xfe]);
    sandbox
        .run("exec --no-push -- true")
        .code(0)
        .err("metricsjob.toml: it is not UTF-8; the file is ignored");
    sandbox.write(USER, "#".repeat(200_000));
    sandbox
        .run("exec --no-push -- true")
        .code(0)
        .err("it is larger than 131072 bytes; the file is ignored");
}

/// Root must not do what others say.
#[test]
fn a_file_of_others_as_root() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let sandbox = with("prefix = 'theirs'");
    let file = sandbox.path().join(USER);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let run = sandbox.run("run backup --set duration=0s --dry-run");
    run.code(0)
        .err("can be changed by other users")
        .err("the file is ignored");
    assert!(!request(&run).contains("theirs_"));
}

#[test]
fn mistakes_keep_no_job_from_running() {
    let sandbox = with(
        "timout = '1m'\npush_timeout = '10'\nretries = 1\n[grouping]\na = '${nothing}'\nb = '${env:NO_SUCH_VARIABLE}'",
    );
    let run = sandbox.run("exec --backoff 1ms --dry-run -- false");
    run.code(1)
        .err(":1:1: unknown key \"timout\" (did you mean \"timeout\"?); it is ignored")
        .err(":2:16: push_timeout \"10\" ")
        .err(":5:5: grouping.a: there is no placeholder ${nothing}")
        .err("b: the placeholder ${env:NO_SUCH_VARIABLE} is empty")
        .err("attempt 1 of 2");
    assert!(
        request(&run).contains("/metrics/job/false\n"),
        "{}",
        request(&run)
    );
    let nested = sandbox.run("exec --no-push --quiet -- sh -c METRICSJOB_NOTHING=1");
    let warnings = nested.stderr().matches("timout").count();
    assert_eq!(warnings, 1);
}

#[test]
fn who_has_heard_it_is_not_told_again() {
    let sandbox = with("timout = '1m'");
    let script = format!("{} status >inner 2>&1", crate::common::US);
    sandbox.exec("--no-push", &script).code(0).err("timout");
    let inner = fs::read_to_string(sandbox.path().join("inner")).unwrap();
    assert!(!inner.contains("timout"), "{inner}");
}

#[test]
fn bad_placeholders_that_were_typed_or_are_in_a_job_file() {
    let sandbox = Sandbox::new();
    for (label, problem) in [
        (
            "a=${host}",
            "a: there is no placeholder ${host} (known: ${hostname}, ",
        ),
        (
            "a=${hostname",
            "a placeholder in \"${hostname\" has no closing brace",
        ),
        (
            "a=${env:NO_SUCH_VARIABLE}",
            "the variable NO_SUCH_VARIABLE is not set",
        ),
    ] {
        let run = sandbox.run_args(["exec", "-g", label, "--", "touch", "ran"]);
        run.code(2).err(problem);
    }
    sandbox.write(
        "jobs/j.toml",
        "command = ['touch', 'ran']\n[grouping]\na = '${host}'",
    );
    sandbox
        .run("run j")
        .code(2)
        .err("jobs/j.toml:3:5: grouping.a: there is no placeholder ${host}");
    assert!(!sandbox.path().join("ran").exists());
    let run = sandbox.run_args(["exec", "--dry-run", "-g", "a=$${host}", "--", "true"]);
    assert!(
        request(run.code(0)).contains("/a/$%7Bhost%7D")
            || request(&run).contains("/a/%24%7Bhost%7D"),
        "{}",
        request(&run)
    );
}

#[test]
fn slips_in_variables() {
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAYS", "http://127.0.0.1:1");
    let run = sandbox.run("exec --no-push -- true");
    run.code(0).err(
        "warning: the variable METRICSJOB_GATEWAYS is not a setting of metricsjob and is ignored: did you mean METRICSJOB_GATEWAY?",
    );
}

#[test]
fn what_is_in_force() {
    let sandbox = with("gateway = 'http://user:s3cret@pg:9091'\nretries = 2")
        .variable("METRICSJOB_PUSH_TIMEOUT", "3s");
    let place = |line: u32| format!("{}:{line}:1", sandbox.path().join(USER).display());
    assert_eq!(shown(&sandbox, "retries"), ("2".into(), place(2)));
    assert_eq!(
        shown(&sandbox, "push_timeout"),
        ("3s".into(), "METRICSJOB_PUSH_TIMEOUT".into())
    );
    assert_eq!(shown(&sandbox, "backoff"), ("1s..1m".into(), String::new()));
    let text = sandbox.run("config show");
    assert!(
        !text.code(0).stdout().contains("s3cret"),
        "{}",
        text.stdout()
    );
    text.out("pg:9091")
        .out("METRICSJOB_PUSH_TIMEOUT")
        .out("default");
}

#[test]
fn a_first_file() {
    let sandbox = Sandbox::new();
    sandbox
        .run("config init here.toml")
        .code(0)
        .out("wrote here.toml");
    sandbox
        .run("config init here.toml")
        .code(1)
        .err("error: here.toml is there already: edit it, or replace it by --force");
    sandbox.run("config init --force here.toml").code(0);
    sandbox
        .run("config init here.toml/there.toml")
        .code(1)
        .err("error: could not create the directory here.toml: ");
    let run = sandbox.run("exec --config here.toml --dry-run -- true");
    assert!(
        request(run.code(0)).contains("/instance/"),
        "{}",
        request(&run)
    );
    assert!(!run.stderr().contains("warning"), "{}", run.stderr());
}
