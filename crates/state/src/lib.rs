//! The state: one local SQLite database with the embedded gateway's groups, the history of runs and
//! the outbox.
//!
//! It is per host and shared by all processes of a user. Every change is one transaction. What a push
//! has changed is synced to disk before the call returns; the history is safe from our own end, and
//! from a power cut once the system has written it. It may use [`metricsjob_system::files`], [`metricsjob_metrics`] and [`crate::store`], and
//! nothing else of ours.
//!
//! - [`dir`]: where the database is.
//! - [`LazyState`]: the database, opened when it is first needed.
//! - `schema`: its tables, made and brought up to date on opening.
//! - `error`: why it cannot be used.
//! - [`check`], [`repair`]: whether it is damaged, and a new one then.
//! - `checksum`: which rows are as they were written.
//! - `damage`: what becomes of a corrupt database.
//! - `salvage`: what can be saved of it.
//! - [`groups`]: the embedded gateway's groups, and what a push does to them.
//! - [`group_rows`]: their rows, read with what is in the log, and written.
//! - `group_index`: which of them a push could collide with, so that it need not read all.
//! - [`group_log`]: what a serving gateway has changed in them; [`group_writer`] writes it.
//! - [`serving`]: who may change them.
//! - [`history`]: finished runs.
//! - [`counters`]: counters that go on over runs.
//! - [`outbox`]: pushes that are not delivered yet; `outbox_rows`: how they are read.
//! - [`push_stats`]: how pushing went so far.
//! - `turn`: who of this process writes next.
//! - `upkeep`: what keeps the files small; `pruning`: what is dropped when they are too large.

mod check;
mod checksum;
pub mod counters;
mod damage;
pub mod dir;
mod error;
mod files;
mod group_index;
pub mod group_log;
pub mod group_rows;
pub mod group_writer;
pub mod groups;
pub mod history;
mod key_column;
mod lazy;
pub mod outbox;
mod outbox_rows;
mod pruning;
pub mod push_stats;
mod salvage;
mod schema;
pub mod serving;
pub mod store;
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
pub use upkeep::size_family;

/// The database's name inside the state directory.
pub const FILE_NAME: &str = "state.db";

/// How a connection is opened, which must not make the file: SQLite would make it readable for
/// everybody. Where the file may only be read, SQLite does that. The path has no links any more.
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// How often it is opened anew because another process has moved it meanwhile.
const MAX_MOVES: u32 = 5;

/// The open state database.
pub struct State {
    connection: Connection,
    path: PathBuf,
    /// Which file it is.
    identity: Identity,
    /// Whether a new database may take its place if it is corrupt.
    is_replaceable: bool,
    /// Whether its log is brought into it on closing. Not before that is open: the log of one that was moved aside
    /// has another's name now.
    shortens_log: bool,
    damage: Option<Damage>,
}

/// Device and inode of a file.
type Identity = (u64, u64);

impl State {
    /// Opens the database in `dir`; makes both (0700, 0600) where they do not exist, and brings an
    /// older schema up to date. A directory that exists stays as wide as it is.
    ///
    /// A corrupt database, whether that shows now or later, is moved aside and a new one begun, see
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
            // While a corrupt one is moved aside, its log still has the name that the new one's will have.
            // Where there can be no lock, there can be no database either, which the next step tells.
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

    /// The same, if there is one.
    fn open_if_there(dir: &Path) -> Result<Option<State>, StateError> {
        let path = dir.join(FILE_NAME);
        check_place(&path)?;
        for _ in 0..MAX_MOVES {
            let Some(mut state) = State::connect(&path)? else {
                return Ok(None);
            };
            let prepared = schema::prepare(&mut state, None);
            // Otherwise it may have been moved aside before its log was opened, by its name.
            if state.is_in_place() || matches!(prepared, Err(StateError::NotReplaced { .. })) {
                return prepared.map(|()| Some(state));
            }
        }
        Ok(None)
    }

    /// Opens the database in `dir`, if there is one, to look at it: where it cannot be written, it
    /// can be read nevertheless, and a corrupt one stays where it is.
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

    /// Opens the database at `path` as it is.
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
            // Another process may just have moved it aside, and begun a new one.
            let is_moved = identity(path).is_ok_and(|now| now != Some(found));
            moves += 1;
            if !is_moved || moves == MAX_MOVES {
                return Err(StateError::of(path, None, source));
            }
        }
    }

    /// Reads the database as if nobody could change it, which is how SQLite reads one whose log can
    /// not be made. That there is no log yet says that nobody writes to it.
    fn make_immutable(&mut self) -> Result<(), StateError> {
        let path = resolve(&self.path)?;
        let uri = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        self.connection = Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)
            .map_err(|source| StateError::of(&self.path, None, source))?;
        Ok(())
    }

    /// Whether the database can be written: an error says why not. Nothing changes by it.
    pub fn probe(&mut self) -> Result<(), StateError> {
        self.write(|transaction| {
            let version = schema::version(transaction)?;
            transaction.pragma_update(None, "user_version", version)
        })
    }

    /// Whether the open file is still the one at its path.
    fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == Some(self.identity))
    }

    /// The log, which is where the file is, and not a link to it.
    fn log(&self) -> PathBuf {
        let file = self.connection.path().map_or(&*self.path, Path::new);
        files::beside(file, files::LOG)
    }

    fn has_log(&self) -> bool {
        self.log().symlink_metadata().is_ok()
    }

    /// Does `work` in one transaction as [`with`](Self::with) does.
    fn write<T>(
        &mut self,
        mut work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.in_place(|state| state.with(|connection| in_transaction(connection, &mut work)))
    }

    /// Does `work` in one transaction as [`with_sync`](Self::with_sync) does.
    fn write_sync<T>(
        &mut self,
        mut work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.in_place(|state| state.with_sync(|connection| in_transaction(connection, &mut work)))
    }

    /// Does `change`. If the database was moved aside or removed before that was done, nobody will find what was
    /// written to it, so that it is done again on the one that has its place now.
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

    /// Does `work` as [`with`](Self::with) does, and what it has changed, with all that was changed
    /// before, will be there after a power cut.
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

    /// Does `work` on the connection and says, if it fails, with which database. If that turns out to
    /// be corrupt, a new one takes its place, and `work` is done on that.
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

    /// Replaces the database if it is corrupt, and fails if it is not that.
    fn make_up_for(&mut self, error: rusqlite::Error) -> Result<(), StateError> {
        let is_damage = || {
            error::is_corruption(&error)
                || (error::is_unexpected(&error) && !check::problems(&self.connection).is_empty())
        };
        if !(self.is_replaceable && is_damage()) {
            return Err(StateError::of(&self.path, Some(&self.connection), error));
        }
        // A newer version may have brought it up to date while it was open here, and its values are not damage.
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

/// Does `work` in one transaction, which waits for those of others before it reads anything. `work` must not
/// begin another one.
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

/// Looks at where the database at `path` is, before it is written.
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

/// Returns the [`identity`] of the file at `path`. Refuses the files beside it that SQLite would open without looking.
fn found(path: &Path) -> Result<Option<Identity>, StateError> {
    // They are beside the file, and not a link to it.
    let file = resolve(path)?;
    for suffix in &files::FILES[1..] {
        let path = files::beside(&file, suffix);
        check_regular_if_there(&path).map_err(|source| StateError::OpenFile { path, source })?;
    }
    identity(path).map_err(|source| not_opened(path, source))
}

/// Which file is at `path`, if there is one.
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
