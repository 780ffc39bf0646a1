//! Signals during a command: they are passed on to it, and the run is reported.

use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal::{self, *};

#[cfg(feature = "real-servers")]
use crate::common::own_server::wrapped;
use crate::common::{
    Finished, Sandbox, US, catches, children, eventually, finished, is_alive, send,
};

/// Starts a script by `exec` and waits until it has written the file `ready`.
fn start(sandbox: &Sandbox, options: &str, script: &str) -> Child {
    let ready = sandbox.path().join("ready");
    let _ = std::fs::remove_file(&ready);
    let child = sandbox.spawn(&mut sandbox.exec_command(options, script));
    eventually("the command has begun", || ready.exists());
    child
}

fn end(child: Child) -> Finished {
    finished(child)
}

/// The process id that a script wrote to `file`.
fn pid(sandbox: &Sandbox, file: &str) -> u32 {
    let path = sandbox.path().join(file);
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("a process id", || text().ends_with('\n'));
    text().trim().parse().unwrap()
}

const ALL: [(Signal, i32); 6] = [
    (SIGTERM, 15),
    (SIGINT, 2),
    (SIGHUP, 1),
    (SIGQUIT, 3),
    (SIGUSR1, 10),
    (SIGUSR2, 12),
];

#[test]
fn a_signal_to_us_ends_the_command_and_is_the_outcome() {
    for (signal, number) in ALL {
        let sandbox = Sandbox::new();
        let child = start(
            &sandbox,
            "--job s",
            "ulimit -c 0; echo >ready; exec sleep 100",
        );
        send(child.id(), signal);
        let run = end(child);
        run.code(128 + number)
            .err(&format!("error: s: signal {number} in "));
        assert_eq!(sandbox.outcomes(), ["signal"], "{signal}");
        let code = sandbox.value("s", "batch_job_exit_code");
        assert_eq!(code, Some(f64::from(128 + number)));
        assert_eq!(
            sandbox.value("s", r#"batch_job_runs_total{outcome="signal"}"#),
            Some(1.0)
        );
    }
}

#[test]
fn a_signal_to_the_command_is_the_outcome() {
    for (signal, number) in ALL.into_iter().chain([(SIGKILL, 9), (SIGABRT, 6)]) {
        let sandbox = Sandbox::new();
        let child = start(
            &sandbox,
            "--job s",
            "ulimit -c 0; echo $$ >pid; echo >ready; exec sleep 100",
        );
        send(pid(&sandbox, "pid"), signal);
        end(child).code(128 + number);
        assert_eq!(sandbox.outcomes(), ["signal"], "{signal}");
    }
}

/// Who handles a signal decides how the run ends.
#[test]
fn a_command_that_handles_the_signal_has_the_last_word() {
    for (signal, _) in ALL {
        for (code, outcome) in [(0, "success"), (7, "failure")] {
            let sandbox = Sandbox::new();
            let name = &signal.as_str()[3..];
            let script =
                format!("trap 'exit {code}' {name}; echo >ready; while :; do sleep 0.01; done");
            let child = start(&sandbox, "", &script);
            send(child.id(), signal);
            end(child).code(code);
            assert_eq!(sandbox.outcomes(), [outcome], "{signal}");
        }
    }
}

#[test]
fn a_command_can_go_on_after_signals() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo one >>seen' USR1; trap 'echo two >>seen' HUP; echo >ready
        while ! [ -e end ]; do sleep 0.01; done";
    let child = start(&sandbox, "", script);
    let seen = || std::fs::read_to_string(sandbox.path().join("seen")).unwrap_or_default();
    send(child.id(), SIGUSR1);
    eventually("USR1", || seen() == "one\n");
    send(child.id(), SIGHUP);
    eventually("HUP", || seen() == "one\ntwo\n");
    send(child.id(), SIGUSR1);
    eventually("USR1 again", || seen() == "one\ntwo\none\n");
    sandbox.write("end", "");
    end(child).code(0);
}

/// All of its processes get it, not only the first.
#[test]
fn grandchildren_get_it_too() {
    let sandbox = Sandbox::new();
    let script =
        "sh -c 'echo $$ >grandchild; exec sleep 100' & trap '' TERM; echo >ready; wait; exit 5";
    let child = start(&sandbox, "", script);
    let grandchild = pid(&sandbox, "grandchild");
    send(child.id(), SIGTERM);
    end(child).code(5);
    eventually("the grandchild ends", || !is_alive(grandchild));
}

