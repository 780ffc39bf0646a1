//! Files that a configuration consists of, and detection of changes to them.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use metricsjob_system::files;

/// Metadata of a file when it was read, which changes whenever the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Time of the last change, including changes of name, owner and mode; it cannot be set by anybody.
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

/// The files that were read, with their metadata from before reading; `None` for a missing file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Version>)>);

impl Files {
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Taken before reading, so that a change in between is noticed later.
        self.0.push((path.to_owned(), version(path)));
        let mut bytes = Vec::new();
        // The file is read again whenever it changes, which is not possible with a pipe.
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
