//! Who may change the groups: one gateway that serves them, or any process while there is none.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::StateError;
use metricsjob_system::files::{self, make_dir, make_private};

/// Held by the serving gateway alone, or by those together who change the groups by themselves.
const LOCK: &str = "gateway.lock";

/// Where the serving gateway takes pushes of this user's processes.
const SOCKET: &str = "gateway.sock";

/// The right to change the groups in the database, until it is dropped.
#[derive(Debug)]
pub struct GroupsLock {
    _file: File,
}

/// The sole right to serve the groups, until it is dropped.
#[derive(Debug)]
pub struct ServingLock {
    file: File,
    dir: PathBuf,
}

/// Locks the groups of the database in `dir` for a change. `None` if a gateway serves them: then it has
/// to be asked, at [`socket`].
pub fn lock_groups(dir: &Path) -> Result<Option<GroupsLock>, StateError> {
    let file = open(dir)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(GroupsLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(dir, source)),
    }
}

/// Locks the groups of the database in `dir` to serve them. `None` if another gateway does, or if a
/// process is just changing them.
pub fn lock_for_serving(dir: &Path) -> Result<Option<ServingLock>, StateError> {
    let file = open(dir)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(ServingLock {
            file,
            dir: dir.to_owned(),
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(dir, source)),
    }
}

/// A path of a Unix socket. The system allows these 107 bytes only (see unix(7)).
pub struct SocketPath {
    path: PathBuf,
    /// What makes a longer one short.
    _dir: Option<File>,
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Where the gateway that serves the groups of the database in `dir` listens.
pub fn socket(dir: &Path) -> io::Result<SocketPath> {
    let path = dir.join(SOCKET);
    if path.as_os_str().len() < 108 {
        return Ok(SocketPath { path, _dir: None });
    }
    let dir = File::open(dir)?;
    Ok(SocketPath {
        path: format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()).into(),
        _dir: Some(dir),
    })
}

impl ServingLock {
    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether others find it: who removes or replaces the directory takes it away.
    pub fn is_in_place(&self) -> bool {
        let inode = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let found = self.dir.join(LOCK).metadata().map(inode);
        found.is_ok_and(|found| {
            self.file
                .metadata()
                .map(inode)
                .is_ok_and(|own| own == found)
        })
    }

    /// Listens at [`socket`], for this user's processes alone.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let path = self.dir.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket(&self.dir)?)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        files::give_socket(&path)?;
        Ok(listener)
    }
}

impl Drop for ServingLock {
    fn drop(&mut self) {
        // Elsewhere it is another gateway's.
        if self.is_in_place() {
            let _ = fs::remove_file(self.dir.join(SOCKET));
        }
    }
}

fn open(dir: &Path) -> Result<File, StateError> {
    let path = dir.join(LOCK);
    // Most of the time it is there.
    let open = || files::open(&path, OpenOptions::new().append(true));
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(|source| failed(dir, source)),
    }
    make_dir(dir).map_err(|source| StateError::CreateDir {
        path: dir.to_owned(),
        source,
    })?;
    make_private(&path).map_err(|source| failed(dir, source))?;
    open().map_err(|source| failed(dir, source))
}

fn failed(dir: &Path, source: io::Error) -> StateError {
    StateError::Lock {
        path: dir.join(LOCK),
        source,
    }
}
