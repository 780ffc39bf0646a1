//! Corrupt state databases: the job runs, the broken one is moved aside, a new one works.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use rusqlite::Connection;

use crate::common::{FakeServer, Finished, Sandbox, finished, stamp};

const RUN: &str = "run backup --set duration=0s";

/// The databases that were moved aside.
fn aside(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.state_db().parent().unwrap()).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let suffix = name.strip_prefix("state.db.corrupt-");
        suffix.is_some_and(|suffix| !suffix.contains("-"))
    });
    paths
}

/// A state with one run, all of it in the database's file.
fn with_a_run() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    // The last one to close it brings the log into the database.
    let database = Connection::open(sandbox.state_db()).unwrap();
    let vacuum = "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)";
    database.execute_batch(vacuum).unwrap();
    drop(database);
    sandbox
}

/// Overwrites the database's file at an offset.
fn overwrite(sandbox: &Sandbox, offset: u64, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(sandbox.state_db());
    file.unwrap().write_all_at(bytes, offset).unwrap();
}

/// Where the tree of the table or index begins.
fn root(sandbox: &Sandbox, name: &str) -> u64 {
    let database = Connection::open(sandbox.state_db()).unwrap();
    let root = "SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = ?";
    let root: i64 = database.query_row(root, [name], |row| row.get(0)).unwrap();
    root as u64
}

