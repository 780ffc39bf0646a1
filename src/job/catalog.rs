//! Where jobs are found.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::builtin;
use super::defaults::JobDefaults;
use super::definition::{DefinedIn, Job};
use super::file::{self, JobFileError};
use super::suggest;
use metricsjob_system::{files, reason, trust};

/// Where jobs for all users are.
const SYSTEM_DIR: &str = "/etc/metricsjob/jobs";

/// Extension of a job file's name.
const EXTENSION: &str = "toml";

/// A job file that is larger is not one. It also bounds the work for a file full of mistakes, each of
/// which is looked up in the text.
const MAX_BYTES: u64 = 128 * 1024;

/// The directories that hold job files, the first found wins, and behind them the jobs that are
/// compiled in.
#[derive(Debug, Clone)]
pub struct Catalog {
    dirs: Vec<PathBuf>,
    /// True if the first one was given explicitly, so that it must exist.
    is_first_given: bool,
    defaults: JobDefaults,
}

/// Why there is no job of a name.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("no job is called {name:?}{hint}; looked in {places}")]
    Unknown {
        name: String,
        hint: String,
        places: String,
    },
    #[error("could not read the job file {path}: {}", reason(.source))]
    Read { path: PathBuf, source: io::Error },
    #[error("could not read the jobs directory {path}: {}", reason(.source))]
    Dir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] JobFileError),
}

/// A definition that was found, readable or not.
pub struct Found {
    pub name: String,
    pub defined_in: DefinedIn,
    pub job: Result<Job, CatalogError>,
}

impl Catalog {
    /// The directories in their order: `jobs_dir` if given, `./jobs`,
    /// `$XDG_CONFIG_HOME/metricsjob/jobs` (else `~/.config/…`), `/etc/metricsjob/jobs`. One that
    /// does not exist is passed over, but for `jobs_dir`.
    ///
    /// `variable` reads the environment. `defaults` are the settings that no definition gives.
    ///
    /// # Errors
    ///
    /// `jobs_dir` is no readable directory.
    pub fn new(
        jobs_dir: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
        defaults: JobDefaults,
    ) -> Result<Self, CatalogError> {
        if let Some(path) = &jobs_dir {
            fs::read_dir(path).map_err(|source| CatalogError::Dir {
                path: path.clone(),
                source,
            })?;
        }
        let is_first_given = jobs_dir.is_some();
        let dirs = jobs_dir
            .into_iter()
            .chain([PathBuf::from("jobs")])
            .chain(user_dir(variable).map(|dir| dir.join("jobs")))
            .chain([PathBuf::from(SYSTEM_DIR)])
            .collect();
        Ok(Catalog {
            dirs,
            is_first_given,
            defaults,
        })
    }

    /// The job called `name`: the first file `NAME.toml`, else the one that is compiled in. A name
    /// with a slash, or one that ends in `.toml`, is the path of a file.
    pub fn find(&self, name: &str) -> Result<Job, CatalogError> {
        self.find_with_text(name).map(|(job, _)| job)
    }

    /// The job as [`find`](Self::find) finds it, with the text of its definition.
    pub fn find_with_text(&self, name: &str) -> Result<(Job, String), CatalogError> {
        if name.contains('/') || Path::new(name).extension().is_some_and(|e| e == EXTENSION) {
            return read_given(Path::new(name), &self.defaults);
        }
        for dir in &self.dirs {
            let path = dir.join(format!("{name}.{EXTENSION}"));
            // Whatever is there is meant: another job of the name must not run in its place.
            match path.symlink_metadata() {
                Err(error) if is_absent(&error) => {}
                _ => return load(&path, &self.defaults),
            }
        }
        match builtin::definition(name) {
            Some(text) => Ok((compiled_in(name, text, &self.defaults)?, text.to_owned())),
            None => Err(self.unknown(name)),
        }
    }

