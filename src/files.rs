//! Opening files in places where anybody may have put something else, such as a FIFO, whose opening waits for a
//! process at its other end.
//!
//! Files that a person names on the command line may be pipes and are opened as usual: a signal ends the wait.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// A path leads to something that is not a regular file.
#[derive(Debug, thiserror::Error)]
#[error("it is {what}, not a regular file")]
struct NotRegular {
    what: &'static str,
}

/// Opens the regular file at `path` as `options` say, without waiting for anybody.
///
/// # Errors
///
/// It cannot be opened, or it is not a regular file.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Before, because even to open a FIFO or a device may have an effect.
    if let Ok(found) = path.metadata() {
        check(found.file_type())?;
    }
    // It may be replaced meanwhile.
    let unwaiting = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = options.custom_flags(unwaiting.bits()).open(path)?;
    check(file.metadata()?.file_type())?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Opens the regular file at `path` for reading, without waiting for anybody.
///
/// # Errors
///
/// It cannot be opened, or it is not a regular file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Refuses what is at `path` if it is anything but a regular file, for a library that will open it.
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
