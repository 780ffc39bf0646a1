//! `exec`: any command as a job, as if we were not there.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::common::{Finished, Sandbox, TestGateway, US, eventually, finished};

on_each_gateway!(every_end_is_reported);

fn every_end_is_reported(gateway: &TestGateway) {
    gateway.write("plain", "no program");
    let script = gateway.write("gone.sh", "#!/no/such/interpreter\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    for (command, code, message) in [
        ("true", 0, ""),
        ("false", 1, "error: job: failure (exit code 1) in "),
        ("sh -c kill${IFS}-KILL${IFS}$$", 137, "error: job: signal 9"),
        (
            "no-such-program",
            127,
            "could not start \"no-such-program\": it is not in PATH",
        ),
        (
            "./no/such",
            127,
            "could not start \"./no/such\": no such file",
        ),
        ("./plain", 126, "could not start \"./plain\": Permission"),
        (
            "./gone.sh",
            127,
            "could not start \"./gone.sh\": the interpreter that it names does not exist",
        ),
        ("/", 126, "could not start \"/\": Permission denied"),
    ] {
        let run = gateway.run(&format!("exec --job job -- {command}"));
        run.code(code).err(message);
        assert_eq!(run.stdout(), "");
        let value = |metric: &str| gateway.value("job", &format!("batch_job_{metric}"));
        assert_eq!(value("exit_code"), Some(f64::from(code)), "{command}");
        let success = f64::from(u8::from(code == 0));
        assert_eq!(value("success"), Some(success), "{command}");
    }
}

#[test]
fn streams_directory_and_environment_pass_through() {
    let sandbox = Sandbox::new().variable("GREETING", "hello");
    let mut command = sandbox.exec_command("", "cat; echo $GREETING; pwd; echo oh >&2");
    let mut child = sandbox.spawn(command.stdin(Stdio::piped()));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"from stdin\n").unwrap();
    let run = finished(child);
    let pwd = sandbox.path().canonicalize().unwrap();
    let stdout = format!("from stdin\nhello\n{}\n", pwd.display());
    assert_eq!(run.code(0).stdout(), stdout);
    // We add nothing where it went well.
    assert_eq!(run.stderr(), "oh\n");
}

/// The very files, not pipes to them: their kind, their offset and their flags are the command's.
#[test]
fn streams_are_the_same_files() {
    let sandbox = Sandbox::new();
    let input = sandbox.write("in", "first\nsecond\n");
    let output = fs::File::create(sandbox.path().join("out")).unwrap();
    let mut command = sandbox.exec_command(
        "--job same",
        "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; cat",
    );
    command
        .stdin(fs::File::open(&input).unwrap())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    assert!(command.status().unwrap().success());
    let dir = sandbox.path().canonicalize().unwrap();
    let dir = dir.display();
    let text = fs::read_to_string(sandbox.path().join("out")).unwrap();
    assert_eq!(
        text,
        format!("{dir}/in\n{dir}/out\n{dir}/out\nfirst\nsecond\n")
    );
}

#[test]
fn any_bytes_pass_through() {
    let sandbox = Sandbox::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    sandbox.write("bytes", &bytes);
    for options in ["", "--tail 3"] {
        let run = sandbox
            .exec_command(options, "cat bytes; cat bytes >&2")
            .output()
            .unwrap();
        assert!(run.status.success());
        assert!(run.stdout == bytes, "{options}");
        assert!(run.stderr == bytes, "{options}");
    }
    // Invalid UTF-8 is shown as far as it can be.
    let run = sandbox.exec(
        "--tail 3 --output json",
        "printf 'a\\377b\\n' >/dev/stderr; exit 3",
    );
    assert_eq!(run.code(3).result()["tail"][0], "a\u{fffd}b");
}

#[test]
fn arguments_are_not_interpreted() {
    let sandbox = Sandbox::new();
    let words = [
        "exec", "--job", "words", "--", "printf", "%s|", "a b", "$HOME", "*", "--help", "--job",
        "-g", "--", "é\n", "",
    ];
    let run = sandbox.run_args(words);
    assert_eq!(run.code(0).stdout(), "a b|$HOME|*|--help|--job|-g|--|é\n||");
    // Behind the command's name nothing is ours, with or without the two dashes.
    let run = sandbox.run("exec --job words echo --job other --quiet");
    assert_eq!(run.code(0).stdout(), "--job other --quiet\n");
}

