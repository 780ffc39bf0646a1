//! JUnit XML files that the command writes: the results of its tests.
//!
//! - `suites`: the suites of one file.

mod suites;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub use self::suites::SuiteCounts;
use self::suites::{JunitError, JunitSuite, parse};
use crate::job::{JunitPattern, Work};
use metricsjob_system::files;
use metricsjob_system::panics::locked;
use metricsjob_system::reason;

/// Maximum size of a file, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The files that match the patterns of a job.
pub struct JunitFiles {
    patterns: Vec<JunitPattern>,
    /// Where the command runs, if that is not where we are.
    directory: Option<PathBuf>,
    /// The files that were there when the attempt began. Those that stay as they are were written by others before.
    before: Mutex<HashMap<PathBuf, FileStamp>>,
}

/// Distinguishes a file from its earlier and later contents. Unlike a comparison of its time with our clock this holds
/// on a file server whose clock differs, and for files that were copied with their times.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// Sums over all files, by the name of the suite, and the warnings.
#[derive(Default)]
pub struct JunitReading {
    pub suites: BTreeMap<String, SuiteCounts>,
    pub warnings: Vec<String>,
}

/// Files that match one pattern.
struct Matches {
    paths: Vec<PathBuf>,
    /// Directories that could not be read.
    problems: Vec<String>,
}

/// Reason why a file is left out.
#[derive(Debug, thiserror::Error)]
enum FileProblem {
    #[error("could not read it: {}", reason(.0))]
    Io(#[from] io::Error),
    #[error(
        "it is larger than 16 MiB: write one file for each suite, or keep the tests' output out of it"
    )]
    TooLarge,
    #[error("it is not in UTF-8: let the test runner write UTF-8")]
    Encoding,
    #[error(transparent)]
    Content(#[from] JunitError),
}

impl JunitFiles {
    /// The files that `work` asks for, if it does.
    pub fn of(work: &Work) -> Option<Self> {
        let Work::Command(command) = work else {
            return None;
        };
        (!command.junit.is_empty()).then(|| JunitFiles {
            patterns: command.junit.clone(),
            directory: command.working_directory.clone(),
            before: Mutex::default(),
        })
    }

    /// Remembers the files that are there before an attempt.
    pub fn attempt_begins(&self) {
        let matches = self.patterns.iter().map(|pattern| self.matches(pattern));
        let paths = matches.flat_map(|matches| matches.paths);
        let stamps = paths.filter_map(|path| Some((path.clone(), FileStamp::of(&path).ok()?)));
        *locked(&self.before) = stamps.collect();
    }

    /// Reads the files that the last attempt has written, as long as `goes_on` returns true.
    pub fn read(&self, goes_on: impl Fn() -> bool) -> JunitReading {
        let before = locked(&self.before);
        let mut reading = JunitReading::default();
        let mut seen = BTreeSet::new();
        for pattern in &self.patterns {
            let Matches { paths, problems } = self.matches(pattern);
            reading.warnings.extend(problems);
            if paths.is_empty() {
                reading.warnings.push(self.no_match(pattern));
            }
            let mut stale = Vec::new();
            for path in paths {
                if !goes_on() {
                    let warning = "the JUnit files are not read, because a signal asks for the end";
                    return JunitReading {
                        warnings: vec![warning.into()],
                        ..JunitReading::default()
                    };
                }
                // Several patterns can match one file.
                if !seen.insert(path.clone()) {
                    continue;
                }
                let now = FileStamp::of(&path).ok();
                if now.is_some() && now.as_ref() == before.get(&path) {
                    stale.push(path);
                } else {
                    reading.add(&path);
                }
            }
            reading.warnings.extend(left_out(&stale));
        }
        reading
    }

    fn matches(&self, pattern: &JunitPattern) -> Matches {
        let mut matches = Matches {
            paths: Vec::new(),
            problems: Vec::new(),
        };
        let inside = match &self.directory {
            Some(directory) => pattern.inside(directory),
            None => Some(pattern.as_str().to_owned()),
        };
        // The pattern itself was checked when the job was read.
        let Some(Ok(found)) = inside.map(|pattern| glob::glob(&pattern)) else {
            return matches;
        };
        for found in found {
            match found {
                Ok(path) => matches.paths.push(path),
                Err(error) => matches.problems.push(format!(
                    "junit {:?}: could not look into {}: {}",
                    pattern.as_str(),
                    error.path().display(),
                    reason(error.error())
                )),
            }
        }
        matches
    }

    fn no_match(&self, pattern: &JunitPattern) -> String {
        let place = match &self.directory {
            _ if Path::new(pattern.as_str()).is_absolute() => String::new(),
            Some(directory) => format!(" in {}", directory.display()),
            None => match std::env::current_dir() {
                Ok(directory) => format!(" in {}", directory.display()),
                Err(_) => String::new(),
            },
        };
        format!(
            "junit {:?} matches no file{place}: no test results are reported of it (does the command write them there?)",
            pattern.as_str()
        )
    }
}

/// The warning about files that were there before, if there are any.
fn left_out(stale: &[PathBuf]) -> Option<String> {
    let first = stale.first()?.display();
    let (others, are, they, were) = match stale.len() - 1 {
        0 => (String::new(), "is", "it", "was"),
        1 => (" and 1 other file".into(), "are", "they", "were"),
        count => (format!(" and {count} other files"), "are", "they", "were"),
    };
    Some(format!(
        "{first}{others} {are} left out: {they} {were} there before and the command has not written {they2}; remove old results before the tests",
        they2 = if stale.len() == 1 { "it" } else { "them" }
    ))
}

impl JunitReading {
    fn add(&mut self, path: &Path) {
        match read_file(path) {
            Ok(suites) => {
                for JunitSuite { name, counts } in suites {
                    *self.suites.entry(name).or_default() += counts;
                }
            }
            Err(problem) => {
                let path = path.display();
                self.warnings.push(format!("{path} is left out: {problem}"));
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<JunitSuite>, FileProblem> {
    // The command may have put anything there.
    let file = files::open_to_read(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileProblem::TooLarge);
    }
    let text = str::from_utf8(&bytes).map_err(|_| FileProblem::Encoding)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(parse(text, &name)?)
}

impl FileStamp {
    fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(FileStamp {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}
