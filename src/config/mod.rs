//! Settings of a host: the files `metricsjob.toml`, and where else each setting can be given.
//!
//! - [`settings`]: the table of all settings. Options, variables, keys of job files and of the config file are held
//!   against it by a test, and the documentation is made of it.
//! - `file`: reads one config file.
//! - [`receiver`]: who gets alerts.
//! - [`HostConfig`]: what the files say together.
//!
//! It may use [`crate::job`], whose defaults it gives, and nothing of what runs jobs.

mod file;
pub mod receiver;
pub mod settings;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use self::receiver::Receivers;
use crate::job::JobDefaults;
use crate::job::catalog;

/// The config file of all users.
pub const SYSTEM_FILE: &str = "/etc/metricsjob/metricsjob.toml";

/// A config file with comments, in which `instance` is true.
pub const TEMPLATE: &str = include_str!("template.toml");

/// Settings of the config files. Mistakes in them are no error: what is wrong is left out, because no job must stay
/// undone for how it is monitored.
#[derive(Debug, Default)]
pub struct HostConfig {
    /// The files that were read, the one with the last word last.
    pub files: Vec<PathBuf>,
    /// Settings of jobs that their definitions do not give.
    pub defaults: JobDefaults,
    /// All settings that were given, each once.
    pub given: Vec<Given>,
    /// Who gets alerts. Mistakes in this are errors of what is made of it, and of nothing else.
    pub receivers: Receivers,
    /// Mistakes in the files, each with its place.
    pub problems: Vec<String>,
    /// True if a file is ignored as a whole.
    pub is_incomplete: bool,
}

/// A setting that a config file gives.
#[derive(Debug, Clone)]
pub struct Given {
    pub setting: &'static settings::SettingSpec,
    /// The value as a variable would have it.
    pub text: String,
    /// `/etc/metricsjob/metricsjob.toml:3`.
    pub place: String,
}

/// Error: the config file that was named cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the config file {path}: {source}")]
pub struct HostConfigError {
    path: PathBuf,
    source: io::Error,
}

impl HostConfig {
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
    ) -> Result<HostConfig, HostConfigError> {
        let mut config = HostConfig::default();
        if let Some(path) = named {
            config.read(path).map_err(|source| HostConfigError {
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
                Err(error) if catalog::is_absent(&error) => {}
                Err(error) => {
                    let problem = format!("{}: {error}; the file is ignored", path.display());
                    config.problems.push(problem);
                    config.is_incomplete = true;
                }
                Ok(()) => {}
            }
        }
        Ok(config)
    }

    /// The value of `setting`, if a file gives it.
    pub fn get(&self, setting: &settings::SettingSpec) -> Option<&Given> {
        self.given.iter().find(|given| given.setting == setting)
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        let text = file::read(path)?;
        file::parse(&text, path, self);
        self.files.push(path.to_owned());
        Ok(())
    }

    fn give(&mut self, given: Given) {
        self.given.retain(|lower| lower.setting != given.setting);
        self.given.push(given);
    }
}

