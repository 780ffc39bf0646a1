//! Locks on the groups: one gateway may serve them, or while there is none, any process may change them.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::StateError;
use metricsjob_system::files::{self, make_dir, make_private};

/// Lock file of the embedded gateway: exclusive while a gateway serves, shared while processes without one change the
/// groups in the database themselves.
const LOCK: &str = "gateway.lock";

/// Socket at which the serving gateway accepts pushes of this user's processes.
const SOCKET: &str = "gateway.sock";

/// Shared lock that allows changes of the groups in the database, until it is dropped.
#[derive(Debug)]
pub struct GroupsLock {
    _file: File,
}

/// Exclusive lock for serving the groups, until it is dropped.
#[derive(Debug)]
pub struct ServingLock {
    file: File,
    dir: PathBuf,
}

/// Locks the groups of the database in `dir` for a change. `None` if a gateway serves them, which then takes pushes
/// at [`socket`].
pub fn lock_groups(dir: &Path) -> Result<Option<GroupsLock>, StateError> {
    let file = open(dir)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(GroupsLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(dir, source)),
    }
}

/// Locks the groups of the database in `dir` for serving. `None` if another gateway serves them, or a process is
/// changing them.
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

/// Path of a Unix socket, at most 107 bytes as the system requires (see unix(7)).
pub struct SocketPath {
    path: PathBuf,
    /// The open directory that shortens a longer path.
    _dir: Option<File>,
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Returns the path of the socket of the gateway that serves the groups of the database in `dir`.
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
    /// Returns the state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns true if other processes find the lock: it is lost when the directory is removed or replaced.
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

    /// Listens at [`socket`], with access for this user only.
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
        // Otherwise the socket is another gateway's.
        if self.is_in_place() {
            let _ = fs::remove_file(self.dir.join(SOCKET));
        }
    }
}

fn open(dir: &Path) -> Result<File, StateError> {
    let path = dir.join(LOCK);
    // It exists most of the time.
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
