//! State: one local SQLite database with the embedded gateway's groups, the history of runs and the outbox.
//!
//! It is per host and shared by all processes of a user. Every change is one transaction. Changes by pushes are
//! synced to disk before the call returns; the history survives the end of the process, and a power cut once the
//! system has written it. The crate uses [`metricsjob_system`] and [`metricsjob_metrics`], and nothing else of ours.
//!
//! - [`dir`]: location of the database.
//! - [`LazyState`]: the database, opened on first use.
//! - `schema`: its tables, created and migrated on opening.
//! - `error`: reasons why it cannot be used.
//! - [`check`], [`repair`]: detection of damage, and a new database.
//! - `checksum`: checksums of rows.
//! - `damage`: replacement of a corrupt database.
//! - `salvage`: rows that can be read from a corrupt database.
//! - [`groups`]: the embedded gateway's groups, and pushes to them.
//! - [`group_rows`]: their rows, read together with the log, and written.
//! - `group_deletion`: deletions of groups, one by its key or all that selectors select.
//! - `group_index`: index of them: a push reads only those that it could collide with.
//! - [`group_log`]: log of changes by a serving gateway; [`group_writer`] writes it.
//! - [`serving`]: locks on the groups.
//! - [`history`]: finished runs.
//! - [`counters`]: counters accumulated over runs.
//! - [`forget`]: removal of all that is known of a job.
//! - [`outbox`]: reports and notifications not delivered yet; `outbox_rows`: their rows; `outbox_content`: what they carry.
//! - [`notified`]: what was notified of last.
//! - [`push_stats`]: statistics of pushing.
//! - `turn`: order of this process's writers.
//! - `upkeep`: keeps the files small; `pruning`: drops old rows of a database beyond its limit.

mod check;
mod checksum;
pub mod counters;
mod damage;
pub mod dir;
mod error;
mod files;
pub mod forget;
mod group_deletion;
mod group_index;
pub mod group_log;
pub mod group_rows;
pub mod group_writer;
pub mod groups;
pub mod history;
mod key_column;
mod lazy;
pub mod notified;
pub mod outbox;
mod outbox_content;
mod outbox_rows;
mod pruning;
pub mod push_stats;
pub mod reported;
mod salvage;
mod schema;
pub mod serving;
pub mod store;
mod ttl_comment;
mod turn;
mod upkeep;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use self::turn::Turn;
pub use check::{check, repair};
pub use damage::Damage;
pub use error::StateError;
pub use lazy::LazyState;
use metricsjob_system::files::{check_regular_if_there, make_dir, make_private};
use metricsjob_system::panics::point;
use metricsjob_system::trust;
pub use pruning::Pruned;
pub use salvage::Salvaged;
pub use upkeep::{size, size_family};

/// The database's name inside the state directory.
pub const FILE_NAME: &str = "state.db";

/// Flags of connections. They must not create the file, which SQLite would make readable for everybody. A file that
/// is read-only is opened so. The path must have its links resolved.
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// Most attempts to open it while other processes move it.
const MAX_MOVES: u32 = 5;

/// The open state database.
pub struct State {
    connection: Connection,
    path: PathBuf,
    /// The file that is open.
    identity: Identity,
    /// True if a new database may replace it when it is corrupt.
    is_replaceable: bool,
    /// True if closing checkpoints the log. False until that is open: the log of a database that was moved aside has
    /// another name.
    shortens_log: bool,
    damage: Option<Damage>,
}

/// Device and inode of a file.
type Identity = (u64, u64);

impl State {
    /// Opens the database in `dir`. Creates both (modes 0700, 0600) if necessary, and migrates an older schema. The
    /// mode of an existing directory is kept.
    ///
    /// A corrupt database, found now or later, is moved aside and replaced by a new one, see
    /// [`LazyState::take_damage`].
    pub fn open(dir: &Path) -> Result<State, StateError> {
        let path = dir.join(FILE_NAME);
        for _ in 0..MAX_MOVES {
            if let Some(state) = State::open_if_there(dir)? {
                return Ok(state);
            }
            make_dir(dir).map_err(|source| StateError::CreateDir {
                path: dir.to_owned(),
                source,
            })?;
            // While a corrupt database is moved aside, its log still has the name of the new one's. An error of the
            // lock is ignored: the next step will fail too.
            let _lock = schema::lock(&path);
            make_private(&path).map_err(|source| StateError::OpenFile {
                path: path.clone(),
                source,
            })?;
        }
        Err(StateError::OpenFile {
            path,
            source: io::Error::other("it keeps being removed"),
        })
    }

