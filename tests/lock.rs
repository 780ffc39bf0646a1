//! `--lock`: one run of a job and grouping key at a time.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{Finished, Sandbox, TestGateway, catches, eventually, finished, send};

on_each_gateway!(a_skipped_run_only_counts);

/// Starts a run with the lock that goes on until the file `end` is there.
fn hold(sandbox: &Sandbox, options: &str) -> Child {
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let child = sandbox.spawn(&mut sandbox.exec_command(options, script));
    eventually("the run has begun", || {
        sandbox.path().join("ready").exists()
    });
    child
}

fn release(sandbox: &Sandbox, child: Child) -> Finished {
    sandbox.write("end", "");
    finished(child)
}

/// Whatever the method: what the run that goes on has reported stays.
fn a_skipped_run_only_counts(gateway: &TestGateway) {
    let options = "--job locked --lock --method put --push-start";
    let sandbox = &gateway.sandbox;
    let child = hold(sandbox, options);
    let value = |series: &str| gateway.value("locked", series);
    eventually("the start is reported", || {
        value("batch_job_running").is_some()
    });
    let skipped = r#"batch_job_runs_total{outcome="skipped"}"#;
    for count in 1..=2 {
        sandbox.exec(options, "touch ran").code(0).quiet();
        assert_eq!(value(skipped), Some(f64::from(count)));
        assert_eq!(value("batch_job_running"), Some(1.0));
        assert_eq!(value("batch_job_success"), None);
    }
    assert!(!sandbox.path().join("ran").exists());
    release(sandbox, child).code(0);
    assert_eq!(value(skipped), Some(2.0));
    assert_eq!(value(&skipped.replace("skipped", "success")), Some(1.0));
    assert_eq!(value("batch_job_running"), Some(0.0));
    assert_eq!(sandbox.outcomes(), ["skipped", "skipped", "success"]);
}

#[test]
fn fifty_processes_run_one_at_a_time() {
    let sandbox = Sandbox::new();
    // Who finds somebody else inside says so.
    let script = "mkdir inside || echo overlap >>overlaps; echo x >>ran; sleep 0.02; rmdir inside";
    for (options, all_run) in [
        ("--job l --lock --lock-wait 60s", true),
        ("--job l --lock", false),
    ] {
        let _ = fs::remove_file(sandbox.path().join("ran"));
        let children: Vec<Child> = (0..50)
            .map(|_| sandbox.spawn(&mut sandbox.exec_command(options, script)))
            .collect();
        for child in children {
            let run = finished(child);
            run.code(0).quiet();
        }
        assert!(!sandbox.path().join("overlaps").exists());
        let ran = fs::read_to_string(sandbox.path().join("ran"))
            .unwrap()
            .lines()
            .count();
        assert!(ran >= 1 && (ran == 50 || !all_run), "{ran} of 50 ran");
        assert_eq!(
            fs::read_dir(sandbox.path().join(".local/state/metricsjob/locks"))
                .unwrap()
                .count(),
            0
        );
    }
    // None is missing, wherever its report was overtaken by another one.
    let outcomes = sandbox.outcomes();
    assert_eq!(outcomes.len(), 100);
    for outcome in ["success", "skipped"] {
        let count = outcomes.iter().filter(|found| *found == outcome).count();
        let total = format!("batch_job_runs_total{{outcome=\"{outcome}\"}}");
        assert_eq!(sandbox.value("l", &total), Some(count as f64), "{outcome}");
    }
}

#[test]
fn only_the_same_job_and_grouping_key_are_kept_apart() {
    let sandbox = Sandbox::new();
    let child = hold(&sandbox, "--job locked --lock -g a=1 -g b=2");
    let outcome = |options: &str| {
        let run = sandbox.exec(&format!("{options} --output json"), "true");
        run.code(0).result()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome("--job locked --lock -g b=2 -g a=1"), "skipped");
    assert_eq!(outcome("--job locked --lock -g a=1"), "success");
    assert_eq!(outcome("--job other --lock -g a=1 -g b=2"), "success");
    assert_eq!(outcome("--job locked -g a=1 -g b=2"), "success");
    assert_eq!(
        outcome("--job locked --lock=false -g a=1 -g b=2"),
        "success"
    );
    release(&sandbox, child).code(0);
    assert_eq!(outcome("--job locked --lock -g a=1 -g b=2"), "success");
}

