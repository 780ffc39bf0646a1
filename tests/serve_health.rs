//! What `/health` says, and what goes on while the state cannot be written.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::common::own_server::{
    OwnServer, assert_shape, id, open, server_command, with_examples, wrapped,
};
use crate::common::{FakeServer, Sandbox, awaited, eventually};

/// Where what is done to the state directory is done.
const STATE: &str = "--state-dir state";

/// The answer of `/health` with this status.
#[track_caller]
fn health(server: &OwnServer, status: u16) -> Json {
    let health = server.get("/health").json(status);
    assert_shape(&health, "Health");
    assert!(health["uptime_seconds"].as_f64().unwrap() >= 0.0);
    let well = json!({ "status": "ok", "error": null });
    assert_eq!(health["checks"]["scheduler"], well);
    let state = &health["checks"]["state"];
    match status {
        200 => {
            assert_eq!(health["status"], "ok");
            assert_eq!(*state, well);
        }
        _ => {
            assert_eq!(
                (&health["status"], &state["status"]),
                (&json!("failing"), &json!("failing"))
            );
        }
    }
    health
}

/// Why the state cannot be written, once that is known.
#[track_caller]
fn failure(server: &OwnServer) -> String {
    eventually("it fails", || server.get("/health").status == 503);
    let health = health(server, 503);
    health["checks"]["state"]["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn is_alive(server: &OwnServer) {
    for (path, text) in [
        ("/healthz", "ok"),
        ("/-/healthy", "metricsjob is healthy.\n"),
        ("/-/ready", "metricsjob is ready.\n"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, &*answer.body), (200, text), "{path}");
        assert!(answer.headers["content-type"].starts_with("text/plain"));
    }
}

#[test]
fn all_is_well() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    health(&server, 200);
    is_alive(&server);
}

/// It is alive until the last run is over, but takes no more.
#[test]
fn the_end() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "--grace=1h");
    let id = server.ask("gated");
    server.run_once(&id, "running");
    server.signal(SIGTERM);
    eventually("it is not ready", || server.get("/-/ready").status == 503);
    assert_eq!(server.get("/-/healthy").status, 200);
    health(&server, 200);
    server.post("backup", "{}").error(503);
    open(&sandbox);
    server.ended();
    assert_eq!(sandbox.history()[0]["run_id"], json!(id));
}

/// A server in a mount namespace of its own, where `script` has set up the state directory `$dir`; it needs root.
fn start_in_namespace(sandbox: &Sandbox, script: &str, options: &str) -> OwnServer {
    let dir = sandbox.path().join("state");
    fs::create_dir_all(&dir).unwrap();
    let server = server_command(sandbox, &format!("{STATE} {options}"));
    let script = format!("{script}; exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-euc", &script, "sh"];
    let mut command = wrapped(&wrapper, &server);
    command.env("dir", dir);
    OwnServer::start_command(command)
}

/// A path as the server sees it.
fn seen(server: &OwnServer, path: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", server.pid());
    Path::new(&root).join(path.strip_prefix("/").unwrap())
}

/// A run takes place, and the server says that it is not recorded.
#[track_caller]
fn runs_unrecorded(server: &OwnServer, group: &str, reason: &str) {
    let run = server.run_with("backup", &json!({ "grouping": { "db": group } }));
    assert_eq!(
        (&run["outcome"], &run["trigger"]),
        (&json!("success"), &json!("http"))
    );
    assert_eq!(server.job("backup")["last_run"], run);
    eventually("it says so", || {
        let log = server.log();
        let mut lines = log.lines().filter(|line| line.contains(id(&run)));
        lines.any(|line| line.contains("a run could not be recorded") && line.contains(reason))
    });
    assert!(
        server
            .get("/metrics")
            .body
            .contains("db_backup_records_processed")
    );
}

/// It takes some seconds.
#[track_caller]
fn all_is_well_again(server: &OwnServer) {
    awaited(Duration::from_secs(180), || {
        let answer = server.get("/health");
        (answer.status == 200).then_some(()).ok_or(answer.body)
    });
}

#[track_caller]
fn runs_recorded(server: &OwnServer, group: &str) {
    let run = server.run_with("backup", &json!({ "grouping": { "db": group } }));
    let recorded = server.listed("backup", "");
    assert_eq!(recorded[0]["run_id"], run["run_id"]);
}

