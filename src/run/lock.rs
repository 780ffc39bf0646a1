//! The lock that keeps runs of a job apart.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{self, Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Uid;
use ring::digest;
use serde::{Deserialize, Serialize};

use super::pause::pause;
use super::signals::{ReceivedSignal, Signals};
use metricsjob_metrics::GroupingKey;
use metricsjob_system::files;

/// How many names other users can take before us.
const MAX_TAKEN: u32 = 16;

/// How often we check whether a lock is free.
const TICK: Duration = Duration::from_millis(50);

/// The lock of a job and its grouping key, held. The kernel frees it when this process ends, however
/// that happens: it is flock(2) on a file that no other process inherits.
pub struct Lock {
    path: PathBuf,
    /// Locked for as long as it is open.
    _file: File,
}

/// Outcome of the attempt to take a lock.
pub enum Locking {
    Locked(Lock),
    /// Another run has it.
    Busy(Option<Holder>),
    /// A signal ended the waiting.
    Interrupted(ReceivedSignal),
}

/// Holder of a lock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub run_id: String,
}

/// Why it is unknown whether another run is running.
#[derive(Debug, thiserror::Error)]
#[error("could not lock {path}: {} (choose another directory with --state-dir)", metricsjob_system::reason(.source))]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl Lock {
    /// The lock of `key` in `state_dir`, for the run `run_id`. While another run has it, this waits
    /// for `wait` at most. Where nothing can be written there, as on a full disk, the lock is in `/run` or among
    /// the temporary files, because that must not stop the job.
    pub fn acquire(
        state_dir: &Path,
        key: &GroupingKey,
        run_id: &str,
        wait: Duration,
        signals: &Signals,
    ) -> Result<Locking, LockError> {
        let error = match Lock::acquire_in(&state_dir.join("locks"), key, run_id, wait, signals) {
            Err(error) => error,
            locking => return locking,
        };
        match substitute(state_dir) {
            Ok(dir) => Lock::acquire_in(&dir, key, run_id, wait, signals).map_err(|_| error),
            Err(_) => Err(error),
        }
    }

    fn acquire_in(
        dir: &Path,
        key: &GroupingKey,
        run_id: &str,
        wait: Duration,
        signals: &Signals,
    ) -> Result<Locking, LockError> {
        let failed = |path: &Path, source| LockError {
            path: path.to_owned(),
            source,
        };
        files::make_dir(dir).map_err(|error| failed(dir, error))?;
        let path = dir.join(file_name(key));
        let deadline = Instant::now().checked_add(wait);
        loop {
            if let Some(mut file) = try_lock(&path).map_err(|error| failed(&path, error))? {
                let holder = Holder {
                    pid: std::process::id(),
                    run_id: run_id.to_owned(),
                };
                // It is for people to read, and not needed for the lock.
                let _ = file.set_len(0);
                let _ = serde_json::to_writer(&file, &holder).map(|()| file.write_all(b"\n"));
                return Ok(Locking::Locked(Lock { path, _file: file }));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Locking::Busy(holder(&path)));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if let Some(signal) = pause(left.unwrap_or(TICK).min(TICK), signals) {
                return Ok(Locking::Interrupted(signal));
            }
        }
    }
}

/// Current holder of the lock of `key` in `state_dir`, if it is known.
pub fn holder_of(state_dir: &Path, key: &GroupingKey) -> Option<Holder> {
    let path = state_dir.join("locks").join(file_name(key));
    let file = files::open_to_read(&path).ok()?;
    // A lock file with a holder is not empty. An empty one is not probed: a run that is about to lock it must
    // find it free.
    if file.metadata().ok()?.len() == 0 {
        return None;
    }
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => holder(&path),
        _ => None,
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is free, so that nobody's file is removed but ours.
        let _ = fs::remove_file(&self.path);
    }
}

/// The directory for the locks of `state_dir` where the state cannot be written.
///
/// It belongs to this user alone, so that no other user can hold our locks, and does not depend on how the run was
/// started: a cron job has no `XDG_RUNTIME_DIR`, and must find the locks of runs that were started by hand.
fn substitute(state_dir: &Path) -> io::Result<PathBuf> {
    let user = Uid::effective();
    let temporary = env::temp_dir();
    let places = if user.is_root() {
        [Path::new("/run"), &temporary]
    } else {
        [Path::new("/run/lock"), &temporary]
    };
    let names = || {
        let numbers = (1..MAX_TAKEN).map(|number| format!("metricsjob-{user}.{number}"));
        iter::once(format!("metricsjob-{user}")).chain(numbers)
    };
    let is_ours = |dir: &PathBuf| {
        let found = dir.symlink_metadata();
        found.is_ok_and(|found| {
            found.is_dir() && found.uid() == user.as_raw() && found.mode() & 0o077 == 0
        })
    };
    let candidates = || {
        places
            .iter()
            .flat_map(|place| names().map(|name| place.join(name)))
    };
    // One that is there comes first: another user may have given back a name before it.
    let is_made = |dir: &PathBuf| DirBuilder::new().mode(0o700).create(dir).is_ok();
    let ours = candidates()
        .find(is_ours)
        .or_else(|| candidates().find(|dir| is_made(dir) || is_ours(dir)))
        .ok_or(io::ErrorKind::PermissionDenied)?;
    let state_dir = path::absolute(state_dir)?;
    Ok(ours.join(hex(state_dir.as_os_str().as_bytes())))
}

/// The locked file at `path`, or `None` if another process or thread has it locked.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = files::open_or_make(path, OpenOptions::new().read(true).append(true))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // The previous holder may have removed the file after we opened it: then it locks nothing.
        let opened = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()) => {
                return Ok(Some(file));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}

fn holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    let file = files::open_to_read(path).ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The job's name as far as it can stand in a file name, and a hash that distinguishes keys.
fn file_name(key: &GroupingKey) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let job: String = key.job().chars().take(64).map(plain).collect();
    format!("{job}-{}.lock", hex(key.to_string().as_bytes()))
}

/// Hash of `bytes`, in 16 hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    let bytes = digest.as_ref()[..8].iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
