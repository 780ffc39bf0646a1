//! The database's tables and how they come into being.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::group_rows::{self, corrupt};
use super::{State, StateError, checksum};
use metricsjob_system::files;

/// The steps from an empty database to today's schema. `user_version` counts those that were taken.
/// A step that has shipped never changes.
const MIGRATIONS: &[&str] = &[
    "
    -- A group of the embedded gateway. Times are seconds since the epoch, 0 for never.
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY,
        grouping_key TEXT NOT NULL UNIQUE,
        push_time REAL NOT NULL,
        push_failure_time REAL NOT NULL
    ) STRICT;

    -- A family of a group, its series (with all their labels) in the text format.
    CREATE TABLE families (
        id INTEGER PRIMARY KEY,
        group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        exposition TEXT NOT NULL,
        UNIQUE (group_id, name)
    ) STRICT;
    CREATE INDEX families_by_name ON families (name, kind);

    -- Every series once: what makes a series unique over all groups.
    CREATE TABLE series (
        series TEXT PRIMARY KEY,
        family_id INTEGER NOT NULL REFERENCES families (id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX series_by_family ON series (family_id);

    -- Pushes that were not delivered.
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
",
    "
    -- The history: finished runs. Times are seconds since the epoch, durations seconds, the peak of
    -- memory bytes. `metrics` is in the text format, `tail` in lines.
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

    -- Counters that go on over runs. `labels` is JSON, sorted by name.
    CREATE TABLE counters (
        grouping_key TEXT NOT NULL,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (grouping_key, name, labels)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- The outbox holds a push from the moment it is produced. Its error is empty until it was tried.
    ALTER TABLE outbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN is_overtaken INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX outbox_by_group ON outbox (gateway, is_rejected, grouping_key, id);

    -- All attempts to push to gateways behind a URL, by their result; in one row. The duration is in
    -- seconds.
    CREATE TABLE push_attempts (
        delivered INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        duration REAL NOT NULL
    ) STRICT;
    INSERT INTO push_attempts VALUES (0, 0, 0, 0.0);

    -- When a gateway last got the row above (in seconds since the epoch), and how many had failed then.
    CREATE TABLE push_stats_reports (
        gateway TEXT PRIMARY KEY,
        reported_at REAL NOT NULL,
        failed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    -- A group is one row now; its families are text, with those that text cannot hold as protobuf beside
    -- it. The checksum is the CRC-32 of all columns but the first. It is not known of older rows.
    ALTER TABLE groups RENAME TO old_groups;
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY,
        grouping_key TEXT NOT NULL,
        push_time REAL NOT NULL,
        push_failure_time REAL NOT NULL,
        exposition TEXT NOT NULL,
        natives BLOB NOT NULL,
        checksum INTEGER
    ) STRICT;
    INSERT INTO groups
        SELECT id, grouping_key, push_time, push_failure_time,
            coalesce((SELECT group_concat(exposition, '') FROM families WHERE group_id = old_groups.id), ''),
            x'', NULL
        FROM old_groups;
    DROP TABLE series;
    DROP TABLE families;
    DROP TABLE old_groups;

    -- What a serving gateway has changed since it wrote the groups' rows: of each transaction a message,
    -- and the CRC-32 of that.
    CREATE TABLE push_log (
        id INTEGER PRIMARY KEY,
        entries BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
",
    "
    -- One run by its id.
    CREATE INDEX runs_by_run_id ON runs (run_id);
",
    "
    -- The names of the families of a report that the runner has made, with blanks between them.
    ALTER TABLE outbox ADD COLUMN runners_own TEXT NOT NULL DEFAULT '';
",
    "
    -- The checksum of a row, see `checksum`. From here on the version stands in `application_id` too.
    ALTER TABLE runs ADD COLUMN checksum INTEGER;
    UPDATE runs SET checksum = row_checksum('runs', id, run_id, name, job, grouping_key, started_at, ended_at,
        duration, outcome, exit_code, failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail);
    ALTER TABLE counters ADD COLUMN checksum INTEGER;
    UPDATE counters SET checksum = row_checksum('counters', grouping_key, name, labels, value);
    ALTER TABLE outbox ADD COLUMN checksum INTEGER;
    UPDATE outbox SET checksum = row_checksum('outbox', id, produced_at, gateway, method, grouping_key, body,
        is_rejected, error, attempts, is_overtaken, runners_own);
",
    "
    -- The index of the groups' rows, for pushes that are not to read all of them: see `group_index`. It is stale
    -- unless a row says that it is up to date.
    CREATE TABLE group_index (
        version INTEGER NOT NULL
    ) STRICT;
    CREATE TRIGGER group_inserted AFTER INSERT ON groups BEGIN DELETE FROM group_index; END;
    CREATE TRIGGER group_updated AFTER UPDATE ON groups BEGIN DELETE FROM group_index; END;
    CREATE TRIGGER group_deleted AFTER DELETE ON groups BEGIN DELETE FROM group_index; END;

    -- The hash of each series, and of each grouping key. The slot is the id of the group.
    CREATE TABLE group_series (
        hash INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        PRIMARY KEY (hash, slot)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE group_names (
        name TEXT NOT NULL,
        kind INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        PRIMARY KEY (name, kind, slot)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- Groups that runs have reported to, see `reported`. Gateway and prefix are empty for what only older runs of
    -- the history know of.
    CREATE TABLE reported_groups (
        name TEXT NOT NULL,
        grouping_key TEXT NOT NULL,
        gateway TEXT NOT NULL,
        prefix TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        PRIMARY KEY (name, grouping_key, gateway, prefix)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO reported_groups
        SELECT name, grouping_key, '', '', min(ended_at), max(ended_at) FROM runs GROUP BY name, grouping_key;
",
    "
    -- What those who are notified of a job know of it, see `notified`. Times are in seconds since the epoch.
    CREATE TABLE notified (
        name TEXT NOT NULL,
        grouping_key TEXT NOT NULL,
        bad_runs INTEGER NOT NULL,
        problem TEXT NOT NULL,
        late_for REAL NOT NULL,
        changed_at REAL NOT NULL,
        PRIMARY KEY (name, grouping_key)
    ) STRICT, WITHOUT ROWID;
",
];

/// The first version whose rows have checksums.
pub(super) const FIRST_WITH_CHECKSUMS: u32 = 7;

/// The first version with an index of the groups.
pub(super) const FIRST_WITH_GROUP_INDEX: u32 = 8;

/// At how many pages the log is brought into the database when that is closed. By default SQLite does so
/// whenever the last process closes it, which here is after each run, and costs more than all else. On the
/// other hand the first one to open it reads all that is in the log.
pub(super) const LOG_PAGES: i32 = 64;

/// A log file that is larger is cut off then. A smaller one is written over from its start: to give space
/// back to the file system and take new one each time would make runs a fifth slower.
pub(super) const MAX_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// How long a transaction waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets the connection up and brings the schema up to date, unless the database has been moved aside.
/// `locked` is its lock, if the caller has it.
pub(super) fn prepare(state: &mut State, locked: Option<&File>) -> Result<(), StateError> {
    let known = MIGRATIONS.len() as i64;
    let found = state.with(|connection| {
        set_up(connection)?;
        version(connection)
    })?;
    state.shortens_log = true;
    if found > known {
        return Err(StateError::Newer {
            path: state.path.clone(),
            found,
            known,
        });
    }
    if found < known {
        // SQLite does not wait for other processes while it changes the journal mode, so those that
        // open a new database at the same time wait here.
        let lock = match locked {
            Some(_) => None,
            None => Some(lock(&state.path)?),
        };
        // Its log may be that of the one that took its place.
        if !state.is_in_place() {
            return Ok(());
        }
        let migrated = migrate(&mut state.connection);
        // It is needed again to make up for an error.
        drop(lock);
        if let Err(error) = migrated {
            state.make_up_for(error)?;
        }
    }
    Ok(())
}

/// Makes the database of `state`, which is empty and whose lock the caller has, and has `fill` put something into it before
/// anybody else uses it: who opens it waits for the lock as long as it has no version.
pub(super) fn make(
    state: &mut State,
    fill: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
) -> Result<(), StateError> {
    state.with(|connection| set_up(connection))?;
    state.shortens_log = true;
    let connection = &mut state.connection;
    let made = take_steps(connection, |_, _| Ok(()))
        .and_then(|()| fill(connection))
        .and_then(|()| {
            super::in_transaction(connection, |transaction| {
                set_version(transaction, MIGRATIONS.len())
            })
        });
    made.map_err(|error| StateError::of(&state.path, Some(&state.connection), error))
}

pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Not on closing: see `LOG_PAGES`. Before anything is read, because to close a database that was moved aside would
    // else remove the log of the new one, which has its name.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Else a statement can be compiled anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Synced to disk is what must be, see `State::with_sync`.
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    checksum::register(connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    Ok(())
}

/// Refuses a database that a newer version has brought up to date since it was opened. One whose version cannot be
/// read passes.
pub(super) fn check_version(state: &State) -> Result<(), StateError> {
    let known = MIGRATIONS.len() as i64;
    match version(&state.connection) {
        Ok(found) if found > known => Err(StateError::Newer {
            path: state.path.clone(),
            found,
            known,
        }),
        _ => Ok(()),
    }
}

/// The version of the schema. It stands twice: a newer one that is none would never be looked at again.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    let read = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let versions =
        || read("PRAGMA user_version").and_then(|it| Ok((it, read("PRAGMA application_id")?)));
    let is_right = |version: i64, copy: i64| {
        let is_old = copy == 0 && (0..i64::from(FIRST_WITH_CHECKSUMS)).contains(&version);
        version == copy || is_old
    };
    let (mut version, mut copy) = versions()?;
    if !is_right(version, copy) && connection.is_autocommit() {
        // Another process may have brought it up to date in between.
        let snapshot = connection.unchecked_transaction()?;
        (version, copy) = versions()?;
        snapshot.finish()?;
    }
    if is_right(version, copy) {
        Ok(version)
    } else {
        Err(corrupt(format!(
            "the version of its schema is {version} in one place and {copy} in the other"
        )))
    }
}

/// Where the trees of a new database begin, by the names of tables and indexes.
pub(super) fn roots() -> rusqlite::Result<HashMap<String, u32>> {
    let connection = Connection::open_in_memory()?;
    checksum::register(&connection)?;
    for step in MIGRATIONS {
        connection.execute_batch(step)?;
    }
    connection
        .prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    // A newer version may have taken more meanwhile.
    take_steps(connection, |transaction, taken| {
        set_version(transaction, taken.max(MIGRATIONS.len()))
    })
}

/// Takes the steps that were not taken yet, and in the same transaction does what `end` does, which gets to know how
/// many had been taken before.
fn take_steps(
    connection: &mut Connection,
    end: impl FnOnce(&Connection, usize) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    super::in_transaction(connection, |transaction| {
        let taken = usize::try_from(version(transaction)?).unwrap_or(0);
        for step in MIGRATIONS.iter().skip(taken) {
            transaction.execute_batch(step)?;
        }
        if taken < FIRST_WITH_CHECKSUMS as usize {
            group_rows::add_checksums(transaction)?;
        }
        end(transaction, taken)
    })
}

fn set_version(connection: &Connection, taken: usize) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", taken as i64)?;
    connection.pragma_update(None, "user_version", taken as i64)
}

/// Locks the database at `path` against others that make, migrate or replace it, until the returned
/// file is dropped.
pub(super) fn lock(path: &Path) -> Result<File, StateError> {
    let path = path.with_extension("lock");
    let locked = || {
        let file = files::open_or_make(&path, OpenOptions::new().append(true))?;
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    };
    locked().map_err(|source| StateError::OpenFile {
        path: path.clone(),
        source,
    })
}