#[test]
fn arguments_need_not_be_utf_8() {
    let sandbox = Sandbox::new();
    let word = std::ffi::OsStr::from_bytes(b"a\xffb");
    let mut command = sandbox.command(["exec", "--job", "bytes", "--", "printf", "%s"]);
    let run = command.arg(word).output().unwrap();
    assert_eq!(run.stdout, b"a\xffb");
    // Nor the name of the command, from which the job's comes.
    let copy = sandbox.path().join(word);
    // No copy, which could not be run as long as what other tests start has it open for writing.
    std::os::unix::fs::symlink("/bin/true", &copy).unwrap();
    let mut command = sandbox.command(["exec", "--"]);
    assert!(command.arg(&copy).status().unwrap().success());
    assert_eq!(sandbox.history()[1]["job"], "a\u{fffd}b");
}

#[test]
fn the_job_is_called_like_the_command_unless_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.run("exec -- /bin/true").code(0);
    sandbox
        .run("exec --job named -g site=berlin --prefix sync -- true")
        .code(0);
    assert_eq!(sandbox.value("true", "batch_job_success"), Some(1.0));
    let series = r#"sync_success{site="berlin"}"#;
    assert_eq!(sandbox.value("named", series), Some(1.0));
}

#[test]
fn wrong_usage_runs_nothing() {
    let sandbox = Sandbox::new();
    for (line, message) in [
        ("exec", "<CMD>"),
        ("exec --", "<CMD>"),
        ("exec --jbo x -- touch ran", "unexpected argument '--jbo'"),
        ("exec --timeout 1 -- touch ran", "needs a unit: "),
        ("exec --timeout 0s -- touch ran", "must be longer than 0"),
        ("exec --backoff 2m..1s -- touch ran", "longer wait"),
        ("exec --success-codes 256 -- touch ran", "256"),
        ("exec --success-codes , -- touch ran", "--success-codes"),
        ("exec --tail 1001 -- touch ran", "from 0 to 1000"),
        ("exec --env A -- touch ran", "NAME=VALUE"),
        (
            "exec --prefix a-b -- touch ran",
            "cannot begin a metric name",
        ),
        ("exec -g job=x -- touch ran", "grouping label \"job\""),
        ("exec --gateway ftp://x -- touch ran", "ftp"),
        ("exec --no-push --dry-run -- touch ran", "--no-push"),
    ] {
        sandbox.run(line).code(2).err(message);
    }
    sandbox
        .run_args(["exec", "--", ""])
        .code(2)
        .err("names no program");
    sandbox
        .run_args(["exec", "--job", "", "--", "touch", "ran"])
        .code(2)
        .err("must not be empty");
    assert!(!sandbox.path().join("ran").exists());
    assert!(!sandbox.state_db().exists());
}

#[test]
fn environment_and_directory_can_be_set() {
    let sandbox = Sandbox::new().variable("KEPT", "kept").variable("A", "1");
    fs::create_dir(sandbox.path().join("sub")).unwrap();
    let run = sandbox.exec(
        "--env A=2 --env B== --working-directory sub",
        "echo $KEPT $A $B; pwd",
    );
    let sub = sandbox.path().canonicalize().unwrap().join("sub");
    assert_eq!(
        run.code(0).stdout(),
        format!("kept 2 =\n{}\n", sub.display())
    );
    sandbox
        .exec("--working-directory nowhere", "true")
        .code(126)
        .err("the working directory nowhere: No such file or directory");
}

#[test]
fn the_running_command_knows_its_run() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec(
        "--job known",
        "echo $METRICSJOB_JOB $METRICSJOB_RUN_ID; stat -c %a $METRICSJOB_METRICS; echo $METRICSJOB_METRICS",
    );
    let stdout = run.code(0).stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    let id = sandbox.history()[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 16);
    assert_eq!(lines[..2], [format!("known {id}"), "600".into()]);
    assert!(!fs::exists(lines[2]).unwrap(), "it is removed");
}

