//! The files that a configuration is made of, and whether one has changed.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use metricsjob_system::files;

/// What a file was when it was read: it changes with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Also of its name, owner and mode, and nobody can set it.
    changed: (i64, i64),
}

impl From<Metadata> for Version {
    fn from(of: Metadata) -> Self {
        Version {
            file: (of.dev(), of.ino()),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

/// The files that were read, as they were before that; `None` is one that is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Version>)>);

impl Files {
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Before, so that a change in between is seen as one later.
        self.0.push((path.to_owned(), version(path)));
        let mut bytes = Vec::new();
        // It is read again whenever it changes, which a pipe cannot be.
        files::open_to_read(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, read)| version(path) != *read)
    }
}

fn version(path: &Path) -> Option<Version> {
    fs::metadata(path).ok().map(Version::from)
}
