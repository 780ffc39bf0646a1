//! Errors of the state, in words for users.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::{Statvfs, statvfs};
use nix::unistd::{AccessFlags, access};
use rusqlite::{Connection, ErrorCode, ffi};

use super::files;

/// Reason why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("could not create the state directory {path}: {}", reason(source))]
    CreateDir { path: PathBuf, source: io::Error },
    #[error("could not open the state database {path}: {}", reason(source))]
    OpenFile { path: PathBuf, source: io::Error },
    #[error("could not open the lock file {path}: {}", reason(source))]
    Lock { path: PathBuf, source: io::Error },
    /// The directory was removed or replaced while a gateway served its groups.
    #[error("the state directory {dir} was removed or replaced: {rescue}")]
    Displaced {
        dir: PathBuf,
        /// The fate of the groups, in words.
        rescue: String,
    },
    /// A system call failed on behalf of SQLite.
    #[error("could not use the state database {path}: {}", reason(source))]
    System { path: PathBuf, source: io::Error },
    #[error("could not use the state database {path}: {}", brief(source))]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
    /// Corruption found by an operation that must not move the database aside.
    #[error(
        "the state database {path} is corrupt ({}): the next run that needs what is broken, or \
         `metricsjob state repair`, moves it aside and begins a new one with what can be saved",
        brief(source)
    )]
    Corrupt {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "the state database {path} is corrupt ({why}){}, and no new one could be created: {source}",
        aside.as_ref().map(|aside| format!(", is now {}", aside.display())).unwrap_or_default()
    )]
    NotReplaced {
        path: PathBuf,
        why: String,
        /// Its new path, if it was moved.
        aside: Option<PathBuf>,
        source: Box<StateError>,
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

impl StateError {
    /// Classifies `source`, an error of the database at `path`, on `connection` if that was open already.
    pub(super) fn of(
        path: &Path,
        connection: Option<&Connection>,
        source: rusqlite::Error,
    ) -> Self {
        let path = path.to_owned();
        match system_error(&path, connection, &source) {
            Some((path, source)) => StateError::System { path, source },
            None if is_corruption(&source) => StateError::Corrupt { path, source },
            None => StateError::Database { path, source },
        }
    }
}

/// Finds the system's reason for an error and the file it concerns: SQLite only says "unable to open database file"
/// or "disk I/O error".
fn system_error(
    path: &Path,
    connection: Option<&Connection>,
    error: &rusqlite::Error,
) -> Option<(PathBuf, io::Error)> {
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => return Some((path.to_owned(), Errno::ENOSPC.into())),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => {}
        _ => return None,
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let files = files::FILES.map(|suffix| files::beside(&real, suffix));
    for file in files.iter().map(PathBuf::as_path).chain(real.parent()) {
        if let Err(error @ (Errno::EACCES | Errno::EPERM | Errno::EROFS)) =
            access(file, AccessFlags::W_OK)
        {
            return Some((file.to_owned(), error.into()));
        }
    }
    // Checked before the error number, which may be that of a retry by SQLite.
    let left = real.parent().and_then(|dir| statvfs(dir).ok());
    let is_full = |left: Statvfs| {
        left.blocks_available() == 0 || (left.files() > 0 && left.files_available() == 0)
    };
    if left.is_some_and(is_full) {
        return Some((path.to_owned(), Errno::ENOSPC.into()));
    }
    // SAFETY: the handle is that of an open connection, and is only read from.
    let errno = connection.map_or(0, |open| unsafe {
        ffi::sqlite3_system_errno(open.handle())
    });
    (errno != 0).then(|| (path.to_owned(), io::Error::from_raw_os_error(errno)))
}

/// Describes the system's reason, with advice.
fn reason(error: &io::Error) -> String {
    const ELSEWHERE: &str = "choose another directory with --state-dir";
    match error.kind() {
        io::ErrorKind::StorageFull => format!("no space is left there (free some, or {ELSEWHERE})"),
        io::ErrorKind::QuotaExceeded => {
            format!("the disk quota is used up (free some space, or {ELSEWHERE})")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("the file system is read-only ({ELSEWHERE})")
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied (make it this user's with chown, or {ELSEWHERE})")
        }
        _ => format!("{} ({ELSEWHERE})", metricsjob_system::reason(error)),
    }
}

/// Returns SQLite's message without statement and error code.
pub(super) fn brief(error: &rusqlite::Error) -> String {
    match error {
        _ if is_busy(error) => {
            "another process keeps it locked (end that one, or try again later)".into()
        }
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// Returns true if another process holds the lock on the database.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Returns true for an error that our statements never cause in a sound database, such as a missing table or a
/// duplicate row.
pub(super) fn is_unexpected(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    let is_row_missing = matches!(error, Error::QueryReturnedNoRows);
    is_row_missing
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
        )
}

/// Returns true for an error that only damage causes: the file is not a database or a broken one, or it has a value
/// that was never written.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => true,
        other => matches!(
            other.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}
