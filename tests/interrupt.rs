//! Signals that end a built-in: it cleans up, is reported, and the exit code is 128 + n.

use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal::{self, *};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::common::{FakeServer, Sandbox, TestGateway, US, catches, eventually, finished};

on_each_gateway!(an_interrupted_run_is_reported);

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Starts a run and waits until it can only be inside the job.
fn start(sandbox: &Sandbox, line: &str) -> Child {
    let child = sandbox.spawn(&mut sandbox.command(line.split(' ')));
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    eventually("it catches them", || catches(child.id(), &signals));
    // Nothing shows from outside that it is.
    sleep(Duration::from_millis(100));
    child
}

fn an_interrupted_run_is_reported(gateway: &TestGateway) {
    for (sent, number) in [
        (Signal::SIGINT, 2),
        (Signal::SIGTERM, 15),
        (Signal::SIGHUP, 1),
        (Signal::SIGQUIT, 3),
    ] {
        let child = start(&gateway.sandbox, "run backup --set duration=1h");
        signal(&child, sent);
        let run = finished(child);
        run.code(128 + number)
            .out(&format!("backup: signal {number} in "))
            .err("error: backup: it was interrupted");
        assert_eq!(
            gateway.backup("exit_code", ""),
            Some(f64::from(128 + number))
        );
        assert_eq!(gateway.backup("success", ""), Some(0.0));
    }
}

#[test]
fn a_long_interval_is_no_obstacle() {
    let sandbox = Sandbox::new();
    let child = start(&sandbox, "run random --set interval=1h");
    signal(&child, Signal::SIGTERM);
    let run = finished(child);
    run.code(143).out("batch_count_total 1\n");
}

#[test]
fn a_locked_backup_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("shop.db");
    let database = rusqlite::Connection::open(&source).unwrap();
    database
        .execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1); BEGIN EXCLUSIVE;")
        .unwrap();
    let copy = sandbox.write("out/copy.db", "the older copy");
    let child = start(
        &sandbox,
        "run backup --set source=shop.db --set dest=out/copy.db",
    );
    signal(&child, Signal::SIGINT);
    let run = finished(child);
    run.code(130)
        .err("it was interrupted, and the destination is as it was");
    assert_eq!(fs::read(&copy).unwrap(), b"the older copy");
    assert_eq!(fs::read_dir(copy.parent().unwrap()).unwrap().count(), 1);

    // As soon as the lock is gone it goes on.
    let child = start(
        &sandbox,
        "run backup --set source=shop.db --set dest=out/copy.db",
    );
    database.execute_batch("COMMIT").unwrap();
    finished(child)
        .code(0)
        .out("db_backup_records_processed 1\n");
}

/// As under `nohup`, and as shells start background jobs.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let run = format!(
        "trap '' HUP INT; exec {} run backup --set duration=500ms",
        US
    );
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &run])
        .env_clear()
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path());
    let child = sandbox.spawn(&mut command);
    eventually("it runs", || catches(child.id(), &[SIGTERM]));
    signal(&child, Signal::SIGHUP);
    signal(&child, Signal::SIGINT);
    finished(child).code(0).out("backup: success");
}

/// The job has ended; what is left is to deliver the report, or to keep it.
#[test]
fn a_signal_while_the_report_is_pushed_loses_nothing() {
    let server = FakeServer::hanging();
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    sandbox.write("jobs/ok.toml", "command = ['true']\n");
    for (kept, job) in ["ok", "backup --set duration=0s"].into_iter().enumerate() {
        let line = format!("run {job} --push-timeout 1s");
        let child = sandbox.spawn(&mut sandbox.command(line.split(' ')));
        eventually("a push", || server.requests().len() > kept);
        signal(&child, Signal::SIGTERM);
        let run = finished(child);
        run.code(0).err("the report is kept as outbox entry ");
        assert_eq!(sandbox.outbox_len(), kept as i64 + 1);
    }
}
