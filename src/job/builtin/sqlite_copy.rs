//! An online copy of a SQLite database, by the library's backup API.
//!
//! <https://www.sqlite.org/backup.html>

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::{TempDir, TempPath};

use metricsjob_system::{files, reason};

/// Size of a finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// In all its tables but SQLite's own and virtual ones.
    pub rows: u64,
    /// The file's size.
    pub bytes: u64,
}

/// Why there is no new copy. The destination is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("could not read the source {path}: {}", reason(.source))]
    Source { path: PathBuf, source: io::Error },
    #[error("the source {path} is no SQLite database: it is {what}")]
    NoDatabase { path: PathBuf, what: &'static str },
    #[error("could not back up {path}: {source}")]
    Backup {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "could not back up {path}: another connection has kept it locked for {}",
        humantime::format_duration(LOCK_TIMEOUT)
    )]
    Locked { path: PathBuf },
    #[error("the source {path} is corrupt: {problem}")]
    Corrupt { path: PathBuf, problem: String },
    #[error("the source and the destination are the same file: {path}")]
    SameFile { path: PathBuf },
    #[error(
        "the destination {dest} has {beside} beside it, which would change the copy: \
         close what uses it, or remove that file"
    )]
    InUse { dest: PathBuf, beside: PathBuf },
    #[error("it was interrupted, and the destination is as it was")]
    Interrupted,
    #[error("could not write the destination {path}: {}", reason(.source))]
    Dest { path: PathBuf, source: io::Error },
    #[error("the destination {dest} exists already")]
    Exists { dest: PathBuf },
}

/// How a copy takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Only the owner may read it, regardless of the mode of the source.
    pub is_private: bool,
    /// It may take the place of a file.
    pub may_replace: bool,
}

/// How every SQLite database begins: <https://www.sqlite.org/fileformat.html>, section 1.2.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Suffixes of the files that SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long a lock of another connection is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait before a locked source is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// How much is copied between two reports of progress.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// How often a copy that other connections made start over is tried in steps, before it is done in
/// a single one, which they have to wait for.
const RESTARTS: u32 = 3;

/// Gets the phase, and how much is done of how much (0: unknown). Returns false to abort the copy.
type CopyProgress<'a> = dyn FnMut(&'static str, u64, u64) -> bool + 'a;

/// Copies the database `source` as it is at one moment, while other connections continue to write,
/// checks the copy's integrity and puts it at `dest` in one step, as `placement` says, synced to disk.
///
/// A source in WAL mode is read in one snapshot and its writers never wait. In the rollback modes a
/// commit of theirs makes the copy start over; after three times they have to wait for it.
pub fn copy(
    source: &Path,
    dest: &Path,
    placement: Placement,
    progress: &mut CopyProgress<'_>,
) -> Result<Copied, CopyError> {
    let source_file = check_source(source)?;
    let Placement {
        is_private,
        may_replace,
    } = placement;
    let exists = |dest: &Path| CopyError::Exists {
        dest: dest.to_owned(),
    };
    if !may_replace && dest.symlink_metadata().is_ok() {
        return Err(exists(dest));
    }
    let dest = resolve(dest, &source_file, source)?;
    let failed = |source| CopyError::Dest {
        path: dest.clone(),
        source,
    };
    let parent = match dest.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let work = WorkDir::new(parent).map_err(failed)?;
    let copy = work.dir.path().join("copy.db");
    let rows = copy_and_check(source, &copy, progress)?;

    check_unused(&dest)?;
    // A user who cannot read the source must not be able to read its copy, regardless of the mode of the
    // file that it replaces.
    let of_source = source_file.mode();
    let mode = fs::metadata(&dest).map_or(of_source, |old| old.mode() & of_source);
    let mode = if is_private { 0o600 } else { mode & 0o777 };
    let publish = || {
        fs::set_permissions(&copy, Permissions::from_mode(mode))?;
        let file = File::open(&copy)?;
        file.sync_all()?;
        if may_replace {
            fs::rename(&copy, &dest)?
        } else {
            TempPath::try_from_path(&copy)?.persist_noclobber(&dest)?
        }
        File::open(parent)?.sync_all()?;
        Ok(file.metadata()?.len())
    };
    let bytes = publish().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(&dest),
        _ => failed(error),
    })?;
    Ok(Copied { rows, bytes })
}

/// Directory in which a copy is made, so that the files that SQLite puts beside the copy are removed with
/// it; in the file system of the destination, so that the copy can be renamed.
struct WorkDir {
    dir: TempDir,
    /// Locked for as long as the copy is made.
    _lock: File,
}

