//! Locks that keep deliveries to one group apart, those of other processes included: a push that is
//! under way must not be overtaken by a newer one.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use metricsjob_metrics::GroupingKey;
use metricsjob_system::files;

/// Inside the state directory. It stays empty: each group has one byte of it to lock.
const FILE_NAME: &str = "delivery.lock";

/// How long to wait before looking again whether another process is done; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// Right to deliver to a group, until it is dropped or the process ends.
pub struct GroupLock {
    _file: File,
}

impl GroupLock {
    /// Takes the lock for the group of `key` at `gateway`, waiting for others until `until`, and for as long as it
    /// `is_needed`. `None` if they still have it. The locks' file is in `state_dir`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the file system has no locks.
    pub fn acquire(
        state_dir: &Path,
        gateway: &str,
        key: &GroupingKey,
        until: Instant,
        mut is_needed: impl FnMut() -> bool,
    ) -> io::Result<Option<Self>> {
        let path = state_dir.join(FILE_NAME);
        let file = files::open_or_make(&path, OpenOptions::new().append(true))?;
        let mut pause = FIRST_PAUSE;
        loop {
            if lock_byte(&file, byte_of(gateway, key))? {
                return Ok(Some(GroupLock { _file: file }));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !is_needed() {
                return Ok(None);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Locks one byte for this open file, which other threads of this process do not share. Returns whether
/// it could.
fn lock_byte(file: &File, byte: i64) -> io::Result<bool> {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The byte of a group: the 64-bit FNV-1a hash of its names, the same in all versions. Two groups that
/// share one wait for each other, which does no harm.
fn byte_of(gateway: &str, key: &GroupingKey) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |text: &str| {
        // No UTF-8 has this byte, so it ends each text.
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    mix(gateway);
    mix(key.job());
    for (name, value) in key.labels() {
        mix(name);
        mix(value);
    }
    // The last byte of a file that the system can address, exclusively.
    (hash % (i64::MAX as u64)) as i64
}
