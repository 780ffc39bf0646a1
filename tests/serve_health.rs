//! What `/health` says, and what goes on while the state cannot be written.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::common::api_server::{Api, assert_shape, open, sandbox, serve};
use crate::common::{FakeServer, Sandbox, eventually, send};

/// The answer of `/health` with this status.
#[track_caller]
fn health(api: &Api, status: u16) -> Json {
    let health = api.get("/health").json(status);
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
fn failure(api: &Api) -> String {
    eventually("it fails", || api.get("/health").status == 503);
    let health = health(api, 503);
    health["checks"]["state"]["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn is_alive(api: &Api) {
    for (path, text) in [
        ("/-/healthy", "metricsjob is healthy.\n"),
        ("/-/ready", "metricsjob is ready.\n"),
    ] {
        let answer = api.get(path);
        assert_eq!((answer.status, &*answer.body), (200, text), "{path}");
        assert!(answer.headers["content-type"].starts_with("text/plain"));
    }
}

#[test]
fn all_is_well() {
    let api = Api::start();
    health(&api, 200);
    is_alive(&api);
}

/// It is alive until the last run is over, but takes no more.
#[test]
fn the_end() {
    let mut api = Api::start_in(sandbox(), &["--grace=1h"]);
    let id = api.start_run("gated", &json!({}));
    api.run_once(&id, "running");
    send(api.server.pid(), nix::sys::signal::Signal::SIGTERM);
    eventually("it is not ready", || api.get("/-/ready").status == 503);
    assert_eq!(api.get("/-/healthy").status, 200);
    health(&api, 200);
    api.post("backup", "{}").error(503);
    open(&api.sandbox);
    assert_eq!(api.server.wait(), Some(0));
    let history = api.sandbox.run("history --state-dir state --output json");
    assert_eq!(history.code(0).json()[0]["run_id"], json!(id));
}

/// A server in a mount namespace of its own, where `script` has set up the state directory `$dir`; it needs root.
fn start_in_namespace(sandbox: Sandbox, script: &str, flags: &[&str]) -> Api {
    let dir = sandbox.path().join("state");
    fs::create_dir_all(&dir).unwrap();
    let server = serve(&sandbox, "127.0.0.1", flags);
    let script = format!("{script}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", &script, "sh"])
        .arg(server.get_program())
        .args(server.get_args())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", sandbox.path())
        .env("dir", dir)
        .envs(sandbox.variables())
        .current_dir(sandbox.path());
    Api::start_command(command, sandbox)
}

/// A path as the server sees it.
fn seen(api: &Api, path: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", api.server.pid());
    Path::new(&root).join(path.strip_prefix("/").unwrap())
}

/// A run takes place, and the server says that it is not recorded.
#[track_caller]
fn runs_unrecorded(api: &Api, group: &str, reason: &str) {
    let id = api.start_run("backup", &json!({ "grouping": { "db": group } }));
    let run = api.run_once(&id, "finished");
    assert_eq!(
        (&run["outcome"], &run["trigger"]),
        (&json!("success"), &json!("http"))
    );
    assert_eq!(api.job("backup")["last_run"], run);
    eventually("it says so", || {
        let log = api.server.log();
        let mut lines = log.lines().filter(|line| line.contains(&id));
        lines.any(|line| line.contains("a run could not be recorded") && line.contains(reason))
    });
    assert!(
        api.get("/metrics")
            .body
            .contains("db_backup_records_processed")
    );
}

/// It takes some seconds.
#[track_caller]
fn all_is_well_again(api: &Api) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while api.get("/health").status != 200 {
        assert!(Instant::now() < deadline, "{}", api.get("/health").body);
        sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn runs_recorded(api: &Api, group: &str) {
    let id = api.start_run("backup", &json!({ "grouping": { "db": group } }));
    api.run_once(&id, "finished");
    let recorded: Vec<Json> = api
        .runs("backup", "")
        .iter()
        .map(|run| run["run_id"].clone())
        .collect();
    assert_eq!(recorded[0], json!(id));
}

#[test]
fn a_full_disk() {
    let gateway = FakeServer::status("202 Accepted", "");
    let flag = format!("--gateway={}", gateway.url());
    let script = r#"mount -t tmpfs -o size=2m none "$dir""#;
    let api = start_in_namespace(sandbox(), script, &[&flag]);
    // By their groups; one that cannot be taken out of the outbox may arrive again.
    let arrives = |group: &str| {
        let path = format!("/db/{group} ");
        eventually(&path, || {
            let requests = gateway.requests();
            requests.iter().any(|request| request.line.contains(&path))
        });
    };
    health(&api, 200);
    runs_recorded(&api, "before");
    arrives("before");

    let filler = seen(&api, &api.sandbox.path().join("state/filler"));
    let mut file = File::create(&filler).unwrap();
    while file.write(&[0; 4096]).is_ok() {}
    let reason = "no space is left there";
    let why = failure(&api);
    assert!(why.contains(reason), "{why}");
    is_alive(&api);
    runs_unrecorded(&api, "meanwhile", reason);
    // Its report does not need the disk.
    arrives("meanwhile");
    health(&api, 503);

    fs::remove_file(&filler).unwrap();
    drop(file);
    all_is_well_again(&api);
    health(&api, 200);
    runs_recorded(&api, "after");
    arrives("after");
}

#[test]
fn a_read_only_file_system() {
    let script = r#"mount --bind "$dir" "$dir"; mount -o remount,bind,ro "$dir""#;
    let api = start_in_namespace(sandbox(), script, &[]);
    let reason = "the file system is read-only";
    let why = failure(&api);
    assert!(why.contains(reason), "{why}");
    is_alive(&api);
    runs_unrecorded(&api, "a", reason);
    let remount = Command::new("nsenter")
        .args(["--mount", "--target", &api.server.pid().to_string()])
        .args(["mount", "-o", "remount,bind,rw"])
        .arg(api.sandbox.path().join("state"))
        .status()
        .unwrap();
    assert!(remount.success());
    all_is_well_again(&api);
    runs_recorded(&api, "a");
}

/// Somebody removes it, or puts something else in its place.
#[test]
fn no_directory() {
    let api = Api::start();
    runs_recorded(&api, "a");
    let state = api.sandbox.path().join("state");
    fs::rename(&state, api.sandbox.path().join("moved")).unwrap();
    fs::write(&state, "").unwrap();
    let why = failure(&api);
    assert!(why.contains("Not a directory"), "{why}");
    is_alive(&api);
    runs_unrecorded(&api, "a", "Not a directory");
    fs::remove_file(&state).unwrap();
    all_is_well_again(&api);
    runs_recorded(&api, "a");
}

/// Whoever of the server's threads finds it so, it is told each time, and what runs then is recorded.
#[test]
fn a_corrupt_database() {
    let api = Api::start();
    let state = api.sandbox.path().join("state");
    for times in 1..=2 {
        runs_recorded(&api, "before");
        for name in ["state.db", "state.db-wal"] {
            let path = state.join(name);
            let length = path.metadata().unwrap().len();
            let file = File::options().write(true).open(path).unwrap();
            let garbage = b"x".repeat(usize::try_from(length).unwrap());
            file.write_all_at(&garbage, 0).unwrap();
        }
        eventually("it is told", || {
            assert_eq!(api.get("/metrics").status, 200);
            let log = api.server.log();
            let lines = log
                .lines()
                .filter(|line| line.contains("the state was replaced"));
            lines.filter(|line| line.contains("level=error")).count() == times
        });
        all_is_well_again(&api);
        // All that the server has open is the new one.
        for group in ["a", "b", "c"] {
            runs_recorded(&api, group);
            assert_eq!(api.get("/metrics").status, 200);
        }
        assert_eq!(api.runs("backup", "").len(), 3);
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
    let api = Api::start();
    runs_recorded(&api, "a");
    let database = Connection::open(api.sandbox.path().join("state/state.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Its last answer is good for a while.
    sleep(Duration::from_secs(2));
    thread::scope(|scope| {
        let health = scope.spawn(|| api.get("/health").status);
        sleep(Duration::from_millis(200));
        let start = Instant::now();
        for path in ["/metrics", "/api/v1/jobs/backup/runs", "/"] {
            assert_eq!(api.get(path).status, 200, "{path}");
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