impl WorkDir {
    const PREFIX: &str = ".metricsjob-backup-";
    const LOCK: &str = "lock";

    /// A new one in `parent`. Directories that killed processes left there are removed.
    fn new(parent: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(Self::PREFIX.as_bytes()) {
                let left = files::open_to_read(&entry.path().join(Self::LOCK));
                // The kernel unlocks the files of a process that has ended.
                if left.is_ok_and(|lock| lock.try_lock().is_ok()) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        let dir = tempfile::Builder::new()
            .prefix(Self::PREFIX)
            .tempdir_in(parent)?;
        // Locked before it has its name, so that no process finds it unlocked.
        let mut lock = tempfile::NamedTempFile::new_in(dir.path())?;
        lock.as_file_mut().lock()?;
        let lock = lock.persist(dir.path().join(Self::LOCK))?;
        Ok(WorkDir { dir, _lock: lock })
    }
}

fn check_source(path: &Path) -> Result<fs::Metadata, CopyError> {
    let failed = |source| CopyError::Source {
        path: path.to_owned(),
        source,
    };
    let no_database = |what| CopyError::NoDatabase {
        path: path.to_owned(),
        what,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(no_database("not a file"));
    }
    // To SQLite an empty or tiny file is a database without tables; as a source it is one that got
    // lost.
    let mut head = Vec::new();
    files::open_to_read(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
        .map_err(failed)?;
    match head.as_slice() {
        [] => Err(no_database("empty")),
        MAGIC => Ok(metadata),
        _ => Err(no_database("something else, or encrypted")),
    }
}

/// The file that is to be replaced: the target of `dest`, if that is a link.
fn resolve(dest: &Path, source_file: &fs::Metadata, source: &Path) -> Result<PathBuf, CopyError> {
    let failed = |source| CopyError::Dest {
        path: dest.to_owned(),
        source,
    };
    let dest = match dest.canonicalize() {
        Ok(real) => {
            let old = fs::metadata(&real).map_err(failed)?;
            if (old.dev(), old.ino()) == (source_file.dev(), source_file.ino()) {
                return Err(CopyError::SameFile {
                    path: source.to_owned(),
                });
            }
            if !old.is_file() {
                return Err(failed(io::Error::other("it is not a file")));
            }
            real
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dest.is_symlink() {
                return Err(failed(io::Error::other("it is a link to nothing")));
            }
            dest.to_owned()
        }
        Err(error) => return Err(failed(error)),
    };
    check_unused(&dest)?;
    Ok(dest)
}

/// Checks that no process has `dest` open as a database, as far as files show it. Such a process would
/// continue with the files beside it, and SQLite would apply those to the new database.
fn check_unused(dest: &Path) -> Result<(), CopyError> {
    for suffix in BESIDE {
        let beside = beside(dest, suffix);
        if beside.symlink_metadata().is_ok() {
            return Err(CopyError::InUse {
                dest: dest.to_owned(),
                beside,
            });
        }
    }
    Ok(())
}

/// The file beside `database` whose name has `suffix` at its end.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut beside = database.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// Makes the checked copy and returns how many rows it holds.
fn copy_and_check(
    source: &Path,
    copy: &Path,
    progress: &mut CopyProgress<'_>,
) -> Result<u64, CopyError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => CopyError::NoDatabase {
            path: source.to_owned(),
            what: "something else, or encrypted",
        },
        Some(ErrorCode::DatabaseCorrupt) => CopyError::Corrupt {
            path: source.to_owned(),
            problem: error.to_string(),
        },
        _ => CopyError::Backup {
            path: source.to_owned(),
            source: error,
        },
    };
    // Read and write, because a database that crashed has to be recovered before it can be read.
    // Where that is not permitted SQLite opens it for reading.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // As an absolute path, because SQLite has other ideas about `:memory:` and `file:…`.
    let absolute = source.canonicalize().map_err(|error| CopyError::Source {
        path: source.to_owned(),
        source: error,
    })?;
    for suffix in BESIDE {
        // SQLite opens them without looking.
        let beside = beside(&absolute, suffix);
        files::check_regular_if_there(&beside).map_err(|error| CopyError::Source {
            path: beside,
            source: error,
        })?;
    }
    let from = Connection::open_with_flags(absolute, flags).map_err(failed)?;
    let mut to = Connection::open(copy).map_err(failed)?;
    // It is not needed before it is renamed, and before that it is synced as a whole.
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        .map_err(failed)?;
    match transfer(&from, &mut to, progress).map_err(failed)? {
        Transfer::Complete => {}
        Transfer::Interrupted => return Err(CopyError::Interrupted),
        Transfer::Locked => {
            return Err(CopyError::Locked {
                path: source.to_owned(),
            });
        }
    }
    drop(from);

