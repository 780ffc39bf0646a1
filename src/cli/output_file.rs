//! A file for the JSON of a run.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::console;
use super::exit::usage;

/// A file for the JSON of a run, opened before that begins.
pub struct OutputFile {
    path: PathBuf,
    file: File,
}

impl OutputFile {
    /// Empties the file, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be written, which is wrong usage.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        match File::create(path) {
            Ok(file) => Ok(OutputFile {
                path: path.to_owned(),
                file,
            }),
            Err(error) => Err(usage(anyhow::anyhow!(
                "--output-file {}: {}",
                path.display(),
                reason(&error)
            ))),
        }
    }

    /// Writes `json`. A failure is warned about: the exit code is the job's.
    pub fn write(mut self, json: &Json) {
        if let Err(error) = self.file.write_all(format!("{json:#}\n").as_bytes()) {
            let (path, reason) = (self.path.display(), reason(&error));
            console::warning(&format!("could not write the result to {path}: {reason}"));
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such directory".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "no space is left".into(),
        _ => error.to_string(),
    }
}
