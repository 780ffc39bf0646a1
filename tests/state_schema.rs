//! State databases of other versions: older ones are brought up to date, newer ones left alone.

use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use crate::common::{FakeServer, Sandbox};

/// What the first version made.
const SCHEMA_1: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY,
        grouping_key TEXT NOT NULL UNIQUE,
        push_time REAL NOT NULL,
        push_failure_time REAL NOT NULL
    ) STRICT;
    CREATE TABLE families (
        id INTEGER PRIMARY KEY,
        group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        exposition TEXT NOT NULL,
        UNIQUE (group_id, name)
    ) STRICT;
    CREATE INDEX families_by_name ON families (name, kind);
    CREATE TABLE series (
        series TEXT PRIMARY KEY,
        family_id INTEGER NOT NULL REFERENCES families (id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX series_by_family ON series (family_id);
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        produced_at REAL NOT NULL,
        gateway TEXT NOT NULL,
        method TEXT NOT NULL,
        grouping_key TEXT NOT NULL,
        body TEXT NOT NULL,
        is_rejected INTEGER NOT NULL,
        error TEXT NOT NULL
    ) STRICT;
    INSERT INTO groups VALUES (1, '{\"job\":\"db_backup\",\"db\":\"c\"}', 1795254156.25, 0);
    INSERT INTO families VALUES (1, 1, 'old', 'gauge',
        '# TYPE old gauge' || char(10) || 'old{db=\"c\",instance=\"\",job=\"db_backup\"} 42' || char(10));
    INSERT INTO series VALUES ('old{db=\"c\",instance=\"\",job=\"db_backup\"}', 1);
    INSERT INTO outbox VALUES (7, 1795254156.25, 'http://127.0.0.1:1', 'post',
        '{\"job\":\"db_backup\",\"db\":\"c\"}', '# TYPE m gauge' || char(10) || 'm 1' || char(10), 0,
        'could not connect');
    PRAGMA user_version = 1;
";

/// What the second one added.
const SCHEMA_2: &str = "
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL,
        name TEXT NOT NULL,
        job TEXT NOT NULL,
        grouping_key TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL NOT NULL,
        duration REAL NOT NULL,
        outcome TEXT NOT NULL,
        exit_code INTEGER NOT NULL,
        failure TEXT,
        attempts INTEGER NOT NULL,
        cpu_user REAL NOT NULL,
        cpu_system REAL NOT NULL,
        max_rss INTEGER NOT NULL,
        metrics TEXT NOT NULL,
        tail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_job ON runs (job, id);
    CREATE TABLE counters (
        grouping_key TEXT NOT NULL,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (grouping_key, name, labels)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO runs VALUES (1, '3f2a4efc7d2fef43', 'backup', 'db_backup',
        '{\"job\":\"db_backup\",\"db\":\"c\"}', 1795254155.5, 1795254156, 0.5, 'failure', 1,
        'no disk', 2, 0.25, 0.125, 10665984, '# TYPE m gauge' || char(10) || 'm 3' || char(10),
        'a' || char(10) || 'b');
    INSERT INTO counters VALUES
        ('{\"job\":\"db_backup\",\"db\":\"c\"}', 'db_backup_runs_total', '{\"outcome\":\"success\"}', 7);
    PRAGMA user_version = 2;
";

const RUN: &str = "run backup -g db=c --set duration=0s";

/// A sandbox with a state database made by `sql`.
fn with_state(sql: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".local/state/metricsjob/state.db", "");
    let database = Connection::open(sandbox.state_db()).unwrap();
    for sql in sql {
        database.execute_batch(sql).unwrap();
    }
    sandbox
}

/// The state of the second version.
#[cfg(feature = "real-servers")]
pub fn with_old_state() -> Sandbox {
    with_state(&[SCHEMA_1, SCHEMA_2])
}

#[track_caller]
pub fn has_the_first_versions_rows(sandbox: &Sandbox) {
    let value = |series: &str| sandbox.value("db_backup", series);
    assert_eq!(value(r#"old{db="c"}"#), Some(42.0));
    let push_time = value(r#"push_time_seconds{db="c"}"#);
    assert_eq!(push_time, Some(1795254156.25));
    assert_eq!(sandbox.outbox_len(), 1);
}

#[test]
fn the_first_version() {
    let sandbox = with_state(&[SCHEMA_1]);
    has_the_first_versions_rows(&sandbox);
    assert!(sandbox.history().is_empty());

    let sandbox = with_state(&[SCHEMA_1]);
    sandbox.run(RUN).code(0).quiet_stderr();
    assert_eq!(sandbox.outcomes(), ["success"]);
    let value = sandbox.value("db_backup", r#"old{db="c"}"#);
    assert_eq!(value, Some(42.0));
}

#[test]
fn the_second_version() {
    let sandbox = with_state(&[SCHEMA_1, SCHEMA_2]);
    has_the_first_versions_rows(&sandbox);
    let history = sandbox.history();
    assert_eq!(history.len(), 1);
    for (field, value) in [
        ("run_id", "\"3f2a4efc7d2fef43\""),
        ("name", "\"backup\""),
        ("job", "\"db_backup\""),
        ("grouping", r#"{"db":"c"}"#),
        ("outcome", "\"failure\""),
        ("exit_code", "1"),
        ("failure", "\"no disk\""),
        ("start_timestamp_seconds", "1795254155.5"),
        ("attempts", "2"),
        ("cpu_user_seconds", "0.25"),
        ("max_rss_bytes", "10665984"),
        ("tail", r#"["a","b"]"#),
    ] {
        assert_eq!(history[0][field].to_string(), value, "{field}");
    }
    assert_eq!(history[0]["metrics"][0]["name"], "m");
    // The counters go on.
    sandbox.run(RUN).code(0).quiet_stderr();
    let total = sandbox.value(
        "db_backup",
        r#"db_backup_runs_total{db="c",outcome="success"}"#,
    );
    assert_eq!(total, Some(8.0));
}

/// Its rows have no checksums, and some columns came later.
#[test]
fn a_corrupt_one_of_an_older_version() {
    let sandbox = with_state(&[SCHEMA_1, SCHEMA_2, "PRAGMA wal_checkpoint(TRUNCATE)"]);
    let file = std::fs::File::options()
        .write(true)
        .open(sandbox.state_db());
    file.unwrap().write_all_at(b"no database", 0).unwrap();
    let run = sandbox.run(RUN);
    run.code(0)
        .err("carried over were 1 undelivered report, 1 counter and 1 run; lost: 1 group");
    assert_eq!(sandbox.outbox_len(), 1);
    let ids = sandbox.history();
    assert_eq!(ids[0]["run_id"], "3f2a4efc7d2fef43");
    let total = sandbox.value(
        "db_backup",
        r#"db_backup_runs_total{db="c",outcome="success"}"#,
    );
    assert_eq!(total, Some(8.0));
    sandbox.run("state check").code(0);
}

#[test]
fn many_bring_it_up_to_date_at_once() {
    let sandbox = with_state(&[SCHEMA_1]);
    let runs: Vec<_> = (0..8)
        .map(|_| sandbox.spawn(&mut sandbox.exec_command("--no-push", "true")))
        .collect();
    for run in runs {
        let run = run.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(run.stderr).unwrap(), "");
    }
    assert_eq!(sandbox.outcomes().len(), 8);
}

#[test]
fn a_newer_version_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    let database = Connection::open(sandbox.state_db()).unwrap();
    let newer = "PRAGMA user_version = 99; PRAGMA application_id = 99";
    database.execute_batch(newer).unwrap();
    let count = || {
        let runs = "SELECT count(*) FROM runs";
        let runs: i64 = database.query_row(runs, [], |row| row.get(0)).unwrap();
        runs
    };
    let server = FakeServer::status("202 Accepted", "");
    let run = sandbox.run(&format!("{RUN} --gateway {}", server.url()));
    run.code(0)
        .err("was written by a newer metricsjob (schema 99, this one knows ");
    assert_eq!(run.stderr().matches("warning:").count(), 1);
    assert_eq!(server.requests().len(), 1);
    sandbox.run(RUN).code(0).err("the report is lost");
    for show in ["status", "history"] {
        sandbox.run(show).err("was written by a newer metricsjob");
    }
    assert_eq!(count(), 1);
}
