//! What leaves the process group of its command ends with it, at a timeout and by a signal.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::own_server::{OwnServer, job};
use crate::common::{Sandbox, eventually, finished, is_alive, send};

/// Ways out of a process group, each with a process that writes its id into the file `pid` and goes on for long.
const WAYS_OUT: [(&str, &str); 7] = [
    (
        "timeout",
        "timeout 1h sh -c 'echo $$ >pid; exec sleep 1000'; true",
    ),
    ("setsid", "setsid sh -c 'echo $$ >pid; exec sleep 1000'"),
    (
        "job control",
        "set -m; sh -c 'echo $$ >pid; exec sleep 1000' & wait",
    ),
    (
        "an orphan",
        "(setsid sh -c 'echo $$ >pid; exec sleep 1000' &); sleep 1000",
    ),
    (
        "an orphan of an orphan",
        "(setsid sh -c '(setsid sh -c \"echo \\$\\$ >pid; exec sleep 1000\" &)' &); sleep 1000",
    ),
    (
        "without its environment",
        "env -i setsid sh -c 'echo $$ >pid; exec sleep 1000'",
    ),
    (
        "one that ignores SIGTERM",
        "setsid sh -c 'trap \"\" TERM INT HUP QUIT; echo $$ >pid; while :; do sleep 1; done'",
    ),
];

fn pid(sandbox: &Sandbox, file: &str) -> Option<u32> {
    let text = fs::read_to_string(sandbox.path().join(file)).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

#[track_caller]
fn wait_for_pid(sandbox: &Sandbox, file: &str) -> u32 {
    eventually("it has begun", || pid(sandbox, file).is_some());
    pid(sandbox, file).unwrap()
}

#[test]
fn at_a_timeout() {
    for (way, script) in WAYS_OUT {
        let sandbox = Sandbox::new();
        let run = sandbox.exec("--lock --timeout 500ms --kill-after 500ms", script);
        run.code(124);
        let pid = pid(&sandbox, "pid").unwrap();
        assert!(!is_alive(pid), "{way}");
    }
}

#[test]
fn by_a_signal() {
    let signals = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    for (number, (way, script)) in WAYS_OUT.into_iter().enumerate() {
        let sandbox = Sandbox::new();
        let mut command = sandbox.exec_command("--kill-after 500ms", script);
        let mut run = sandbox.spawn(&mut command);
        let pid = wait_for_pid(&sandbox, "pid");
        send(run.id(), signals[number % signals.len()]);
        run.wait().unwrap();
        assert!(!is_alive(pid), "{way}");
    }
}

/// The run, and then the server, which waits for none of them longer than it should.
#[test]
fn in_serve() {
    for (way, script) in WAYS_OUT {
        if way == "without its environment" {
            continue;
        }
        let sandbox = Sandbox::new();
        job(
            &sandbox,
            "j",
            "timeout = '500ms'\nkill_after = '500ms'",
            script,
        );
        let server = OwnServer::start(&sandbox, "");
        server.run("j");
        let pid = pid(&sandbox, "pid").unwrap();
        assert!(!is_alive(pid), "{way}");
        server.end();
    }
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", WAYS_OUT[0].1);
    let server = OwnServer::start(&sandbox, "");
    server.ask("j");
    let pid = wait_for_pid(&sandbox, "pid");
    server.end();
    assert!(!is_alive(pid));
}

/// One of another run, one of an attempt that is over, and one of this machine's.
#[test]
fn others_are_left_alone() {
    let sandbox = Sandbox::new();
    let script = "setsid sh -c 'echo $$ >other; exec sleep 1000' & wait";
    let mut other = sandbox.spawn(&mut sandbox.exec_command("--job j", script));
    let of_other = wait_for_pid(&sandbox, "other");
    let daemon = "(setsid sh -c 'echo $$ >daemon; exec sleep 1000' >/dev/null 2>&1 &)
        while ! [ -s daemon ]; do sleep 0.01; done";
    sandbox.exec("--job j", daemon).code(0);
    let first = "if ! [ -e first ]; then
            (setsid sh -c 'echo $$ >first; exec sleep 1000' >/dev/null 2>&1 &)
            while ! [ -s first ]; do sleep 0.01; done
            exit 75
        fi
        exec sleep 1000";
    let options = "--job j --timeout 500ms --retries 1 --backoff 1ms";
    sandbox.exec(options, first).code(124);
    let left = ["daemon", "first"].map(|file| pid(&sandbox, file).unwrap());
    for pid in [of_other].into_iter().chain(left) {
        assert!(is_alive(pid));
    }
    for pid in left {
        send(pid, Signal::SIGKILL);
    }
    send(other.id(), Signal::SIGTERM);
    other.wait().unwrap();
    assert!(!is_alive(of_other));
}

/// Its parent ends first, so that it has another one when it is looked for again.
#[test]
fn each_gets_the_signal_once() {
    let sandbox = Sandbox::new();
    let script = "setsid sh -c 'sh -c \"trap \\\"echo x >>got\\\" TERM; echo \\$\\$ >pid; while :; do sleep 0.05; done\" & wait'";
    for _ in 0..5 {
        sandbox.write("got", "");
        let run = sandbox.exec("--timeout 300ms --kill-after 300ms", script);
        run.code(124);
        let got = fs::read_to_string(sandbox.path().join("got")).unwrap();
        assert_eq!(got, "x\n");
        assert!(!is_alive(pid(&sandbox, "pid").unwrap()));
    }
}

/// A run within a run comes from it, and is of another attempt.
#[test]
fn what_a_nested_run_started() {
    let sandbox = Sandbox::new();
    let us = &*crate::common::US;
    let script = format!(
        "{us} exec --job inner -- {}",
        "setsid --wait sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 1; done'"
    );
    let options = "--job outer --timeout 500ms --kill-after 300ms";
    sandbox.exec(options, &script).code(124);
    assert!(!is_alive(pid(&sandbox, "pid").unwrap()));
}

/// Other signals are the command's business.
#[test]
fn other_signals_go_to_the_group_alone() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo usr1 >got' USR1
        setsid sh -c 'echo $$ >pid; exec sleep 1000' &
        while ! [ -e got ]; do sleep 0.01; done
        kill -0 $(cat pid) && kill $(cat pid)";
    let run = sandbox.spawn(&mut sandbox.exec_command("", script));
    wait_for_pid(&sandbox, "pid");
    send(run.id(), Signal::SIGUSR1);
    finished(run).code(0);
}

