//! Metrics files of runs that were killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Once;
use std::thread;

use nix::unistd::Uid;
use tempfile::{NamedTempFile, TempPath};

use metricsjob_system::files;

/// The beginning of the names of metrics files.
const PREFIX: &str = "metricsjob-metrics-";

/// Makes an empty file in `dir` and locks it: it is in use until the returned file is closed.
pub fn make(dir: &Path) -> io::Result<(TempPath, File)> {
    // Locked before it has its name, so that no process finds it unlocked.
    let file = NamedTempFile::with_prefix_in(".metricsjob-", dir)?;
    // Without locks no process removes it.
    let _ = file.as_file().try_lock_shared();
    let name = file.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy().replacen(".metricsjob-", PREFIX, 1);
    let path = dir.join(name);
    let file = file.persist_noclobber(&path).map_err(|error| error.error)?;
    Ok((TempPath::try_from_path(path)?, file))
}

/// Removes, beside other work and once for each process, this user's files in `dir` that are in use no more.
pub fn sweep(dir: &Path) {
    static SWEPT: Once = Once::new();
    let dir = dir.to_owned();
    SWEPT.call_once(|| {
        let sweep = move || {
            for entry in fs::read_dir(dir)?.flatten() {
                let name = entry.file_name();
                if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                    let _ = remove_if_left(&entry.path());
                }
            }
            io::Result::Ok(())
        };
        // Files that are not removed now are removed by the next run.
        let _ = thread::Builder::new().name("leftovers".into()).spawn(sweep);
    });
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.uid() != Uid::effective().as_raw() {
        return Ok(());
    }
    // The kernel unlocks the files of a process that has ended.
    if files::open_to_read(path)?.try_lock().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(())
}