    /// Opens the database in `dir` as [`open`](Self::open) does, if it exists.
    fn open_if_there(dir: &Path) -> Result<Option<State>, StateError> {
        let path = dir.join(FILE_NAME);
        check_place(&path)?;
        for _ in 0..MAX_MOVES {
            let Some(mut state) = State::connect(&path)? else {
                return Ok(None);
            };
            let prepared = schema::prepare(&mut state, None);
            // Otherwise another process may have moved it aside before its log was opened by name.
            if state.is_in_place() || matches!(prepared, Err(StateError::NotReplaced { .. })) {
                return prepared.map(|()| Some(state));
            }
        }
        Ok(None)
    }

    /// Opens the database in `dir` to look at it, if it exists: one that cannot be written is read nevertheless, and
    /// a corrupt one stays where it is.
    pub fn open_existing(dir: &Path) -> Result<Option<State>, StateError> {
        let path = dir.join(FILE_NAME);
        let Some(mut state) = State::connect(&path)? else {
            return Ok(None);
        };
        state.is_replaceable = false;
        let Err(error) = schema::prepare(&mut state, None) else {
            return Ok(Some(state));
        };
        let is_readable = matches!(error, StateError::System { .. })
            && !state.has_log()
            && state.make_immutable().is_ok()
            && schema::prepare(&mut state, None).is_ok();
        if is_readable {
            Ok(Some(state))
        } else {
            Err(error)
        }
    }

    /// Opens the database at `path`, without looking at its content.
    fn connect(path: &Path) -> Result<Option<State>, StateError> {
        let mut moves = 0;
        loop {
            let Some(found) = found(path)? else {
                return Ok(None);
            };
            let source = match Connection::open_with_flags(resolve(path)?, READ_WRITE) {
                Ok(connection) => {
                    return Ok(Some(State {
                        connection,
                        path: path.to_owned(),
                        identity: found,
                        is_replaceable: true,
                        shortens_log: false,
                        damage: None,
                    }));
                }
                Err(source) => source,
            };
            // Another process may just have replaced it.
            let is_moved = identity(path).is_ok_and(|now| now != Some(found));
            moves += 1;
            if !is_moved || moves == MAX_MOVES {
                return Err(StateError::of(path, None, source));
            }
        }
    }