#[test]
fn who_waits_gets_its_turn_or_is_skipped() {
    let sandbox = Sandbox::new();
    let child = hold(&sandbox, "--job locked --lock");
    let start = Instant::now();
    let run = sandbox.exec("--job locked --lock-wait 300ms --output json", "true");
    let json = run.code(0).result();
    assert_eq!(json["outcome"], "skipped");
    assert_eq!(
        json["failure"],
        format!("another run is in progress (process {})", child.id())
    );
    assert!(start.elapsed() >= Duration::from_millis(300));

    let mut command = sandbox.exec_command("--job locked --lock-wait 60s", "touch ran");
    let waiting = sandbox.spawn(&mut command);
    eventually("it waits", || catches(waiting.id(), &[Signal::SIGTERM]));
    assert!(!sandbox.path().join("ran").exists());
    release(&sandbox, child).code(0);
    finished(waiting).code(0);
    assert!(sandbox.path().join("ran").exists());
}

#[test]
fn a_signal_ends_the_wait() {
    let sandbox = Sandbox::new();
    let child = hold(&sandbox, "--job locked --lock");
    let mut command = sandbox.exec_command("--job locked --lock-wait 1h", "touch ran");
    let waiting = sandbox.spawn(&mut command);
    eventually("it waits", || catches(waiting.id(), &[Signal::SIGTERM]));
    send(waiting.id(), Signal::SIGTERM);
    finished(waiting).code(143);
    assert!(!sandbox.path().join("ran").exists());
    release(&sandbox, child);
}

/// What the command leaves running does not keep the lock.
#[test]
fn a_process_left_behind_holds_nothing() {
    let sandbox = Sandbox::new();
    sandbox
        .exec(
            "--job locked --lock",
            "sleep 100 >/dev/null 2>&1 & echo $! >pid",
        )
        .code(0);
    let run = sandbox.exec("--job locked --lock --output json", "true");
    assert_eq!(run.code(0).result()["outcome"], "success");
    let pid = fs::read_to_string(sandbox.path().join("pid")).unwrap();
    send(pid.trim().parse().unwrap(), Signal::SIGKILL);
}

/// State that cannot be written never stops a job: its lock is elsewhere then, and not where the environment says,
/// which is another one in cron than in a shell.
#[test]
fn without_state_the_lock_is_elsewhere() {
    let (sandbox, other) = (
        Sandbox::new(),
        Sandbox::new().variable("TMPDIR", "/var/tmp"),
    );
    let nowhere = |name: &str| format!("/proc/{name}{}", std::process::id());
    let options = "--job locked --no-push --lock --output json --state-dir";
    let outcome = |dir: &str| {
        let run = other.exec(&format!("{options} {}", nowhere(dir)), "true");
        run.code(0).result()["outcome"].clone()
    };
    let mut first = hold(&sandbox, &format!("{options} {}", nowhere("nowhere")));
    assert_eq!(outcome("nowhere"), "skipped");
    // Another state is another matter.
    assert_eq!(outcome("there"), "success");
    sandbox.write("end", "");
    first.wait().unwrap();
    assert_eq!(outcome("nowhere"), "success");
}

/// Better no run than two at a time.
#[test]
fn without_any_lock_nothing_runs() {
    let sandbox = Sandbox::new();
    let nowhere = format!("/proc/without-a-lock-{}", std::process::id());
    let options = format!("--lock --state-dir {nowhere}");
    let _blocked = sandbox.block_locks(Path::new(&nowhere));
    sandbox
        .exec(&options, "touch ran")
        .code(2)
        .err(&format!("could not lock {nowhere}/locks"))
        .err("nothing has run");
    assert!(!sandbox.path().join("ran").exists());
}

#[test]
fn names_that_no_file_can_have() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(5000);
    for job in ["../../../etc", "a/b", ".", "..", "é\n", &long] {
        let run = sandbox.run_args(["exec", "--lock", "--job", job, "--", "true"]);
        run.code(0).quiet();
    }
    assert_eq!(sandbox.outcomes(), ["success"; 6]);
}