#[test]
fn a_full_disk() {
    let gateway = FakeServer::status("202 Accepted", "");
    let option = format!("--gateway={}", gateway.url());
    let script = r#"mount -t tmpfs -o size=2m none "$dir""#;
    let sandbox = with_examples();
    let server = start_in_namespace(&sandbox, script, &option);
    // By their groups; one that cannot be taken out of the outbox may arrive again.
    let arrives = |group: &str| {
        let path = format!("/db/{group} ");
        eventually(&path, || {
            let requests = gateway.requests();
            requests.iter().any(|request| request.line.contains(&path))
        });
    };
    health(&server, 200);
    runs_recorded(&server, "before");
    arrives("before");

    let filler = seen(&server, &sandbox.path().join("state/filler"));
    let mut file = File::create(&filler).unwrap();
    while file.write(&[0; 4096]).is_ok() {}
    let reason = "no space is left there";
    let why = failure(&server);
    assert!(why.contains(reason), "{why}");
    is_alive(&server);
    runs_unrecorded(&server, "meanwhile", reason);
    // Its report does not need the disk.
    arrives("meanwhile");
    health(&server, 503);

    fs::remove_file(&filler).unwrap();
    drop(file);
    all_is_well_again(&server);
    health(&server, 200);
    runs_recorded(&server, "after");
    arrives("after");
}

#[test]
fn a_read_only_file_system() {
    let script = r#"mount --bind "$dir" "$dir"; mount -o remount,bind,ro "$dir""#;
    let sandbox = with_examples();
    let server = start_in_namespace(&sandbox, script, "");
    let reason = "the file system is read-only";
    let why = failure(&server);
    assert!(why.contains(reason), "{why}");
    is_alive(&server);
    runs_unrecorded(&server, "a", reason);
    let remount = Command::new("nsenter")
        .args(["--mount", "--target", &server.pid().to_string()])
        .args(["mount", "-o", "remount,bind,rw"])
        .arg(sandbox.path().join("state"))
        .status()
        .unwrap();
    assert!(remount.success());
    all_is_well_again(&server);
    runs_recorded(&server, "a");
}

/// Somebody removes it, or puts something else in its place.
#[test]
fn no_directory() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, STATE);
    runs_recorded(&server, "a");
    let state = sandbox.path().join("state");
    fs::rename(&state, sandbox.path().join("moved")).unwrap();
    fs::write(&state, "").unwrap();
    let why = failure(&server);
    assert!(why.contains("Not a directory"), "{why}");
    is_alive(&server);
    runs_unrecorded(&server, "a", "Not a directory");
    fs::remove_file(&state).unwrap();
    all_is_well_again(&server);
    runs_recorded(&server, "a");
}

/// Whoever of the server's threads finds it so, it is told each time, and what runs then is recorded.
#[test]
fn a_corrupt_database() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, STATE);
    let state = sandbox.path().join("state");
    for times in 1..=2 {
        runs_recorded(&server, "before");
        for name in ["state.db", "state.db-wal"] {
            let path = state.join(name);
            let length = path.metadata().unwrap().len();
            let file = File::options().write(true).open(path).unwrap();
            let garbage = b"x".repeat(usize::try_from(length).unwrap());
            file.write_all_at(&garbage, 0).unwrap();
        }
        eventually("it is told", || {
            assert_eq!(server.get("/metrics").status, 200);
            let log = server.log();
            let lines = log
                .lines()
                .filter(|line| line.contains("the state was replaced"));
            lines.filter(|line| line.contains("level=error")).count() == times
        });
        all_is_well_again(&server);
        // All that the server has open is the new one.
        for group in ["a", "b", "c"] {
            runs_recorded(&server, group);
            assert_eq!(server.get("/metrics").status, 200);
        }
        assert_eq!(server.listed("backup", "").len(), 3);
        let entries = fs::read_dir(&state).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut moved: Vec<String> = names.collect();
        moved.retain(|name| name.contains(".corrupt-"));
        moved.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        assert_eq!(moved.len(), times, "{moved:?}");
    }
}

/// The health can wait for whoever has the database locked, but nothing that only reads.
#[test]
fn another_process_writes_for_long() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, STATE);
    runs_recorded(&server, "a");
    let database = Connection::open(sandbox.path().join("state/state.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Its last answer is good for a while.
    sleep(Duration::from_secs(2));
    thread::scope(|scope| {
        let health = scope.spawn(|| server.get("/health").status);
        // This request too.
        eventually("it is asked", || {
            server.sample("http_requests_in_flight") == Some(2.0)
        });
        let start = Instant::now();
        for path in ["/metrics", "/api/v1/jobs/backup/runs", "/"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert!(!health.is_finished());
        database.execute_batch("COMMIT").unwrap();
        assert_eq!(health.join().unwrap(), 200);
    });
}
