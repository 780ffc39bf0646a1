//! `metricsjob serve` ends: what becomes of the runs, and of their processes.

use std::fs;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};

use crate::common::own_server::{GATE, OwnServer, close, history, job, open};
#[cfg(feature = "real-servers")]
use crate::common::own_server::{server_command, wrapped};
use crate::common::{FakeServer, Sandbox, children, eventually, finished, is_alive, send};

/// Goes on until SIGTERM comes.
const TRAP: &str =
    "trap 'echo caught >&2; exit 7' TERM; echo >trapped; while [ -e trapped ]; do sleep 0.02; done";

/// The text of a file once it has a line.
fn line(sandbox: &Sandbox, file: &str) -> String {
    let path = sandbox.path().join(file);
    let text = || fs::read_to_string(&path).unwrap_or_default();
    eventually(file, || text().ends_with('\n'));
    text().trim_end().to_owned()
}

fn is_ending(server: &OwnServer, signal: &str) {
    server.logs(&format!("msg=ending reason={signal}"));
    eventually("it is ending", || server.get("/-/ready").status == 503);
}

#[test]
fn what_runs_may_end_and_nothing_more_begins() {
    for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
        let sandbox = Sandbox::new();
        close(&sandbox);
        job(&sandbox, "runs", "", GATE);
        job(&sandbox, "tick", "schedule = '* * * * * *'", "true");
        let server = OwnServer::start(&sandbox, "--grace 1h --log-window 1h");
        assert_eq!(server.get("/-/ready").status, 200);
        server.eventually_runs("tick", "success", 1);
        let id = server.ask("runs");
        server.run_once(&id, "running");
        server.signal(signal);
        is_ending(&server, name);
        let due = server.runs("tick", "success");
        assert_eq!(server.is_refused(503, "tick"), "the server is ending");
        // It is well, and says what it does, until its end.
        assert_eq!(server.get("/-/healthy").status, 200);
        server.run_once(&id, "running");
        sleep(Duration::from_millis(2100));
        assert!(server.runs("tick", "success") <= due + 1.0);
        open(&sandbox);
        let log = server.ended();

        let runs = sandbox.history();
        let run = runs
            .iter()
            .find(|run| run["run_id"] == id.as_str())
            .unwrap();
        assert_eq!(run["outcome"], "success");
        assert_eq!(sandbox.value("runs", "batch_job_success"), Some(1.0));
        let count = runs.len();
        assert!(log.contains("msg=metrics window_seconds="), "{log}");
        let window = log
            .lines()
            .find(|line| line.contains("msg=metrics"))
            .unwrap();
        assert!(window.contains(&format!(" runs={count} ")), "{window}");
        assert!(
            window.contains(&format!(" pushes_sent={count} ")),
            "{window}"
        );
        assert!(log.ends_with("msg=\"the server has ended\"\n"), "{log}");
    }
}

#[test]
fn what_still_runs_gets_the_signal() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "retries = 3", TRAP);
    sandbox.write(
        "jobs/builtin.toml",
        "builtin = 'backup'\nparams = { duration = '1h' }\n",
    );
    let server = OwnServer::start(&sandbox, "--grace 100ms");
    server.ask("j");
    let id = server.ask("builtin");
    server.run_once(&id, "running");
    line(&sandbox, "trapped");
    server.signal(SIGTERM);
    server.ended();
    let run = |name: &str| history(&sandbox, name).remove(0);
    // It has the last word, and is not tried again.
    assert_eq!(
        (
            run("j")["exit_code"].as_u64(),
            run("j")["attempts"].as_u64()
        ),
        (Some(7), Some(1))
    );
    assert_eq!(
        run("j")["tail"].as_array().unwrap().last().unwrap(),
        "caught"
    );
    assert_eq!(run("builtin")["outcome"], "signal");
    assert_eq!(sandbox.value("j", "batch_job_exit_code"), Some(7.0));
    assert_eq!(sandbox.value("builtin", "batch_job_exit_code"), Some(143.0));
}

#[test]
fn a_second_signal_is_passed_on_at_once() {
    for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
        let sandbox = Sandbox::new();
        job(&sandbox, "j", "", TRAP);
        let server = OwnServer::start(&sandbox, "--grace 1h");
        server.ask("j");
        line(&sandbox, "trapped");
        server.signal(SIGTERM);
        is_ending(&server, "SIGTERM");
        server.signal(signal);
        server.logs(&format!(
            "msg=\"the signal is passed on to what runs\" signal={name}"
        ));
        server.ended();
        assert_eq!(sandbox.history()[0]["exit_code"], 7);
    }
}