#[test]
fn success_codes() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--job codes --success-codes 0,3", "exit 3");
    // The exit code stays the command's own.
    run.code(3).quiet();
    assert_eq!(sandbox.value("codes", "batch_job_success"), Some(1.0));
    assert_eq!(sandbox.value("codes", "batch_job_exit_code"), Some(3.0));
    sandbox
        .exec("--job codes --success-codes 0,3", "exit 4")
        .code(4);
    sandbox
        .exec("--job codes --success-codes 3", "exit 0")
        .code(0);
    assert_eq!(sandbox.outcomes(), ["success", "failure", "failure"]);
}

#[test]
fn quiet_says_only_that_it_failed() {
    let sandbox = Sandbox::new();
    sandbox.exec("--quiet", "exit 0").code(0).quiet();
    let failed = sandbox.exec("--quiet --job j", "exit 3");
    failed.code(3).err("error: j: failure (exit code 3) in ");
    let retried = sandbox.exec("--quiet --job j --retries 1 --backoff 1ms", "exit 3");
    retried
        .code(3)
        .err("error: j: failure (exit code 3) after 2 attempts in ");
    assert_eq!(retried.stderr().lines().count(), 1);
}

#[test]
fn json_tells_everything() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec(
        "--job j --output json --retries 1 --backoff 1ms --tail 1",
        "echo a >&2; exit 3",
    );
    let json = run.code(3).result();
    assert_eq!(json["outcome"], "failure");
    assert_eq!(json["attempts"], 2);
    assert_eq!(json["exit_code"], 3);
    assert_eq!(json["tail"][0], "a");
    assert_eq!(json["push"]["method"], "post");
    assert_eq!(json["push"]["deliveries"][0]["delivered"], true);
    assert!(json["max_rss_bytes"].as_f64().unwrap() > 100_000.0);
}

#[test]
fn without_a_push_it_is_still_in_the_history() {
    let sandbox = Sandbox::new();
    let run = sandbox
        .exec("--no-push --output json", "true")
        .code(0)
        .result();
    assert_eq!(run["push"]["deliveries"], serde_json::json!([]));
    assert_eq!(run["push"]["error"], serde_json::Value::Null);
    assert_eq!(sandbox.outcomes(), ["success"]);
    assert!(sandbox.samples().is_empty());
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--job dry --dry-run --push-start", "exit 1");
    run.code(1)
        .out("POST embedded:/metrics/job/dry\n")
        .out("batch_job_runs_total{outcome=\"failure\"} 1\n")
        .out("batch_job_runs_total{outcome=\"success\"} 0\n");
    assert!(!sandbox.state_db().exists());
}

/// It has nowhere to be reported to, and runs all the same.
#[test]
fn a_job_runs_without_state() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--state-dir /proc/nowhere", "echo ran; exit 3");
    run.code(3).err("warning: ");
    assert_eq!(run.stdout(), "ran\n");
}

/// With its descriptors closed, as by some supervisors: none of our files takes their place.
#[test]
fn closed_streams_are_no_obstacle() {
    let sandbox = Sandbox::new();
    let script = format!(
        "{} exec --job closed -- sh -c 'echo out; echo err >&2; ls /proc/self/fd/ >seen' 0<&- 1>&- 2>&-",
        US
    );
    let command = sandbox.command([] as [&str; 0]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &script])
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(sandbox.path());
    assert!(shell.status().unwrap().success());
    assert_eq!(sandbox.outcomes(), ["success"]);
}

/// Whoever reads our output may stop doing so: the command learns of it as it would without us.
#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let sandbox = Sandbox::new();
    for options in ["--quiet", "--quiet --tail 1"] {
        let mut command = sandbox.exec_command(options, "yes >&2");
        let mut child = sandbox.spawn(&mut command);
        let mut first = [0; 100];
        child.stderr.take().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(141), "{options}");
    }
}

#[test]
fn nested_runs_keep_apart() {
    let sandbox = Sandbox::new();
    let us = US;
    let script = format!(
        "{us} metric set outer 1; {us} exec --job inner -- {us} metric set inner 2; {us} metric set outer 3"
    );
    sandbox.exec("--job outer", &script).code(0).quiet();
    assert_eq!(sandbox.value("outer", "outer"), Some(3.0));
    assert_eq!(sandbox.value("outer", "inner"), None);
    assert_eq!(sandbox.value("inner", "inner"), Some(2.0));
}

