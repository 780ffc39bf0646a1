//! The config file of the host, as the lowest level of what options can be.
//!
//! Options take their values from variables where they are not typed. A config file's settings are lent to the
//! variables that are not set, while the command line is parsed, and taken back before anything else runs: neither a
//! command that we run nor a library that we use finds them in its environment.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::exit::usage;
use super::{completion, console};
use metricsjob::config::HostConfig;
use metricsjob::config::settings::SETTINGS;
use metricsjob::run::RUN_VARIABLE;

/// The variable that names the config file.
pub const VARIABLE: &str = "METRICSJOB_CONFIG";

/// Variables of ours that are no setting with an option of the same name.
const OTHER_VARIABLES: [&str; 8] = [
    VARIABLE,
    completion::VARIABLE,
    "METRICSJOB_BASIC_AUTH",
    "METRICSJOB_BEARER_TOKEN",
    "METRICSJOB_METRICS",
    "METRICSJOB_JOB",
    "METRICSJOB_RUN_ID",
    "METRICSJOB_ATTEMPT",
];

/// The variables that a config file has given a value, with the place of that.
static LENT: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Reads the config file: the one that was `typed`, else the one that the variable names, else the usual ones.
///
/// # Errors
///
/// The one that was typed cannot be read.
pub fn load(typed: Option<&Path>) -> anyhow::Result<HostConfig> {
    if typed.is_some() {
        return HostConfig::load(typed, |name| env::var_os(name)).map_err(usage);
    }
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    let loaded = HostConfig::load(named.as_deref(), |name| env::var_os(name));
    // A job must not stay undone for how it is monitored.
    Ok(loaded.unwrap_or_else(|error| HostConfig {
        problems: vec![format!("{VARIABLE}: {error}; it is ignored")],
        is_incomplete: true,
        ..HostConfig::default()
    }))
}

/// Parses by `parse`, with the settings of `config` lent to their variables. To be called while there is only this
/// thread.
pub fn lend<T>(config: &HostConfig, parse: impl FnOnce() -> T) -> T {
    let mut lent = BTreeMap::new();
    for given in &config.given {
        let Some(variable) = given.setting.variable() else {
            continue;
        };
        if given.setting.is_default_of_jobs() || env::var_os(&variable).is_some() {
            continue;
        }
        // SAFETY: there is only this thread so far.
        unsafe { env::set_var(&variable, &given.text) };
        lent.insert(
            variable,
            format!("{}: {}", given.place, given.setting.key()),
        );
    }
    let lent = LENT.get_or_init(|| lent);
    let parsed = parse();
    for variable in lent.keys() {
        // SAFETY: as above; parsing starts no thread.
        unsafe { env::remove_var(variable) };
    }
    parsed
}

/// Returns true if a config file has given `variable` its value.
pub fn is_lent(variable: &str) -> bool {
    LENT.get().is_some_and(|lent| lent.contains_key(variable))
}

/// The place that gives `variable` its value: itself, or a key of a config file.
pub fn origin(variable: &str) -> &str {
    let lent = LENT.get().and_then(|lent| lent.get(variable));
    lent.map_or(variable, String::as_str)
}

/// Warns of what is wrong in the config files, and of variables that look like slips. A process that a job of ours has
/// started says nothing: the process that started the job has warned already.
pub fn warn(config: &HostConfig) {
    if env::var_os(RUN_VARIABLE).is_some() {
        return;
    }
    for problem in &config.problems {
        console::warning(problem);
    }
    for slip in slips() {
        console::warning(&slip);
    }
}

/// Variables that look like slips, each in a sentence.
pub fn slips() -> impl Iterator<Item = String> {
    env::vars_os().filter_map(|(name, _)| {
        let meant = misspelt(&name)?;
        let name = name.to_string_lossy();
        Some(format!(
            "the variable {name} is not a setting of metricsjob and is ignored: did you mean {meant}?"
        ))
    })
}

/// The variable that `name` is within two letters of, if it is no setting itself.
fn misspelt(name: &OsString) -> Option<String> {
    let name = name.to_str()?;
    name.starts_with("METRIC").then_some(())?;
    let settings = SETTINGS.iter().filter_map(|setting| setting.variable());
    let ours = settings.chain(OTHER_VARIABLES.map(str::to_owned));
    let distances = ours.map(|ours| (strsim::damerau_levenshtein(name, &ours), ours));
    let (distance, nearest) = distances.min()?;
    (1..=2).contains(&distance).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory};

    use super::*;
    use crate::cli::Cli;
    use metricsjob::job::file;

    /// Option and variable of each option that has a variable, in all subcommands.
    fn options(command: &Command, found: &mut BTreeSet<(String, String)>) {
        for arg in command.get_arguments() {
            if let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) {
                let variable = variable.to_string_lossy().into_owned();
                found.insert((format!("--{long}"), variable));
            }
        }
        for command in command.get_subcommands() {
            options(command, found);
        }
    }

    #[test]
    fn the_table_says_what_there_is() {
        let mut command = Cli::command();
        command.build();
        let mut found = BTreeSet::new();
        options(&command, &mut found);
        found.retain(|(_, variable)| variable != VARIABLE);
        let listed = SETTINGS.iter();
        let listed = listed.filter_map(|setting| Some((setting.option()?, setting.variable()?)));
        // Its values are merged over all levels, which clap cannot.
        let listed: BTreeSet<_> = listed
            .filter(|(option, _)| option != "--grouping")
            .collect();
        assert_eq!(found, listed);

        let of_jobs: BTreeSet<&str> = file::SHARED_KEYS
            .into_iter()
            .chain(["gateway", "to"])
            .collect();
        let listed = SETTINGS.iter().filter(|setting| setting.is_in_jobs());
        assert_eq!(of_jobs, listed.map(|setting| setting.name).collect());
        assert!(of_jobs.is_subset(&file::keys().collect()));
    }

    #[test]
    fn slips() {
        let meant = |name: &str| misspelt(&name.into());
        let timeout = Some("METRICSJOB_TIMEOUT".to_owned());
        assert_eq!(meant("METRICSJOB_TIMOUT"), timeout);
        assert_eq!(meant("METRICSJOB_TIMEOUTS"), timeout);
        assert_eq!(meant("METRICJOB_TIMEOUT"), timeout);
        assert_eq!(meant("METRICSJOB_GATEWAY"), None);
        assert_eq!(meant("METRICSJOB_RUN_ID"), None);
        assert_eq!(meant("METRICSJOB_MY_OWN"), None);
        assert_eq!(meant("METRICS_INTERVAL_SECONDS"), None);
        assert_eq!(meant("TIMEOUT"), None);
    }
}