/// One warning, which says what has happened, and a state that works from now on.
#[track_caller]
fn is_replaced(sandbox: &Sandbox, run: &Finished, why: &str) {
    let stderr = run.code(0).stderr();
    assert_eq!(stderr.matches("warning:").count(), 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let aside = aside(sandbox);
    assert_eq!(aside.len(), 1, "{aside:?}\n{stderr}");
    let path = sandbox.state_db();
    run.err(&format!("the state database {}", path.display()))
        .err(&format!(" was corrupt ({why}"))
        .err(&format!("it was moved to {}", aside[0].display()));
    sandbox.samples();
    sandbox.run(RUN).code(0).quiet_stderr();
    let database = Connection::open(path).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn garbage() {
    let sandbox = Sandbox::new();
    let garbage = "this is no database\n".repeat(1000);
    sandbox.write(".local/state/metricsjob/state.db", &garbage);
    let show = sandbox.run("status");
    show.code(69).err("is corrupt (file is not a database)");
    assert_eq!(aside(&sandbox).len(), 0, "to look at it moves nothing");
    let run = sandbox.run(RUN);
    is_replaced(&sandbox, &run, "file is not a database");
    assert_eq!(sandbox.outcomes().len(), 2);
    assert_eq!(fs::read_to_string(&aside(&sandbox)[0]).unwrap(), garbage);
}

#[test]
fn cut_at_any_length() {
    // SQLite takes one of a single byte for an empty one.
    for length in [
        2, 15, 16, 18, 50, 99, 100, 511, 512, 1024, 4095, 4096, 8192, 9000,
    ] {
        let sandbox = with_a_run();
        let file = fs::File::options().write(true).open(sandbox.state_db());
        file.unwrap().set_len(length).unwrap();
        let run = sandbox.run(RUN);
        is_replaced(&sandbox, &run, "");
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let sandbox = Sandbox::new();
    sandbox.write(".local/state/metricsjob/state.db", "");
    sandbox.run(RUN).code(0).quiet_stderr();
    assert_eq!(sandbox.outcomes(), ["success"]);
    assert!(aside(&sandbox).is_empty());
}

#[test]
fn an_overwritten_header() {
    for (offset, bytes) in [
        (0, "SQLite format 4"),
        (21, "\0\0\0"),
        (0, "\0\0\0\0\0\0\0\0"),
    ] {
        let sandbox = with_a_run();
        overwrite(&sandbox, offset, bytes.as_bytes());
        let run = sandbox.run(RUN);
        is_replaced(&sandbox, &run, "file is not a database");
    }
}

/// The schema, found while statements are prepared, and tables and indexes, found while a run is
/// recorded or reported.
#[test]
fn broken_pages() {
    let schema = with_a_run();
    overwrite(&schema, 100, &[0xa5; 1000]);
    let run = schema.run(RUN);
    is_replaced(&schema, &run, "");
    // Of a table without further pages nothing is left. All else is carried over.
    for (name, runs) in [
        ("runs", 2),
        ("runs_by_job", 3),
        ("counters", 3),
        ("groups", 3),
        ("push_log", 3),
    ] {
        let sandbox = with_a_run();
        overwrite(&sandbox, root(&sandbox, name), &[0xa5; 4096]);
        let run = sandbox.run(RUN);
        is_replaced(&sandbox, &run, "database disk image is malformed");
        assert_eq!(sandbox.outcomes().len(), runs, "{name}");
    }
}

/// What no version has ever written.
#[test]
fn impossible_values() {
    for (sql, runs) in [
        ("UPDATE counters SET labels = CAST(x'ff' AS TEXT)", 3),
        ("UPDATE counters SET labels = 'no labels'", 3),
        ("UPDATE groups SET exposition = CAST(x'ff' AS TEXT)", 3),
        ("UPDATE groups SET grouping_key = 'no key'", 3),
    ] {
        let sandbox = with_a_run();
        let database = Connection::open(sandbox.state_db()).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0);
        stamp(&database);
        drop(database);
        let run = sandbox.run(RUN);
        is_replaced(&sandbox, &run, "");
        assert_eq!(sandbox.outcomes().len(), runs, "{sql}");
    }
}

/// An unknown method, and bytes that are no text, in a report that waits.
#[test]
fn impossible_values_in_the_outbox() {
    for sql in [
        "UPDATE outbox SET method = 'pot'",
        "UPDATE outbox SET body = CAST(x'ff' AS TEXT)",
        "UPDATE outbox SET attempts = -1",
    ] {
        let server = FakeServer::status("202 Accepted", "");
        let to_it = format!("{RUN} --gateway {}", server.url());
        let sandbox = Sandbox::new();
        let down = "http://127.0.0.1:1";
        sandbox.run(&format!("{RUN} --gateway {down}")).code(0);
        sandbox.redirect_outbox(down, &server.url());
        let database = Connection::open(sandbox.state_db()).unwrap();
        assert_eq!(database.execute(sql, []), Ok(1));
        stamp(&database);
        drop(database);
        sandbox.run(&to_it).code(0).err(" was corrupt (");
        assert_eq!(aside(&sandbox).len(), 1, "{sql}");
        sandbox.run(&to_it).code(0).quiet_stderr();
    }
}

#[test]
fn found_while_migrating() {
    let sandbox = with_a_run();
    let database = Connection::open(sandbox.state_db()).unwrap();
    let old = "PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)";
    database.execute_batch(old).unwrap();
    drop(database);
    overwrite(&sandbox, 100, &[0xa5; 1000]);
    let run = sandbox.run(RUN);
    is_replaced(&sandbox, &run, "");
}

/// Found by `exec`, which opens it beside the command, and by its reports while it goes on.
#[test]
fn whoever_finds_it_tells_it() {
    let options = [
        "--no-push",
        "--gateway embedded",
        "--push-start",
        "--push-start --push-interval 1ms",
    ];
    for options in options {
        let sandbox = with_a_run();
        overwrite(&sandbox, 0, b"no database");
        let run = sandbox.exec(options, "sleep 0.05");
        is_replaced(&sandbox, &run, "file is not a database");
    }
    let sandbox = with_a_run();
    overwrite(&sandbox, 0, b"no database");
    let push = sandbox.run_with_input("push --job j", "m 1\n");
    push.code(0).err("warning: the state database ");
    assert_eq!(sandbox.value("j", "m"), Some(1.0));
}

#[test]
fn many_find_it_and_one_moves_it() {
    let sandbox = with_a_run();
    overwrite(&sandbox, 0, b"no database");
    let start = || sandbox.spawn(sandbox.exec_command("--no-push", "true").arg("sh"));
    let runs: Vec<_> = (0..12).map(|_| start()).collect();
    let end = |run: std::process::Child| finished(run);
    let runs: Vec<Finished> = runs.into_iter().map(end).collect();
    let told = runs.iter().map(|run| run.code(0).stderr());
    let told: Vec<String> = told.filter(|stderr| !stderr.is_empty()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(aside(&sandbox).len(), 1);
    assert_eq!(sandbox.outcomes().len(), 13, "{told:?}");
}

/// Who has it open goes on with it where it is now.
#[test]
fn an_open_one_is_moved_with_its_log() {
    let sandbox = with_a_run();
    let open = Connection::open(sandbox.state_db()).unwrap();
    open.execute("DELETE FROM runs", []).unwrap();
    overwrite(&sandbox, root(&sandbox, "counters"), &[0xa5; 4096]);
    let run = sandbox.run(RUN);
    is_replaced(&sandbox, &run, "");
    open.execute("DELETE FROM groups", []).unwrap();
    let aside = Connection::open(&aside(&sandbox)[0]).unwrap();
    let left = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM groups)";
    let left: i64 = aside.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "it has the changes that were in its log only");
    drop(open);
    assert_eq!(sandbox.outcomes().len(), 2);
    sandbox.run(RUN).code(0).quiet_stderr();
}

/// A run that is in the log only is carried over too.
#[test]
fn the_log_counts() {
    let sandbox = with_a_run();
    sandbox.exec("--job logged --no-push", "true").code(0);
    overwrite(&sandbox, root(&sandbox, "push_log"), &[0xa5; 4096]);
    let run = sandbox.run(RUN);
    is_replaced(&sandbox, &run, "");
    run.err("1 page that cannot be read");
    let names = sandbox.history();
    let names = names
        .iter()
        .map(|run| run["name"].as_str().unwrap().to_owned());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["backup", "logged", "backup", "backup"]
    );
}

