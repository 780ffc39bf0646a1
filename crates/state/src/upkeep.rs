//! What keeps the database's files small: the log is brought into the database, what is more than the limit is
//! dropped, and free space given back.
//!
//! All of it is done now and then only, where the log has become long, so that an ordinary run pays nothing for it. To
//! let SQLite give back space with each transaction (`auto_vacuum`) would cost each of them.

use std::path::Path;
use std::ptr;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use super::pruning::{Pruned, margin, prune, space};
use super::serving::lock_groups;
use super::turn::Turn;
use super::{State, StateError, files, schema};
use metricsjob_metrics::Family;

/// Free space is given back if it is as much as this, and as all that is in use. Less is soon written over.
const MIN_FREED_BYTES: u64 = 4 * 1024 * 1024;

/// It is not given back if more than this is in use, all of which is rewritten meanwhile, at 30 MiB/s on a slow machine:
/// others wait for that with what they have to write, and pushes to a gateway for less long than runs.
const MAX_REWRITTEN_BYTES: u64 = 128 * 1024 * 1024;
const MAX_REWRITTEN_WHILE_SERVED: u64 = 32 * 1024 * 1024;

/// How long readers are waited for before the log is cut off. Others cannot write meanwhile, and a backup of the
/// database can read for minutes.
const CUT_PATIENCE: Duration = Duration::from_millis(50);

/// The size of the database in `dir` with its log, in bytes.
pub fn size(dir: &Path) -> u64 {
    let path = dir.join(super::FILE_NAME);
    // The log is beside the file, and not beside a link to it.
    let file = path.canonicalize().unwrap_or(path);
    let log = files::beside(&file, files::LOG);
    let sizes = [file, log].map(|path| path.metadata().map_or(0, |file| file.len()));
    sizes.iter().sum()
}

/// That size as a metric of servers.
pub fn size_family(dir: &Path) -> Family {
    let help = "Size of the state database with its log.";
    Family::gauge("metricsjob_state_size_bytes", help, size(dir) as f64)
}

impl State {
    /// Brings the log into the database, if it is long. Then, if both are larger than `limit`, the oldest of what they
    /// hold is dropped. Where something fails, it is done the next time.
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

    /// The size of the open database with its log, in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        let log = self.log();
        let files = [&self.path, &log].map(|path| path.metadata());
        files.into_iter().flatten().map(|file| file.len()).sum()
    }

    /// Drops the oldest of what is more than `limit` bytes.
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
        // Only what is written next begins the log anew, and only we know yet that it can be. In one
        // transaction, because a newer version may be about to migrate.
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

    /// Brings what is in the log into the database, as far as nobody reads what was there before, and cuts the log off
    /// if it is large.
    fn cut_log(&self) -> rusqlite::Result<()> {
        let checkpoint = |mode| {
            self.connection
                .pragma_update_and_check(None, "wal_checkpoint", mode, |_| Ok(()))
        };
        // Others can write while this works, but not while the other does.
        checkpoint("PASSIVE")?;
        let log = self.log().metadata();
        if log.is_ok_and(|log| log.len() > schema::MAX_LOG_BYTES) {
            with_patience(&self.connection, CUT_PATIENCE, || checkpoint("TRUNCATE"))
        } else {
            Ok(())
        }
    }

    /// Gives free space back to the file system, if it is much and not too much is in use. A file above `limit` need not
    /// be half empty for it. Nobody is waited for: there is no hurry.
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

/// Does `work`, in which others that have the database locked are waited for for so long.
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
