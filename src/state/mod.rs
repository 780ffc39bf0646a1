//! The state: one local SQLite database with the embedded gateway's groups, the history of runs and
//! the outbox.
//!
//! It is per host and shared by all processes of a user. Every change is one transaction. What a push
//! has changed is synced to disk before the call returns; the history is safe from our own end, and
//! from a power cut once the system has written it. It may use [`crate::metrics`] and nothing else of ours.
//!
//! - [`dir`]: where the database is.
//! - [`LazyState`]: the database, opened when it is first needed.
//! - `schema`: its tables, made and brought up to date on opening.
//! - [`groups`]: the embedded gateway: what a push does to its groups.
//! - [`history`]: finished runs.
//! - [`counters`]: counters that go on over runs.
//! - [`outbox`]: pushes that are not delivered yet.
//! - [`push_stats`]: how pushing went so far.

pub mod counters;
pub mod dir;
pub mod groups;
pub mod history;
mod key_column;
mod lazy;
pub mod outbox;
pub mod push_stats;
mod schema;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use lazy::LazyState;

/// The database's name inside the state directory.
pub const FILE_NAME: &str = "state.db";

/// The open state database.
pub struct State {
    connection: Connection,
    path: PathBuf,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "could not create the state directory {path}: {source} (choose another with --state-dir)"
    )]
    CreateDir { path: PathBuf, source: io::Error },
    #[error(
        "could not open the state database {path}: {source} (choose another directory with --state-dir)"
    )]
    OpenFile { path: PathBuf, source: io::Error },
    #[error("could not use the state database {path}: {}", brief(source))]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "the state database {path} was written by a newer metricsjob (schema {found}, this one knows {known}): \
         use that version, or another --state-dir"
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
}

impl State {
    /// Opens the database in `dir`; makes both (0700, 0600) where they do not exist, and brings an
    /// older schema up to date.
    pub fn open(dir: &Path) -> Result<State, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| StateError::CreateDir {
                path: dir.to_owned(),
                source,
            })?;
        let path = dir.join(FILE_NAME);
        // SQLite would make the file readable for everybody. One that exists is left to it: to close a
        // file frees all locks that this process has on it (see fcntl(2)), another connection's too.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StateError::OpenFile {
                    path,
                    source: error,
                });
            }
            _ => {}
        }
        let connection = Connection::open(&path).map_err(|source| StateError::Database {
            path: path.clone(),
            source,
        })?;
        let mut state = State { connection, path };
        schema::prepare(&mut state)?;
        Ok(state)
    }

    /// Opens the database in `dir` if there is one.
    pub fn open_existing(dir: &Path) -> Result<Option<State>, StateError> {
        match dir.join(FILE_NAME).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => State::open(dir).map(Some),
        }
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings the log into the database, if it is long and nobody else uses it now.
    fn shorten_log(&self) {
        let log = self.path.with_extension("db-wal");
        if log
            .metadata()
            .is_ok_and(|log| log.len() > schema::MAX_LOG_BYTES)
        {
            // Where it cannot, the next one will.
            let _ =
                self.connection
                    .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()));
        }
    }

    /// Does `work` as [`with`](Self::with) does, and what it has changed, with all that was changed
    /// before, will be there after a power cut.
    fn with_sync<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.with(|connection| {
            connection.execute_batch("PRAGMA synchronous = FULL")?;
            let result = work(connection);
            connection.execute_batch("PRAGMA synchronous = NORMAL")?;
            result
        })
    }

    /// Does `work` on the connection and says, if it fails, with which database.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        work(&mut self.connection).map_err(|source| StateError::Database {
            path: self.path.clone(),
            source,
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.shorten_log();
    }
}

/// SQLite's own message, without the statement and the error code around it.
fn brief(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
