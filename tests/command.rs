//! Jobs that run a command: it is waited for, its exit code is ours, its streams are its own.

use crate::common::{Sandbox, TestGateway};

on_each_gateway!(every_end_of_a_command_is_reported);

/// The job file of a shell script.
fn script(text: &str) -> String {
    format!("command = ['sh', '-c', '''{text}''']\n")
}

fn every_end_of_a_command_is_reported(gateway: &TestGateway) {
    gateway.write("plain", "no program");
    gateway.write("jobs/ok.toml", &script("exit 0"));
    gateway.write("jobs/seven.toml", &script("exit 7"));
    gateway.write("jobs/killed.toml", &script("kill -KILL $$"));
    gateway.write(
        "jobs/missing.toml",
        "command = ['no-such-program-at-all']\n",
    );
    gateway.write("jobs/missing_path.toml", "command = ['./no/such']\n");
    gateway.write("jobs/plain.toml", "command = ['./plain']\n");
    gateway.write("jobs/directory.toml", "command = ['./jobs']\n");
    for (job, code, outcome, message) in [
        ("ok", 0, "success", ""),
        ("seven", 7, "failure (exit code 7)", ""),
        ("killed", 137, "signal 9", ""),
        (
            "missing",
            127,
            "failure (exit code 127)",
            "could not start \"no-such-program-at-all\": it is not in PATH",
        ),
        (
            "missing_path",
            127,
            "failure (exit code 127)",
            "could not start \"./no/such\": no such file",
        ),
        (
            "plain",
            126,
            "failure (exit code 126)",
            "could not start \"./plain\": Permission denied",
        ),
        (
            "directory",
            126,
            "failure (exit code 126)",
            "could not start \"./jobs\": Permission denied",
        ),
    ] {
        gateway
            .run(&format!("run {job}"))
            .code(code)
            .err(&format!("{job}: {outcome} in "))
            .err(message);
        let value = |metric: &str| gateway.value(job, &format!("batch_job_{metric}"));
        assert_eq!(value("exit_code"), Some(f64::from(code)), "{job}");
        assert_eq!(
            value("success"),
            Some(f64::from(u8::from(code == 0))),
            "{job}"
        );
        assert_eq!(
            value("last_success_timestamp_seconds").is_some(),
            code == 0,
            "{job}"
        );
    }
}

#[test]
fn its_streams_directory_and_environment_are_its_own() {
    let sandbox = Sandbox::new().variable("GREETING", "hello");
    sandbox.write(
        "jobs/streams.toml",
        script("cat; echo $GREETING; pwd; echo oh >&2"),
    );
    let run = sandbox.run_with_input("run streams", "from stdin\n");
    let pwd = sandbox.path().canonicalize().unwrap();
    let stdout = format!("from stdin\nhello\n{}\n", pwd.display());
    // Our own summary is on stderr.
    assert_eq!(run.code(0).stdout(), stdout);
    run.err("oh\n").err("streams: success in ");
}

#[test]
fn quiet_says_only_that_it_failed() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/noisy.toml", script("echo out; echo err >&2; exit 3"));
    for line in ["run noisy --quiet", "run -q noisy"] {
        let run = sandbox.run(line);
        run.code(3);
        assert_eq!(run.stdout(), "out\n");
        let stderr = run.stderr();
        assert!(
            stderr.starts_with("err\nerror: noisy: failure (exit code 3) in "),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 2);
    }
    let sandbox = Sandbox::new().variable("METRICSJOB_QUIET", "1");
    sandbox.run("run backup --set duration=0s").code(0).quiet();
}

#[test]
fn arguments_are_passed_on_as_they_are() {
    let sandbox = Sandbox::new();
    let job = r#"command = ["printf", "%s|", "a b", "$HOME", "*", "--help", "é\n", ""]"#;
    sandbox.write("jobs/words.toml", job);
    let run = sandbox.run("run words --quiet");
    assert_eq!(run.code(0).stdout(), "a b|$HOME|*|--help|é\n||");
}

#[test]
fn usage_of_the_command_is_reported() {
    let sandbox = Sandbox::new();
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    sandbox.write("jobs/busy.toml", script(busy));
    sandbox.run("run busy").code(0);
    let value = |metric: &str| sandbox.value("busy", metric).unwrap();
    assert!(value("batch_job_cpu_user_seconds") > 0.01);
    assert!(value("batch_job_max_rss_bytes") > 100_000.0);
}

#[test]
fn a_command_has_no_parameters() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/touch.toml", "command = ['touch', 'ran']\n");
    let run = sandbox.run("run touch --set a=b");
    run.code(2)
        .err("--set a: touch runs a command, and only a built-in has parameters");
    assert!(!sandbox.path().join("ran").exists());
}