    /// Reopens the database as immutable, which is how SQLite reads one whose log cannot be created. Requires that
    /// there is no log, and thus no writer.
    fn make_immutable(&mut self) -> Result<(), StateError> {
        let path = resolve(&self.path)?;
        let uri = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        self.connection = Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)
            .map_err(|source| StateError::of(&self.path, None, source))?;
        Ok(())
    }

    /// Checks that the database can be written, without changing anything.
    pub fn probe(&mut self) -> Result<(), StateError> {
        self.write(|transaction| {
            let version = schema::version(transaction)?;
            transaction.pragma_update(None, "user_version", version)
        })
    }

    /// Returns true if the open file is still the one at its path.
    fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == Some(self.identity))
    }

    /// Returns the path of the log, which is beside the file, and not beside a link to it.
    fn log(&self) -> PathBuf {
        let file = self.connection.path().map_or(&*self.path, Path::new);
        files::beside(file, files::LOG)
    }

    fn has_log(&self) -> bool {
        self.log().symlink_metadata().is_ok()
    }

    /// Runs `work` in one transaction, as [`with`](Self::with) does.
    fn write<T>(
        &mut self,
        mut work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.in_place(|state| state.with(|connection| in_transaction(connection, &mut work)))
    }

    /// Runs `work` in one transaction, as [`with_sync`](Self::with_sync) does.
    fn write_sync<T>(
        &mut self,
        mut work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.in_place(|state| state.with_sync(|connection| in_transaction(connection, &mut work)))
    }

    /// Runs `change`. If the database was moved or removed before that ended, nobody will find the change there, so
    /// that it is repeated on the new one.
    fn in_place<T>(
        &mut self,
        mut change: impl FnMut(&mut State) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        for _ in 0..MAX_MOVES {
            let value = change(self)?;
            if self.is_in_place() || !self.is_replaceable {
                return Ok(value);
            }
            let damage = self.damage.take();
            *self = State::open(self.path.parent().unwrap_or(Path::new("")))?;
            self.damage = damage.or(self.damage.take());
        }
        Err(StateError::OpenFile {
            path: self.path.clone(),
            source: io::Error::other("it keeps being removed"),
        })
    }

    /// Runs `work` as [`with`](Self::with) does, and syncs its changes, and all earlier ones, to disk.
    fn with_sync<T>(
        &mut self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.with(|connection| {
            connection.execute_batch("PRAGMA synchronous = FULL")?;
            let result = work(connection);
            connection.execute_batch("PRAGMA synchronous = NORMAL")?;
            result
        })
    }

    /// Runs `work` on the connection. If the database turns out to be corrupt, it is replaced, and `work` repeated on
    /// the new one.
    fn with<T>(
        &mut self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        match work(&mut self.connection) {
            Ok(value) => Ok(value),
            Err(error) => {
                self.make_up_for(error)?;
                work(&mut self.connection)
                    .map_err(|error| StateError::of(&self.path, Some(&self.connection), error))
            }
        }
    }

    /// Replaces the database if `error` shows that it is corrupt; otherwise returns the error.
    fn make_up_for(&mut self, error: rusqlite::Error) -> Result<(), StateError> {
        let is_damage = || {
            error::is_corruption(&error)
                || (error::is_unexpected(&error) && !check::problems(&self.connection).is_empty())
        };
        if !(self.is_replaceable && is_damage()) {
            return Err(StateError::of(&self.path, Some(&self.connection), error));
        }
        // A newer version may have migrated it while it was open here; its values are not damage.
        schema::check_version(self)?;
        *self = damage::replace(self, &error)?;
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.shortens_log {
            let _ = self.shorten_log(None);
        }
    }
}

/// Runs `work` in one transaction, which waits for others before it reads anything. `work` must not begin another
/// one: that would deadlock.
fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let _turn = Turn::take();
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&mut transaction)?;
    point("transaction");
    transaction.commit()?;
    Ok(value)
}

/// Checks that no other user can redirect writes to the database at `path`, see [`trust::place`].
fn check_place(path: &Path) -> Result<(), StateError> {
    let check = || {
        trust::place(path.parent().unwrap_or(path))?;
        trust::place(trust::resolve(path)?.parent().unwrap_or(path))
    };
    check()
        .map(|_| ())
        .map_err(|source| not_opened(path, source))
}

fn resolve(path: &Path) -> Result<PathBuf, StateError> {
    trust::resolve(path).map_err(|source| not_opened(path, source))
}

fn not_opened(path: &Path, source: io::Error) -> StateError {
    let dir = path.parent().unwrap_or(path).to_owned();
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotADirectory => StateError::CreateDir { path: dir, source },
        _ => StateError::OpenFile { path, source },
    }
}

/// Returns the [`identity`] of the file at `path`. Refuses files beside it that SQLite would open unchecked.
fn found(path: &Path) -> Result<Option<Identity>, StateError> {
    // SQLite looks for them beside the file, and not beside a link to it.
    let file = resolve(path)?;
    for suffix in &files::FILES[1..] {
        let path = files::beside(&file, suffix);
        check_regular_if_there(&path).map_err(|source| StateError::OpenFile { path, source })?;
    }
    identity(path).map_err(|source| not_opened(path, source))
}

/// Returns device and inode of the file at `path`, if there is one.
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match path.metadata() {
        Ok(found) if found.is_file() => Ok(Some((found.dev(), found.ino()))),
        Ok(_) => Err(io::Error::other("it is not a file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => Err(io::Error::other(
            "it is a link to a file that does not exist",
        )),
        Err(_) => Ok(None),
    }
}