    /// All jobs that [`find`](Self::find) finds by name, sorted by name.
    ///
    /// # Errors
    ///
    /// A directory cannot be read, or the one that was given has gone.
    pub fn list(&self) -> Result<Vec<Found>, CatalogError> {
        let mut found = BTreeMap::new();
        for (place, dir) in self.dirs.iter().enumerate() {
            let must_be_there = place == 0 && self.is_first_given;
            for path in job_files(dir, must_be_there)? {
                let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                    continue;
                };
                found.entry(name.to_owned()).or_insert_with(|| Found {
                    name: name.to_owned(),
                    defined_in: DefinedIn::File(path.clone()),
                    job: load(&path, &self.defaults).map(|(job, _)| job),
                });
            }
        }
        for (name, text) in builtin::definitions() {
            found.entry(name.to_owned()).or_insert_with(|| Found {
                name: name.to_owned(),
                defined_in: DefinedIn::CompiledIn,
                job: compiled_in(name, text, &self.defaults),
            });
        }
        Ok(found.into_values().collect())
    }

    fn unknown(&self, name: &str) -> CatalogError {
        let names: Vec<String> = self
            .list()
            .unwrap_or_default()
            .into_iter()
            .map(|found| found.name)
            .collect();
        let places: Vec<String> = self
            .dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        CatalogError::Unknown {
            name: name.to_owned(),
            hint: suggest::hint(name, names.iter().map(String::as_str)),
            places: places.join(", "),
        }
    }
}

/// Reads the job file at `path` that a person has named; the job has the file's name. It may be a pipe, such as that of
/// `<(generate)`. One that is called `*.toml` is a file like those of a directory, by whose pattern it may have been
/// named.
pub fn load_given(path: &Path, defaults: &JobDefaults) -> Result<Job, CatalogError> {
    read_given(path, defaults).map(|(job, _)| job)
}

fn read_given(path: &Path, defaults: &JobDefaults) -> Result<(Job, String), CatalogError> {
    if path.extension().is_some_and(|e| e == EXTENSION) {
        load(path, defaults)
    } else {
        read(path, defaults, |path| {
            let file = File::open(path)?;
            if file.metadata()?.is_file() {
                trust::check_for_root(path)?;
            }
            Ok(file)
        })
    }
}

/// Reads the job file at `path` in a directory of jobs, where anything may be.
fn load(path: &Path, defaults: &JobDefaults) -> Result<(Job, String), CatalogError> {
    read(path, defaults, |path| {
        let file = files::open_to_read(path)?;
        trust::check_for_root(path)?;
        Ok(file)
    })
}

fn read(
    path: &Path,
    defaults: &JobDefaults,
    open: impl FnOnce(&Path) -> io::Result<File>,
) -> Result<(Job, String), CatalogError> {
    let failed = |source| CatalogError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("it is larger than {MAX_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1;
        JobFileError {
            problems: vec![format!("{}:{line}: the line is not UTF-8", path.display())],
        }
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let job = file::parse(
        &text,
        path,
        &name,
        DefinedIn::File(path.to_owned()),
        defaults,
    )?;
    Ok((job, text))
}

fn compiled_in(name: &str, text: &str, defaults: &JobDefaults) -> Result<Job, CatalogError> {
    let shown = format!("compiled-in {name}.{EXTENSION}");
    Ok(file::parse(
        text,
        Path::new(&shown),
        name,
        DefinedIn::CompiledIn,
        defaults,
    )?)
}

/// Directory of the user's own jobs and settings: `$XDG_CONFIG_HOME/metricsjob`, else `~/.config/metricsjob`.
pub fn user_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let dir = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    dir.map(|dir| dir.join("metricsjob"))
}

/// Returns true if the error means that there is nothing at a path.
pub fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The job files in `dir`, sorted; none where there is no such directory, unless it must be there.
fn job_files(dir: &Path, must_be_there: bool) -> Result<Vec<PathBuf>, CatalogError> {
    let failed = |source| CatalogError::Dir {
        path: dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) && !must_be_there => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|e| e == EXTENSION) && !path.is_dir() && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