#[test]
fn usage_is_that_of_the_whole_tree() {
    let sandbox = Sandbox::new();
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let script = format!(
        "(sh -c '{busy}') & wait; head -c 50000000 /dev/zero | tail -c 40000000 >/dev/null"
    );
    sandbox.exec("--job busy", &script).code(0);
    assert!(sandbox.value("busy", "batch_job_cpu_user_seconds").unwrap() > 0.01);
    assert!(sandbox.value("busy", "batch_job_max_rss_bytes").unwrap() > 30_000_000.0);
}

/// As execvp(3), shells and env(1) run it.
#[test]
fn a_script_without_interpreter_is_the_shells() {
    let sandbox = Sandbox::new().variable("PATH", "bin:/usr/bin:/bin");
    let script = sandbox.write("bin/plain", "echo plain $1\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    for program in ["bin/plain", "plain"] {
        let run = sandbox.run(&format!("exec --tail 1 -- {program} word"));
        assert_eq!(run.code(0).stdout(), "plain word\n");
    }
}

/// systemd starts services so.
#[test]
fn sigpipe_is_left_as_it_was() {
    let sandbox = Sandbox::new();
    let script = "trap '' PIPE; $US exec --quiet -- bash -c 'yes 2>/dev/null | head -1; echo ${PIPESTATUS[0]}'";
    for (script, status) in [
        (script.to_owned(), "1"),
        (script.replace("trap '' PIPE;", ""), "141"),
    ] {
        let mut shell = std::process::Command::new("bash");
        let shell = shell
            .args(["-c", &script])
            .env("US", US)
            .env("HOME", sandbox.path());
        let run = Finished::from(shell.output().unwrap());
        assert_eq!(run.stdout(), format!("y\n{status}\n"));
    }
}

/// What we cannot write is no reason for the command to end.
#[test]
fn a_full_disk_under_stderr_is_not_the_commands() {
    let sandbox = Sandbox::new();
    for options in ["--quiet", "--quiet --tail 5"] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let script = "for i in 1 2 3; do echo $i >&2; sleep 0.05; done; exit 0";
        let mut command = sandbox.exec_command(options, script);
        assert_eq!(
            command.stderr(full).status().unwrap().code(),
            Some(0),
            "{options}"
        );
    }
    assert_eq!(
        sandbox.history()[1]["tail"],
        serde_json::json!(["1", "2", "3"])
    );
}

/// As some programs leave a stream that they share with us.
#[test]
fn a_stream_that_does_not_wait_loses_nothing() {
    let sandbox = Sandbox::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(
        &writer,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )
    .unwrap();
    let full = writer.try_clone().unwrap();
    let mut command = sandbox.exec_command("--quiet --tail 1", "head -c 500000 /dev/zero >&2");
    let mut child = command.stderr(writer).spawn().unwrap();
    drop(command);
    eventually("the pipe is full", || {
        let mut fds = [PollFd::new(full.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 0
    });
    drop(full);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 500_000);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Of files: without enough of them it may be impossible to start anything, but nothing worse happens.
#[test]
fn scarce_resources_do_not_keep_a_job_from_running() {
    let sandbox = Sandbox::new();
    let us = US;
    for files in [6, 8, 9, 10, 12, 40] {
        let line = format!(
            "ulimit -n {files}; exec {us} exec --quiet --tail 3 --push-start -- sh -c 'exit 3'"
        );
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &line])
            .env("HOME", sandbox.path())
            .current_dir(sandbox.path());
        let code = shell.output().unwrap().status.code();
        let is_fine = code == Some(3) || (code == Some(126) && files < 40);
        assert!(is_fine, "{code:?} with {files} files");
    }
}

#[test]
fn empty_variables_count_for_none() {
    let mut sandbox = Sandbox::new();
    for name in [
        "METHOD",
        "OUTPUT",
        "CONNECT_TIMEOUT",
        "STATE_DIR",
        "JOBS_DIR",
        "QUIET",
    ] {
        sandbox = sandbox.variable(&format!("METRICSJOB_{name}"), "");
    }
    sandbox.exec("", "exit 3").code(3);
    sandbox.run("run backup --set duration=0s").code(0);
}
