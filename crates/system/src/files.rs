//! Opening and creating files in places where other users may have put something else: a FIFO, which blocks
//! until another process opens its other end, or a link to a file that must not be touched. It may use
//! [`crate::trust`].
//!
//! Files that a person names on the command line may be pipes and are opened as usual: a signal ends the
//! wait.

use std::fs::{DirBuilder, File, FileType, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid};

use crate::trust::{self, Place};

/// Maximum number of attempts to open a file that others keep removing.
const MAX_REMOVALS: u32 = 100;

/// Error: a path leads to something that is not a regular file.
#[derive(Debug, thiserror::Error)]
#[error("it is {what}, not a regular file")]
struct NotRegular {
    what: &'static str,
}

/// Opens the regular file at `path` for writing, with `options`, without ever blocking.
///
/// # Errors
///
/// It cannot be opened, it is not a regular file, or another user controls where `path` leads.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let path = trust::resolve(path)?;
    trust::place(parent(&path))?;
    open_resolved(&path, options, OFlag::O_NOFOLLOW)
}

/// Opens the file as [`open`] does; if there is none, creates it first, for this user alone.
///
/// # Errors
///
/// The file cannot be created, or [`open`] fails.
pub fn open_or_make(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    for _ in 0..MAX_REMOVALS {
        match open(path, options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_private(path)?,
            opened => return opened,
        }
    }
    // Reached for a dangling link, for example.
    open(path, options)
}

/// Creates an empty file, for the owner of its directory alone, unless it exists.
///
/// An existing file is not opened, because closing a database file releases all locks that this process has
/// on it (see fcntl(2)), including those of another connection.
///
/// # Errors
///
/// It cannot be created there, or another user controls where the path leads.
pub fn make_private(path: &Path) -> io::Result<()> {
    let Place { dir, owner } = trust::place(parent(path))?;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join(path.file_name().unwrap_or_default()));
    match made {
        Ok(file) => {
            // The umask may have removed permissions that we need ourselves.
            file.set_permissions(Permissions::from_mode(0o600))?;
            give(&file, owner);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates the directory and its missing parents, for the owner of the closest existing one alone. An
/// existing directory is not changed.
///
/// # Errors
///
/// It cannot be created there, or another user controls where the path leads.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if dir.is_symlink() {
        return Err(nix::errno::Errno::ENOTDIR.into());
    }
    let Place { dir, owner } = trust::place(dir)?;
    let ancestors: Vec<_> = dir.ancestors().collect();
    for dir in ancestors.into_iter().rev() {
        if dir.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            continue;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !dir.is_dir() {
                    return Err(nix::errno::Errno::ENOTDIR.into());
                }
                continue;
            }
            made => made?,
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
        let made = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(dir)?;
        made.set_permissions(Permissions::from_mode(0o700))?;
        give(&made, owner);
    }
    Ok(())
}

/// Gives a file that root has created to the `owner` of its directory.
fn give(file: &File, owner: Option<(Uid, Gid)>) {
    if let Some((user, group)) = owner {
        // If that is not possible, as in a container that does not know the user, it remains root's.
        let _ = fchown(file, Some(user.as_raw()), Some(group.as_raw()));
    }
}

/// Gives the socket at `path`, which this process has created, to the owner of its directory, if this is
/// root.
///
/// # Errors
///
/// Another user controls where the path leads.
pub fn give_socket(path: &Path) -> io::Result<()> {
    if let Some((user, group)) = trust::place(parent(path))?.owner {
        let _ = lchown(path, Some(user.as_raw()), Some(group.as_raw()));
    }
    Ok(())
}

/// Returns the directory that contains the file at `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

fn open_resolved(path: &Path, options: &mut OpenOptions, flags: OFlag) -> io::Result<File> {
    // Checked before opening, because even opening a FIFO or a device may have an effect.
    if let Ok(found) = path.metadata() {
        check(found.file_type())?;
    }
    // It may have been replaced since.
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = options.custom_flags(flags.bits()).open(path)?;
    check(file.metadata()?.file_type())?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Opens the regular file at `path` for reading, without ever blocking.
///
/// # Errors
///
/// It cannot be opened, or it is not a regular file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open_resolved(path, OpenOptions::new().read(true), OFlag::empty())
}

/// Refuses anything at `path` that is not a regular file, on behalf of a library that will open it.
///
/// # Errors
///
/// It is something else.
pub fn check_regular_if_there(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(found) => check(found.file_type()),
        Err(_) => Ok(()),
    }
}

fn check(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let kinds = [
        (kind.is_dir(), "a directory"),
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
    ];
    let what = kinds
        .into_iter()
        .find_map(|(is_it, what)| is_it.then_some(what));
    let what = what.unwrap_or("something else");
    Err(io::Error::other(NotRegular { what }))
}
