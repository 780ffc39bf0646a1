//! Checks which other users control where a path leads.
//!
//! The owner of a directory can replace anything in it by a link or another file. Therefore, links are
//! followed only if they belong to this user or root, and root neither writes where others can write, nor
//! obeys files that others can write.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf, absolute};

use nix::unistd::{Gid, Uid, User};

/// Maximum number of links in one path, as in Linux.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;

/// Error: another user controls where a path leads.
#[derive(Debug, thiserror::Error)]
enum Distrust {
    #[error("{path} is a link of {owner}, and only one's own are followed")]
    Link { path: PathBuf, owner: String },
    #[error("{path} belongs to {owner}, who could put anything there: run this as {owner}")]
    Owner { path: PathBuf, owner: String },
    #[error("other users can write in {path}, and root writes only where they cannot")]
    Shared { path: PathBuf },
    #[error(
        "{path} belongs to {owner}, and root must not do what others say: give it to root (chown root), or run this \
         as {owner}"
    )]
    Theirs { path: PathBuf, owner: String },
    #[error(
        "{path} can be changed by other users, so root does not trust it: remove their write permission (chmod go-w)"
    )]
    Changeable { path: PathBuf },
}

impl From<Distrust> for io::Error {
    fn from(error: Distrust) -> Self {
        io::Error::other(error)
    }
}

/// A directory to write in.
#[derive(Debug)]
pub struct Place {
    /// Path without links.
    pub dir: PathBuf,
    /// Owner of the directory, if root writes on behalf of another user. Files created there have to be given
    /// to that user.
    pub owner: Option<(Uid, Gid)>,
}

/// Checks the directory `dir`, or the existing part of the path to it, before something is written or created
/// there.
///
/// Root may write where only root and one other user can.
///
/// # Errors
///
/// A link on the way belongs to another user, or this is root and others can write there.
pub fn place(dir: &Path) -> io::Result<Place> {
    if !Uid::effective().is_root() {
        let (dir, owner) = (resolve(dir)?, None);
        return Ok(Place { dir, owner });
    }
    let (mut user, mut owner) = (None, None);
    let dir = walk(dir, |path, found| {
        let path = || path.to_owned();
        let uid = found.uid();
        let is_other = uid != 0 && *user.get_or_insert(uid) != uid;
        owner = (uid != 0).then(|| (Uid::from_raw(uid), Gid::from_raw(found.gid())));
        // In a sticky directory, such as /tmp, others can neither remove nor rename files of root.
        let writers = match uid {
            0 if found.mode() & STICKY != 0 => 0,
            0 => 0o002,
            _ => 0o022,
        };
        match found.mode() & writers {
            _ if is_other => Err(Distrust::Owner {
                path: path(),
                owner: name(uid),
            }),
            0 => Ok(()),
            _ => Err(Distrust::Shared { path: path() }),
        }
    })?;
    Ok(Place { dir, owner })
}

/// Returns `path` without links. Components that do not exist are not checked.
///
/// # Errors
///
/// A link on the way belongs to another user.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    walk(path, |_, _| Ok(()))
}

/// Refuses, for root, a file that others can change or replace.
///
/// # Errors
///
/// It is such a file, or cannot be found.
pub fn check_for_root(path: &Path) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    walk(path, |path, found| {
        let path = || path.to_owned();
        let is_sticky = found.is_dir() && found.mode() & STICKY != 0;
        let writers = match found.gid() {
            _ if is_sticky => 0,
            0 => 0o002,
            _ => 0o022,
        };
        match found.uid() {
            0 if found.mode() & writers == 0 => Ok(()),
            0 => Err(Distrust::Changeable { path: path() }),
            uid => Err(Distrust::Theirs {
                path: path(),
                owner: name(uid),
            }),
        }
    })
    .map(|_| ())
}

/// Follows `path` component by component, calls `each` for every directory or file on the way that is not a
/// link, and returns the resolved path. From the first missing component on, the path is returned as given.
fn walk(
    path: &Path,
    mut each: impl FnMut(&Path, &Metadata) -> Result<(), Distrust>,
) -> io::Result<PathBuf> {
    let names = |path: &Path| -> Vec<OsString> {
        let parts = path.components().filter(|part| *part != Component::RootDir);
        parts.map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut left = VecDeque::from(names(&absolute(path)?));
    let mut real = PathBuf::from("/");
    each(&real, &real.metadata()?)?;
    let mut links = 0;
    while let Some(next) = left.pop_front() {
        if next == "." {
            continue;
        }
        if next == ".." {
            real.pop();
            continue;
        }
        let step = real.join(&next);
        let found = match step.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                real = step;
                real.extend(left);
                return Ok(real);
            }
            found => found?,
        };
        if !found.is_symlink() {
            each(&step, &found)?;
            real = step;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(nix::errno::Errno::ELOOP.into());
        }
        let owner = found.uid();
        if owner != 0 && owner != Uid::effective().as_raw() {
            let owner = name(owner);
            return Err(Distrust::Link { path: step, owner }.into());
        }
        let target = fs::read_link(&step)?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(real)
}

/// Returns a user's name, or the number if there is none.
fn name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_lose_their_links() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        symlink("a", at("relative")).unwrap();
        symlink(at("relative/b"), at("absolute")).unwrap();
        symlink("./../a/./b/../b", at("a/up")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in ["a/b", "relative/b", "absolute", "a/up", "a/../relative/b/."] {
            assert_eq!(resolve(&at(path)).unwrap(), at("a/b"), "{path}");
        }
        assert_eq!(resolve(&at("absolute/c/d")).unwrap(), at("a/b/c/d"));
        assert!(resolve(&at("loop/x")).is_err());
    }
}
