//! `run backup` with a source: a real online backup of a SQLite database.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::common::{Sandbox, TestGateway, eventually};

on_each_gateway!(a_backup_is_reported, a_missing_source_is_reported);

const RUN: &str = "run backup -g db=shop --set source=shop.db --set dest=copy.db";
const DB: &str = r#"db="shop""#;

/// A database with `rows` rows in `orders`, about 100 bytes each, and 7 in a table with an odd name.
fn database(path: &Path, journal_mode: &str, rows: u64) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .pragma_update_and_check(None, "journal_mode", journal_mode, |_| Ok(()))
        .unwrap();
    database.busy_timeout(Duration::from_secs(60)).unwrap();
    database
        .execute_batch(&format!(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, n INTEGER NOT NULL DEFAULT 0);
             CREATE TABLE \"odd \"\" name\" (n);
             CREATE VIEW orders_view AS SELECT * FROM orders;
             CREATE VIRTUAL TABLE search USING fts5 (text);
             INSERT INTO search VALUES ('a'), ('b'), ('c');
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
             INSERT INTO orders (text) SELECT hex(randomblob(50)) FROM n;
             INSERT INTO \"odd \"\" name\" VALUES (1), (2), (3), (4), (5), (6), (7);"
        ))
        .unwrap();
    database
}

fn count(path: &Path) -> u64 {
    let database = Connection::open(path).unwrap();
    database
        .query_row("SELECT count(*) FROM orders", [], |row| row.get(0))
        .unwrap()
}

fn a_backup_is_reported(gateway: &TestGateway) {
    let home = gateway.sandbox.path();
    drop(database(&home.join("shop.db"), "delete", 1000));
    gateway
        .run(RUN)
        .code(0)
        .out("db_backup_records_processed 1007")
        .out("db_backup_size_bytes ");
    assert_eq!(gateway.backup("records_processed", DB), Some(1007.0));
    let copy = home.join("copy.db");
    let size = fs::metadata(&copy).unwrap().len();
    assert_eq!(gateway.backup("size_bytes", DB), Some(size as f64));
    assert_eq!(count(&copy), 1000);
}

fn a_missing_source_is_reported(gateway: &TestGateway) {
    gateway
        .run(RUN)
        .code(1)
        .err("error: backup: could not read the source shop.db: No such file");
    assert_eq!(gateway.backup("success", DB), Some(0.0));
    assert_eq!(gateway.backup("last_success_timestamp_seconds", DB), None);
    assert_eq!(gateway.backup("records_processed", DB), None);
    assert!(!gateway.sandbox.path().join("copy.db").exists());
}

/// What a writer does in one transaction. Both keep the sum of all `n` a multiple of ten.
const INSERT: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10)
    INSERT INTO orders (text, n) SELECT 'new', 1 FROM n";
const UPDATE: &str = "UPDATE orders SET n = n + 1 WHERE id % 10000 = 1 AND id <= 100000";

/// Backs up 150,000 rows while another connection commits without a pause.
fn while_a_writer_is_active(journal_mode: &str, transaction: &str) {
    const ROWS: u64 = 150_000;
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("shop.db");
    drop(database(&source, journal_mode, ROWS));
    let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
    let during = thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Connection::open(&source).unwrap();
            writer.busy_timeout(Duration::from_secs(60)).unwrap();
            writer.pragma_update(None, "synchronous", "off").unwrap();
            while !stop.load(Ordering::Relaxed) {
                let transaction = format!("BEGIN IMMEDIATE; {transaction}; COMMIT;");
                writer.execute_batch(&transaction).unwrap();
                commits.fetch_add(1, Ordering::Relaxed);
            }
        });
        eventually("it writes", || commits.load(Ordering::Relaxed) >= 10);
        let before = commits.load(Ordering::Relaxed);
        let run = sandbox.run(RUN);
        let during = commits.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        run.code(0);
        during
    });
    assert!(during > 0, "the writer stood still");
    let copy = sandbox.path().join("copy.db");
    let rows = count(&copy);
    assert!((ROWS..=count(&source)).contains(&rows), "{rows}");
    let series = r#"db_backup_records_processed{db="shop"}"#;
    let reported = sandbox.value("db_backup", series);
    assert_eq!(reported, Some((rows + 7) as f64));
    let copy = Connection::open(copy).unwrap();
    let (sum, verdict): (u64, String) = copy
        .query_row(
            "SELECT sum(n), (SELECT * FROM pragma_integrity_check) FROM orders",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(
        sum > 0 && sum.is_multiple_of(10),
        "not of one moment: {sum}"
    );
    assert_eq!(verdict, "ok");
}