/// A run waits for its next attempt, another one for a lock.
#[test]
fn runs_that_wait_get_the_signal_too() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "retries", "retries = 1\nbackoff = '1h'", "exit 3");
    job(&sandbox, "locked", "lock_wait = '1h'", GATE);
    let other = sandbox.spawn(&mut sandbox.command(["run", "locked"]));
    let locks = sandbox.state_db().with_file_name("locks");
    eventually("the other has the lock", || {
        fs::read_dir(&locks).is_ok_and(|mut files| files.next().is_some())
    });
    let server = OwnServer::start(&sandbox, "--grace 100ms");
    server.ask("retries");
    let id = server.ask("locked");
    server.logs("msg=\"an attempt did not succeed\"");
    server.run_once(&id, "running");
    server.signal(SIGTERM);
    server.ended();
    let run = |name: &str| history(&sandbox, name).remove(0);
    assert_eq!(run("retries")["outcome"], "signal");
    assert_eq!(run("locked")["outcome"], "skipped");
    assert_eq!(
        run("locked")["failure"],
        "signal 15 came before the run began"
    );
    open(&sandbox);
    finished(other).code(0);
}

#[test]
fn what_waits_is_skipped() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "runs", "overlap = 'queue'", GATE);
    job(&sandbox, "other", "", "true");
    let server = OwnServer::start(&sandbox, "--concurrency 1 --grace 1h");
    let runs = server.ask("runs");
    let waiting = [server.ask("runs"), server.ask("other")];
    server.run_once(&runs, "running");
    server.signal(SIGTERM);
    is_ending(&server, "SIGTERM");
    for id in &waiting {
        let run = server.run_once(id, "finished");
        assert_eq!(run["outcome"], "skipped");
        assert_eq!(run["failure"], "the server ended before it began");
    }
    assert_eq!(server.own("metricsjob_queued_runs"), 0.0);
    open(&sandbox);
    server.ended();
    let mut outcomes = sandbox.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["skipped", "skipped", "success"]);
    let skipped = "batch_job_runs_total{outcome=\"skipped\"}";
    assert_eq!(sandbox.value("other", skipped), Some(1.0));
}

/// Where a gateway does not answer, a second signal ends the waiting for it.
#[test]
fn a_second_signal_ends_the_delivery() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", "true");
    let gateway = FakeServer::hanging();
    let options = format!("--gateway {} --push-deadline 1h", gateway.url());
    let server = OwnServer::start(&sandbox, &options);
    server.run("j");
    eventually("the report is on its way", || {
        !gateway.requests().is_empty()
    });
    server.signal(SIGTERM);
    server.logs("msg=ending");
    sleep(Duration::from_millis(200));
    assert!(is_alive(server.pid()));
    server.signal(SIGTERM);
    server.ended();
    assert_eq!(sandbox.outbox_len(), 1);
}

#[test]
fn a_process_that_outlives_its_run_is_left_alone() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", "sleep 1000 & echo $! >child");
    let server = OwnServer::start(&sandbox, "--grace 1h");
    assert_eq!(server.run("j")["outcome"], "success");
    let child: u32 = line(&sandbox, "child").parse().unwrap();
    server.end();
    assert!(is_alive(child));
    send(child, SIGKILL);
}

/// Processes that lost their parent come to the server `pid`, and go when they have ended.
fn reaps_orphans(sandbox: &Sandbox, server: &OwnServer, pid: u32) {
    let orphans = || {
        children(pid)
            .iter()
            .filter(|stat| stat.contains("(orphan)"))
            .count()
    };
    for _ in 0..10 {
        let run = server.run("orphans");
        assert_eq!(run["outcome"], "success", "{run}");
    }
    eventually("they have come", || orphans() == 20);
    // Meanwhile others run, and nobody takes their end away from them.
    assert_eq!(server.run("fails")["exit_code"], 3);
    open(sandbox);
    eventually("they have ended", || orphans() == 0);
    eventually("no child stays", || children(pid).is_empty());
    assert_eq!(server.run("fails")["exit_code"], 3);
}

/// The jobs for it.
fn with_orphans(sandbox: &Sandbox) {
    close(sandbox);
    job(sandbox, "fails", "", "exit 3");
    // What it is called, the system knows it by.
    symlink("/bin/sh", sandbox.path().join("orphan")).unwrap();
    let orphan = format!("(./orphan -c \"{GATE}\" &)");
    job(sandbox, "orphans", "", &format!("{orphan}; {orphan}"));
}

#[test]
fn orphans_are_reaped() {
    let sandbox = Sandbox::new();
    with_orphans(&sandbox);
    let server = OwnServer::start(&sandbox, "");
    reaps_orphans(&sandbox, &server, server.pid());
    server.end();
}

/// The first process of a container has nobody to leave its orphans to, and no signal that it does not handle
/// ends it.
#[cfg(feature = "real-servers")]
#[test]
fn as_the_first_process_of_a_container() {
    let sandbox = Sandbox::new();
    with_orphans(&sandbox);
    job(&sandbox, "j", "", TRAP);
    let served = server_command(&sandbox, "--grace 100ms");
    let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    // It needs root, or CAP_SYS_ADMIN.
    let server = OwnServer::start_command(wrapped(&wrapper, &served));
    let pid = children(server.pid())[0]
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    reaps_orphans(&sandbox, &server, pid);
    server.ask("j");
    line(&sandbox, "trapped");
    send(pid, SIGTERM);
    server.ended();
    let runs = sandbox.history();
    assert_eq!(runs.last().unwrap()["exit_code"], 7);
}