/// Killed without mercy we cannot report; the command goes on, and nothing is left locked.
#[test]
fn a_killed_wrapper_leaves_nothing_locked() {
    let sandbox = Sandbox::new();
    let mut child = start(
        &sandbox,
        "--job s --lock",
        "echo $$ >pid; echo >ready; exec sleep 100",
    );
    let command = pid(&sandbox, "pid");
    let busy = sandbox.run("exec --job s --lock --output json -- true");
    assert_eq!(busy.code(0).result()["outcome"], "skipped");
    send(child.id(), SIGKILL);
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    let run = sandbox.run("exec --job s --lock --output json -- true");
    assert_eq!(run.code(0).result()["outcome"], "success");
    assert!(is_alive(command));
    send(command, SIGKILL);
}

#[test]
fn stopped_and_continued() {
    let sandbox = Sandbox::new();
    let child = start(
        &sandbox,
        "",
        // It starts nothing meanwhile: a shell that waits for what it has just forked, by vfork(2), to become
        // another program does not stop, if that one was stopped before.
        "mkfifo gate; echo $$ >pid; echo >ready; read end <gate",
    );
    let command = pid(&sandbox, "pid");
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')')
            .unwrap()
            .1
            .trim()
            .chars()
            .next()
            .unwrap()
    };
    for _ in 0..3 {
        send(child.id(), SIGTSTP);
        eventually("both stop", || {
            state(command) == 'T' && state(child.id()) == 'T'
        });
        send(child.id(), SIGCONT);
        eventually("both go on", || {
            state(command) != 'T' && state(child.id()) != 'T'
        });
    }
    sandbox.write("gate", "\n");
    end(child).code(0);
}

/// As under `nohup`.
#[test]
fn an_ignored_signal_stays_ignored() {
    let sandbox = Sandbox::new();
    let script = format!(
        "trap '' HUP; exec {} exec -- sh -c 'echo >ready; while ! [ -e end ]; do sleep 0.01; done'",
        US
    );
    let mut command = std::process::Command::new("setsid");
    command
        .args(["sh", "-c", &script])
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path());
    let child = sandbox.spawn(&mut command);
    eventually("the command has begun", || {
        sandbox.path().join("ready").exists()
    });
    send(child.id(), SIGHUP);
    std::thread::sleep(Duration::from_millis(100));
    sandbox.write("end", "");
    end(child).code(0);
}

/// No further attempt follows, and there is no waiting for one.
#[test]
fn a_signal_ends_the_retries() {
    let sandbox = Sandbox::new();
    let options = "--job s --retries 5 --backoff 1ms";
    let child = start(
        &sandbox,
        options,
        "trap 'exit 3' TERM; echo x >>ready; while :; do sleep 0.01; done",
    );
    send(child.id(), SIGTERM);
    end(child).code(3);
    assert_eq!(sandbox.value("s", "batch_job_attempts"), Some(1.0));

    let child = start(
        &sandbox,
        "--job s --retries 5 --backoff 1h",
        "echo >ready; exit 1",
    );
    eventually("it waits", || children(child.id()).is_empty());
    send(child.id(), SIGINT);
    end(child).code(130);
    assert_eq!(sandbox.outcomes(), ["failure", "signal"]);
}

#[test]
fn a_signal_before_the_run_ends_the_waiting() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.exec_command("--splay 1000h", "echo >ready");
    let child = sandbox.spawn(&mut command);
    eventually("it catches signals", || catches(child.id(), &[SIGTERM]));
    send(child.id(), SIGTERM);
    end(child).code(143);
    assert!(!sandbox.path().join("ready").exists());
    assert!(sandbox.history().is_empty());
}

/// Each of the calls that catch a signal takes long, so the signal comes before the last of them.
#[cfg(feature = "real-servers")]
#[test]
fn a_signal_while_the_first_ones_are_caught_is_not_lost() {
    let sandbox = Sandbox::new();
    let slow = ["strace", "-qq", "-o", "/dev/null"];
    let slow = [&slow[..], &["-e", "inject=rt_sigaction:delay_exit=100000"]].concat();
    let command = sandbox.exec_command("--splay 1000h", "true");
    let mut command = wrapped(&slow, &command);
    let tracer = sandbox.spawn(&mut command);
    let mut pid = None;
    eventually("it catches the first signals", || {
        let child = children(tracer.id()).into_iter().next();
        pid = child.and_then(|stat| stat.split(' ').next()?.parse::<u32>().ok());
        pid.is_some_and(|pid| catches(pid, &[SIGTERM]))
    });
    let pid = pid.unwrap();
    assert!(!catches(pid, &[SIGCONT]), "too late to show it");
    send(pid, SIGTERM);
    end(tracer).code(143);
}