#[test]
fn while_rows_are_inserted_in_wal_mode() {
    while_a_writer_is_active("wal", INSERT);
}

#[test]
fn while_rows_are_inserted_in_rollback_mode() {
    while_a_writer_is_active("delete", INSERT);
}

#[test]
fn while_rows_are_updated_in_wal_mode() {
    while_a_writer_is_active("wal", UPDATE);
}

#[test]
fn while_rows_are_updated_in_rollback_mode() {
    while_a_writer_is_active("delete", UPDATE);
}

/// The failures leave the older copy, and nothing beside it.
#[test]
fn a_failure_leaves_the_older_copy() {
    let sandbox = Sandbox::new();
    let home = sandbox.path();
    let source = home.join("shop.db");
    let good = || {
        let _ = fs::remove_file(&source);
        drop(database(&source, "delete", 2000));
        fs::read(&source).unwrap()
    };
    let mut torn = good();
    torn.truncate(torn.len() / 2);
    let mut scribbled = good();
    let middle = scribbled.len() / 2;
    scribbled[middle..middle + 8000].fill(0xaa);
    let mut head = good();
    head[..16].copy_from_slice(b"something else..");
    fs::create_dir(home.join("out")).unwrap();
    let copy = sandbox.write("out/copy.db", "the older copy");
    for (bytes, message) in [
        (torn, "the source shop.db is corrupt: "),
        (scribbled, "the source shop.db is corrupt: "),
        (
            head,
            "the source shop.db is no SQLite database: it is something else, or encrypted",
        ),
        (b"text".to_vec(), "is no SQLite database"),
        (
            Vec::new(),
            "the source shop.db is no SQLite database: it is empty",
        ),
        (
            b"\n".to_vec(),
            "is no SQLite database: it is something else",
        ),
    ] {
        fs::write(&source, bytes).unwrap();
        let run = sandbox.run("run backup --set source=shop.db --set dest=out/copy.db");
        run.code(1).err("error: backup: ").err(message);
        assert_eq!(fs::read(&copy).unwrap(), b"the older copy");
        assert_eq!(fs::read_dir(home.join("out")).unwrap().count(), 1);
        let success = sandbox.value("db_backup", "db_backup_success");
        assert_eq!(success, Some(0.0));
    }
    good();
    sandbox
        .run("run backup --set source=shop.db --set dest=out/copy.db")
        .code(0);
    assert_eq!(fs::read_dir(home.join("out")).unwrap().count(), 1);
    assert_eq!(count(&copy), 2000);
}

#[test]
fn destinations_that_cannot_be() {
    let sandbox = Sandbox::new();
    let home = sandbox.path();
    drop(database(&home.join("shop.db"), "delete", 10));
    let before = fs::read(home.join("shop.db")).unwrap();
    fs::create_dir(home.join("dir")).unwrap();
    fs::hard_link(home.join("shop.db"), home.join("link.db")).unwrap();
    sandbox.write("used.db-wal", "");
    std::os::unix::fs::symlink("no/where", home.join("dangling.db")).unwrap();
    for (dest, message) in [
        ("shop.db", "are the same file: shop.db"),
        ("./dir/../shop.db", "are the same file: shop.db"),
        ("link.db", "are the same file: shop.db"),
        (
            "dir",
            "could not write the destination dir: it is not a file",
        ),
        (
            "no/where.db",
            "could not write the destination no/where.db: No such file",
        ),
        (
            "used.db",
            "the destination used.db has used.db-wal beside it",
        ),
        (
            "dangling.db",
            "could not write the destination dangling.db: it is a link to nothing",
        ),
    ] {
        let run = sandbox.run(&format!(
            "run backup --set source=shop.db --set dest={dest}"
        ));
        run.code(1).err(message);
    }
    assert_eq!(fs::read(home.join("shop.db")).unwrap(), before);
}