/// It is named, and holds nobody up.
#[cfg(feature = "real-servers")]
#[test]
fn one_that_may_not_be_signalled() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    const NOBODY: u32 = 65534;
    let sandbox = Sandbox::new();
    let program = |name: &str, source: &str, mode| {
        let path = sandbox.path().join(name);
        // By another process: what other tests start would have inherited the file, open for writing.
        let copy = Command::new("cp").args([source]).arg(&path).status();
        assert!(copy.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let us = program("us", &crate::common::US, 0o755);
    // What sudo is for.
    program("setpriv", "/usr/bin/setpriv", 0o4755);
    let script = "setsid ./setpriv --reuid=0 sh -c 'echo $$ >pid; exec sleep 1000' >/dev/null 2>&1";
    let mut command = Command::new(us);
    command
        .args(["exec", "--no-push", "--timeout=500ms", "--kill-after=200ms"])
        .args(["--state-dir=/proc/nowhere", "--", "sh", "-c", script])
        .env_clear()
        .envs(crate::common::environment(sandbox.path()))
        .current_dir(sandbox.path())
        .uid(NOBODY)
        .gid(NOBODY);
    let start = Instant::now();
    let run = crate::common::Finished::from(command.output().unwrap());
    assert!(start.elapsed() < Duration::from_secs(5));
    let pid = pid(&sandbox, "pid").unwrap();
    run.code(124).err(&format!(
        "sleep (pid {pid}) is still running: it belongs to another user"
    ));
    assert!(is_alive(pid));
    send(pid, Signal::SIGKILL);
}

/// That they are not found is said.
#[cfg(feature = "real-servers")]
#[test]
fn without_proc() {
    use std::process::Command;

    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs none /proc; exec \"$0\" \"$@\"";
    let exec = sandbox.exec_command("--timeout 300ms --kill-after 300ms --no-push", "sleep 100");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", script])
        .arg(exec.get_program())
        .args(exec.get_args())
        .env_clear()
        .envs(
            exec.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(sandbox.path());
    let run = crate::common::Finished::from(command.output().unwrap());
    run.code(124)
        .err("processes that left the command's process group may still be running: could not read /proc");
}