#[test]
fn a_link_is_moved_and_not_what_it_leads_to() {
    let sandbox = with_a_run();
    let real = sandbox.path().join("real.db");
    fs::rename(sandbox.state_db(), &real).unwrap();
    symlink(&real, sandbox.state_db()).unwrap();
    overwrite(&sandbox, 0, b"no database");
    sandbox.run(RUN).code(0).err(&format!(
        "it was moved to {}.corrupt-",
        sandbox.state_db().display()
    ));
    assert!(!sandbox.state_db().is_symlink());
    assert_eq!(&fs::read(&real).unwrap()[..11], b"no database");
    let aside = aside(&sandbox);
    assert_eq!(fs::read_link(&aside[0]).unwrap(), real);
    sandbox.run(RUN).code(0).quiet_stderr();
    assert_eq!(sandbox.outcomes().len(), 3);
}

/// The job removes, or moves, the state that was opened when it began.
#[test]
fn it_is_gone_when_the_job_ends() {
    let sandbox = with_a_run();
    let gone = "rm -r .local/state/metricsjob";
    sandbox.exec("--no-push", gone).code(0).quiet();
    assert_eq!(sandbox.outcomes(), ["success"]);
    let replaced =
        "cd .local/state/metricsjob && mkdir old && mv state.* old && echo no database >state.db";
    let run = sandbox.exec("--no-push", replaced);
    is_replaced(&sandbox, &run, "file is not a database");
}

/// SQLite takes of a log what has a right checksum, and makes its index anew.
#[test]
fn a_broken_log() {
    let sandbox = with_a_run();
    for file in ["state.db-wal", "state.db-shm"] {
        sandbox.write(&format!(".local/state/metricsjob/{file}"), [0xa5; 40_000]);
    }
    sandbox.run(RUN).code(0).quiet_stderr();
    assert_eq!(sandbox.outcomes().len(), 2);
    assert!(aside(&sandbox).is_empty());
}

/// What is wrong here is not the content.
#[test]
fn what_is_no_corruption_moves_nothing() {
    let server = FakeServer::status("202 Accepted", "");
    let sandbox = with_a_run();
    let database = Connection::open(sandbox.state_db()).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let run = sandbox.run(&format!("{RUN} --gateway {}", server.url()));
    run.code(0).err("another process keeps it locked");
    assert_eq!(run.stderr().matches("warning:").count(), 1);
    assert_eq!(server.requests().len(), 1);
    assert!(aside(&sandbox).is_empty());
}
