//! The files of a database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the names of a database's files end with. The database comes first: once it has another
/// name, nobody can open it and then find files of the new one beside it.
pub(super) const FILES: [&str; 4] = ["", LOG, "-shm", "-journal"];

pub(super) const LOG: &str = "-wal";

/// `path` with `suffix` at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