/// Path of the user's config file: `$XDG_CONFIG_HOME/metricsjob/metricsjob.toml`, else below `~/.config`.
pub fn user_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    catalog::user_dir(variable).map(|dir| dir.join("metricsjob.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> HostConfig {
        let mut config = HostConfig::default();
        file::parse(text, Path::new("m.toml"), &mut config);
        config
    }

    fn problems(text: &str) -> Vec<String> {
        config(text).problems
    }

    #[test]
    fn the_template() {
        let given = config(TEMPLATE);
        assert_eq!(given.problems, [""; 0]);
        let keys: Vec<String> = given
            .given
            .iter()
            .map(|given| given.setting.key())
            .collect();
        assert!(keys.contains(&"instance".to_owned()), "{keys:?}");

        let is_key = |line: &str| {
            line.strip_prefix("# ")
                .is_some_and(|rest| rest.contains(" = "))
        };
        let lines = TEMPLATE
            .lines()
            .map(|line| if is_key(line) { &line[2..] } else { line });
        let all = config(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(all.problems, [""; 0]);
        assert!(all.given.len() >= 14, "{:?}", all.given);
    }

    #[test]
    fn wrong_values_are_left_out() {
        let text = "push_timeout = '10'\nretries = -1\nmethod = 'get'\nlock = 'yes'\nprefix = '9'\n\
                    state_dir = 'here'\ncompress = 'zip'\noutbox_limit = 0\ngateway = 7\ntail = 2\nkeep = 'x'";
        let config = config(text);
        let lines: Vec<String> = (1..=9)
            .chain([11])
            .map(|line| format!("m.toml:{line}:"))
            .collect();
        assert_eq!(config.problems.len(), lines.len(), "{:#?}", config.problems);
        for (problem, line) in config.problems.iter().zip(lines) {
            assert!(problem.starts_with(&line), "{problem}");
            assert!(problem.ends_with("; it is ignored"), "{problem}");
        }
        assert_eq!(config.given.len(), 1);
        assert_eq!(config.defaults.tail, 2);
        assert_eq!(config.defaults.policy, crate::job::Policy::default());
    }

    #[test]
    fn unknown_keys() {
        let found = problems(
            "timout = 1\n[serv]\nlisten = ''\n[credentials]\ntoken = 'x'\n[serve]\nmethod = 'put'",
        );
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(
            found[0].contains("m.toml:1:1: unknown key \"timout\" (did you mean \"timeout\"?)")
        );
        assert!(
            found[1].contains("\"serv\" (did you mean \"serve\"?)"),
            "{}",
            found[1]
        );
        assert!(found[2].contains("m.toml:5:1: unknown key \"token\""));
        assert!(found[3].contains("m.toml:7:1: unknown key \"method\""));
    }

    #[test]
    fn bad_toml_is_ignored_as_a_whole() {
        let config = config("retries = 3\ngateway = \nlock = true");
        assert!(config.is_incomplete);
        assert_eq!(config.problems.len(), 1);
        assert!(
            config.problems[0].starts_with("m.toml:2:"),
            "{}",
            config.problems[0]
        );
        assert!(config.problems[0].ends_with("; the file is ignored"));
        assert!(config.given.is_empty());
        assert_eq!(config.defaults, JobDefaults::default());
    }

    #[test]
    fn receivers_of_a_later_file_take_the_place_of_all() {
        let mut config = config("[[receiver]]\nname = 'a'\nslack = {}");
        assert_eq!(config.receivers.problems.len(), 1);
        assert_eq!(config.problems, [""; 0]);
        let user = "[[receiver]]\nname = 'b'\nwebhook.url = 'http://h/'";
        file::parse(user, Path::new("user.toml"), &mut config);
        file::parse("retries = 1", Path::new("more.toml"), &mut config);
        assert_eq!(config.receivers.names(), "b");
        assert_eq!(config.receivers.problems, [""; 0]);
        assert!(!config.is_incomplete);
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        let mut config = config("retries = 3\nkeep = 5\n[grouping]\na = '1'\nb = '2'");
        file::parse(
            "retries = 4\n[grouping]\nb = '3'",
            Path::new("user.toml"),
            &mut config,
        );
        assert_eq!(config.defaults.policy.retries, 4);
        assert_eq!(config.defaults.policy.keep, 5);
        let labels = config.defaults.grouping.labels().unwrap();
        assert_eq!(labels, [("a".into(), "1".into()), ("b".into(), "3".into())]);
        let places: Vec<&str> = config
            .given
            .iter()
            .map(|given| given.place.as_str())
            .collect();
        assert_eq!(places.len(), 3);
        assert!(
            places.contains(&"m.toml:2:1") && places.contains(&"user.toml:1:1"),
            "{places:?}"
        );
    }
}