/// An open database would write its old pages over the new ones.
#[test]
fn a_destination_that_is_open_is_not_replaced() {
    let sandbox = Sandbox::new();
    let home = sandbox.path();
    drop(database(&home.join("shop.db"), "delete", 1000));
    let open = database(&home.join("copy.db"), "wal", 5);
    open.query_row("PRAGMA wal_checkpoint (TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    sandbox
        .run(RUN)
        .code(1)
        .err("copy.db-wal beside it, which would change the copy");
    drop(open);
    sandbox.run(RUN).code(0);
    assert_eq!(count(&home.join("copy.db")), 1000);
}

#[test]
fn what_a_killed_backup_left_is_removed() {
    let sandbox = Sandbox::new();
    drop(database(&sandbox.path().join("shop.db"), "delete", 10));
    let of_a_dead_process = sandbox.write(".metricsjob-backup-dead/lock", "");
    sandbox.write(".metricsjob-backup-dead/copy.db", "half a copy");
    let of_a_live_one = sandbox.write(".metricsjob-backup-live/lock", "");
    let lock = fs::File::open(&of_a_live_one).unwrap();
    lock.lock().unwrap();
    sandbox.run(RUN).code(0);
    assert!(!of_a_dead_process.parent().unwrap().exists());
    assert!(of_a_live_one.exists());
}

#[test]
fn names_that_sqlite_takes_for_something_else() {
    let sandbox = Sandbox::new();
    for name in [":memory:", "file:shop.db?mode=memory"] {
        drop(database(&sandbox.path().join("real.db"), "delete", 10));
        fs::rename(sandbox.path().join("real.db"), sandbox.path().join(name)).unwrap();
        let run = sandbox.run(&format!(
            "run backup --set dest=copy.db --set source={name}"
        ));
        run.code(0).out("db_backup_records_processed 17\n");
    }
}

#[test]
fn rows_that_break_a_constraint_are_no_corruption() {
    let sandbox = Sandbox::new();
    let database = Connection::open(sandbox.path().join("shop.db")).unwrap();
    let rows = "CREATE TABLE t (n CHECK (n > 0)); PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (-1);";
    database.execute_batch(rows).unwrap();
    drop(database);
    sandbox
        .run(RUN)
        .code(0)
        .out("db_backup_records_processed 1\n");
}

#[test]
fn the_copy_is_no_more_readable_than_what_it_replaces_and_its_source() {
    let sandbox = Sandbox::new();
    let home = sandbox.path();
    drop(database(&home.join("shop.db"), "wal", 10));
    let (source, copy) = (home.join("shop.db"), home.join("copy.db"));
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    chmod(&source, 0o640);
    sandbox.run(RUN).code(0);
    assert_eq!(mode(&copy), 0o640);
    chmod(&copy, 0o600);
    sandbox.run(RUN).code(0);
    assert_eq!(mode(&copy), 0o600);
    // Somebody may have made the file before, so that they can read what comes.
    for (of_source, made, expected) in [
        (0o600, 0o666, 0o600),
        (0o640, 0o604, 0o600),
        (0o400, 0o777, 0o400),
    ] {
        chmod(&source, of_source);
        chmod(&copy, made);
        sandbox.run(RUN).code(0);
        assert_eq!(mode(&copy), expected);
    }
    // A link stays one, what it points to is replaced.
    fs::rename(&copy, home.join("real.db")).unwrap();
    std::os::unix::fs::symlink("real.db", &copy).unwrap();
    fs::write(home.join("real.db"), "").unwrap();
    sandbox.run(RUN).code(0);
    assert!(fs::symlink_metadata(&copy).unwrap().is_symlink());
    assert_eq!(count(&home.join("real.db")), 10);
}
