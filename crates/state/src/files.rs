//! The files of a database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Suffixes of a database's files. The database comes first: once it is renamed, no process can open it and then find
/// files of the new one beside it.
pub(super) const FILES: [&str; 4] = ["", LOG, "-shm", "-journal"];

pub(super) const LOG: &str = "-wal";

/// Appends `suffix` to `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
