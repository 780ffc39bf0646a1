//! Upkeep of the database's files: checkpoints the log, prunes beyond the limit, and gives back free space.
//!
//! All of that happens only once the log is long, so that an ordinary run pays nothing for it. Giving back space with
//! each transaction (SQLite's `auto_vacuum`) would cost each of them.

use std::path::Path;
use std::ptr;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use super::pruning::{Pruned, margin, prune, space};
use super::serving::lock_groups;
use super::turn::Turn;
use super::{State, StateError, files, schema};
use metricsjob_metrics::Family;

/// Least free space that is given back; it must also be as much as the space in use. Less is soon reused.
const MIN_FREED_BYTES: u64 = 4 * 1024 * 1024;

/// Most space in use at which free space is given back. All of it is then rewritten, at 30 MiB/s on a slow machine,
/// and other writers wait: pushes to a gateway for a shorter time than runs.
const MAX_REWRITTEN_BYTES: u64 = 128 * 1024 * 1024;
const MAX_REWRITTEN_WHILE_SERVED: u64 = 32 * 1024 * 1024;

/// Longest wait for readers before the log is truncated. Others cannot write meanwhile, and a backup of the database
/// can read for minutes.
const CUT_PATIENCE: Duration = Duration::from_millis(50);

/// Returns the size of the database in `dir` with its log, in bytes.
pub fn size(dir: &Path) -> u64 {
    let path = dir.join(super::FILE_NAME);
    // The log is beside the file, and not beside a link to it.
    let file = path.canonicalize().unwrap_or(path);
    let log = files::beside(&file, files::LOG);
    let sizes = [file, log].map(|path| path.metadata().map_or(0, |file| file.len()));
    sizes.iter().sum()
}

/// Returns the size of the database in `dir` with its log as a metric of servers.
pub fn size_family(dir: &Path) -> Family {
    let help = "Size of the state database with its log.";
    Family::gauge("metricsjob_state_size_bytes", help, size(dir) as f64)
}

impl State {
    /// Checkpoints the log if it is long, and before that prunes the database once both are within a margin of
    /// `limit` bytes. What fails is repeated the next time.
    pub(super) fn shorten_log(&mut self, limit: Option<u64>) -> Option<Pruned> {
        if !self.is_log_long() {
            return None;
        }
        let pruned = limit.map(|limit| self.keep_to(limit));
        let pruned = pruned.transpose().unwrap_or_else(|error| {
            tracing::debug!(err = %error, "the state was not pruned");
            None
        });
        if let Err(error) = self.checkpoint(limit) {
            tracing::debug!(err = %error, "the log of the state was not shortened");
        }
        pruned.flatten()
    }

    fn is_log_long(&self) -> bool {
        let mut pages = 0;
        // SAFETY: the handle is that of an open connection; no name means its one database, and of the two
        // places for numbers only the one that is given is written to.
        let answer = unsafe {
            ffi::sqlite3_wal_checkpoint_v2(
                self.connection.handle(),
                ptr::null(),
                ffi::SQLITE_CHECKPOINT_NOOP,
                &mut pages,
                ptr::null_mut(),
            )
        };
        answer == ffi::SQLITE_OK && pages >= schema::LOG_PAGES
    }

    /// Returns the size of the open database with its log, in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        let log = self.log();
        let files = [&self.path, &log].map(|path| path.metadata());
        files.into_iter().flatten().map(|file| file.len()).sum()
    }

    /// Prunes the database once it is within a margin of `limit` bytes.
    fn keep_to(&mut self, limit: u64) -> Result<Option<Pruned>, StateError> {
        let path = self.path.clone();
        if self.file_bytes() <= limit - margin(limit) {
            return Ok(None);
        }
        let space = self.with(|connection| space(connection))?;
        if space.used() <= limit - margin(limit) {
            return Ok(None);
        }
        self.write(|transaction| prune(transaction, &path, limit))
    }

    fn checkpoint(&self, limit: Option<u64>) -> rusqlite::Result<()> {
        self.cut_log()?;
        self.give_back(limit)?;
        // The next write restarts the log, and only this process knows that it can. It is one transaction, because a
        // newer version may be about to migrate.
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let version = schema::version(&transaction)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()
    }

    fn max_rewritten(&self) -> u64 {
        let dir = self.path.parent().unwrap_or(Path::new(""));
        match lock_groups(dir) {
            Ok(Some(_)) => MAX_REWRITTEN_BYTES,
            Ok(None) | Err(_) => MAX_REWRITTEN_WHILE_SERVED,
        }
    }

    /// Checkpoints the log, as far as no reader needs the old content, and truncates it if it is large.
    fn cut_log(&self) -> rusqlite::Result<()> {
        let checkpoint = |mode| {
            self.connection
                .pragma_update_and_check(None, "wal_checkpoint", mode, |_| Ok(()))
        };
        // Others can write during this one, but not during the other.
        checkpoint("PASSIVE")?;
        let log = self.log().metadata();
        if log.is_ok_and(|log| log.len() > schema::MAX_LOG_BYTES) {
            with_patience(&self.connection, CUT_PATIENCE, || checkpoint("TRUNCATE"))
        } else {
            Ok(())
        }
    }

    /// Gives free space back to the file system, if there is much and not too much is in use. In a file above `limit`
    /// less suffices. Does not wait for other processes.
    pub(super) fn give_back(&self, limit: Option<u64>) -> rusqlite::Result<()> {
        let space = space(&self.connection)?;
        let is_excess = limit.is_some_and(|limit| {
            space.total > limit && space.used() <= limit && space.free >= space.total / 8
        });
        let is_worth_it =
            space.free >= MIN_FREED_BYTES && (space.free >= space.used() || is_excess);
        if !is_worth_it || space.used() > self.max_rewritten() {
            return Ok(());
        }
        let turn = Turn::take();
        let vacuum = || self.connection.execute_batch("VACUUM");
        with_patience(&self.connection, Duration::ZERO, vacuum)?;
        drop(turn);
        self.cut_log()
    }
}

/// Runs `work` with a limit on the wait for other processes that have the database locked.
fn with_patience<T>(
    connection: &Connection,
    patience: Duration,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let before: u64 = connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
    connection.busy_timeout(patience)?;
    let result = work();
    connection.busy_timeout(Duration::from_millis(before))?;
    result
}