    if !progress("checking the copy", 0, 0) {
        return Err(CopyError::Interrupted);
    }
    if let Some(problem) = integrity_problem(&to).map_err(failed)? {
        return Err(CopyError::Corrupt {
            path: source.to_owned(),
            problem: problem.replace('\n', " "),
        });
    }
    let rows = count_rows(&to).map_err(failed)?;
    to.close().map_err(|(_, error)| failed(error))?;
    Ok(rows)
}

/// How a transfer ended.
enum Transfer {
    Complete,
    /// The source stayed locked for too long.
    Locked,
    Interrupted,
}

/// Copies all pages.
fn transfer(
    from: &Connection,
    to: &mut Connection,
    progress: &mut CopyProgress<'_>,
) -> rusqlite::Result<Transfer> {
    let mut locked_since = None;
    // A lock is waited for here, and not in the library, so that an interruption ends the waiting.
    from.busy_timeout(Duration::ZERO)?;
    let page_bytes = loop {
        match begin(from) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            begun => break begun?,
        }
        if !wait_for_lock(&mut locked_since) {
            return Ok(Transfer::Locked);
        }
        if !progress("waiting for a lock", 0, 0) {
            return Ok(Transfer::Interrupted);
        }
    };
    let step_pages = (STEP_BYTES / page_bytes.max(1)).max(1) as i32;
    let backup = Backup::new(from, to)?;
    let (mut restarts, mut remaining) = (0, i32::MAX);
    loop {
        let pages = if restarts < RESTARTS { step_pages } else { -1 };
        match backup.step(pages)? {
            StepResult::Done => return Ok(Transfer::Complete),
            StepResult::More => {
                locked_since = None;
                // A step that is not the first of a new start leaves fewer than the one before.
                if backup.progress().remaining >= remaining {
                    restarts += 1;
                }
                remaining = backup.progress().remaining;
            }
            // Busy, locked, and whatever else a later SQLite may add.
            _ => {
                if !wait_for_lock(&mut locked_since) {
                    return Ok(Transfer::Locked);
                }
            }
        }
        let now = backup.progress();
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or_default() * page_bytes;
        let done = bytes(now.pagecount - now.remaining);
        if !progress("bytes", done, bytes(now.pagecount)) {
            return Ok(Transfer::Interrupted);
        }
    }
}

/// Reads the page size, in bytes, and holds on to the snapshot of a source in WAL mode: so commits
/// of others do not start the copy over.
fn begin(from: &Connection) -> rusqlite::Result<u64> {
    let journal_mode: String = from.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if journal_mode == "wal" {
        if from.is_autocommit() {
            from.execute_batch("BEGIN")?;
        }
        from.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    }
    from.query_row("PRAGMA page_size", [], |row| row.get(0))
}

/// Waits a moment. Returns true if another try is worth it, because the first one at `since` is not too
/// long ago.
fn wait_for_lock(since: &mut Option<Instant>) -> bool {
    sleep(LOCK_PAUSE);
    since.get_or_insert_with(Instant::now).elapsed() < LOCK_TIMEOUT
}

/// Finds the first problem of the file, `None` if it is sound. Rows that break a constraint of the
/// schema are the application's matter: a copy that has them is a good copy.
fn integrity_problem(database: &Connection) -> rusqlite::Result<Option<String>> {
    let is_constraint = |problem: &str| {
        problem.starts_with("CHECK constraint failed in ") || problem.starts_with("NULL value in ")
    };
    let mut check = database.prepare("PRAGMA integrity_check(100000)")?;
    let mut lines = check.query([])?;
    while let Some(line) = lines.next()? {
        let problem: String = line.get(0)?;
        if problem != "ok" && !is_constraint(&problem) {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

fn count_rows(database: &Connection) -> rusqlite::Result<u64> {
    let tables: Vec<String> = database
        .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut rows = 0;
    for table in tables {
        let quoted = table.replace('"', "\"\"");
        let count: u64 =
            database.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| {
                row.get(0)
            })?;
        rows += count;
    }
    Ok(rows)
}
