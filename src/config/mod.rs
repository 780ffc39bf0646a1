//! Settings of a host: the files `metricsjob.toml`, and where else each setting can be given.
//!
//! - [`settings`]: the table of all settings. Options, variables, keys of job files and of the config file are held
//!   against it by a test, and the documentation is made of it.
//! - `file`: reads one config file.
//! - [`Config`]: what the files say together.
//!
//! It may use [`crate::job`], whose defaults it gives, and nothing of what runs jobs.

mod file;
pub mod settings;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::job::JobDefaults;

/// The config file of all users.
pub const SYSTEM_FILE: &str = "/etc/metricsjob/metricsjob.toml";

/// Settings of the config files. Mistakes in them are no error: what is wrong is left out, because no job must stay
/// undone for how it is monitored.
#[derive(Debug, Default)]
pub struct Config {
    /// The files that were read, the one with the last word last.
    pub files: Vec<PathBuf>,
    /// Settings of jobs that their definitions do not give.
    pub defaults: JobDefaults,
    /// All settings that were given, each once.
    pub given: Vec<Given>,
    /// What is wrong, each with its place.
    pub problems: Vec<String>,
}

/// A setting that a config file gives.
#[derive(Debug, Clone)]
pub struct Given {
    pub setting: &'static settings::Setting,
    /// The value as a variable would have it.
    pub text: String,
    /// `/etc/metricsjob/metricsjob.toml:3`.
    pub place: String,
}

/// Error: the config file that was named cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the config file {path}: {source}")]
pub struct ConfigError {
    path: PathBuf,
    source: io::Error,
}

impl Config {
    /// Reads the config file `named`, else [`SYSTEM_FILE`] and over it, key by key, the user's, where there are such.
    ///
    /// `variable` reads the environment.
    ///
    /// # Errors
    ///
    /// The one that was named cannot be read.
    pub fn load(
        named: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = named {
            config.read(path).map_err(|source| ConfigError {
                path: path.to_owned(),
                source,
            })?;
            return Ok(config);
        }
        let user = user_file(variable);
        for path in [Some(PathBuf::from(SYSTEM_FILE)), user]
            .into_iter()
            .flatten()
        {
            match config.read(&path) {
                Err(error) if is_absent(&error) => {}
                Err(error) => config
                    .problems
                    .push(format!("{}: {error}; the file is ignored", path.display())),
                Ok(()) => {}
            }
        }
        Ok(config)
    }

    /// The value of the setting `name`, if a file gives it.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.setting.name == name)
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        let text = file::read(path)?;
        file::parse(&text, path, self);
        self.files.push(path.to_owned());
        Ok(())
    }

    fn give(&mut self, given: Given) {
        self.given
            .retain(|lower| lower.setting.name != given.setting.name);
        self.given.push(given);
    }
}

/// Path of the user's config file: `$XDG_CONFIG_HOME/metricsjob/metricsjob.toml`, else below `~/.config`.
pub fn user_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let dir = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    dir.map(|dir| dir.join("metricsjob/metricsjob.toml"))
}

/// Returns true if the error means that there is nothing at a path.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
