//! Completion of job names, parameters and groups while a command line is typed.
//!
//! The shell calls this program with [`VARIABLE`] set and the words typed so far behind `--`. Nothing is written to, and
//! where anything is wrong there are no candidates and no message.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;

use super::host_config;
use metricsjob::job::catalog::Catalog;
use metricsjob::job::{JobDefaults, Work};
use metricsjob_metrics::GroupingKey;
use metricsjob_state::dir::default_dir;
use metricsjob_state::{FILE_NAME, State};

/// Environment variable by which a completion script asks. A general name such as `COMPLETE` may be set for another
/// program, and a job must run all the same.
pub const VARIABLE: &str = "METRICSJOB_COMPLETE";

/// A larger database takes longer to read than anybody waits for a completion.
const MAX_STATE: u64 = 64 << 20;

/// How many recorded runs are looked at for names of jobs.
const RECENT_RUNS: u32 = 200;

/// Answers a completion script. Returns false if this is an ordinary call.
pub fn answer(command: fn() -> Command) -> bool {
    if env::var_os(VARIABLE).is_none() {
        return false;
    }
    let asked = CompleteEnv::with_factory(command).var(VARIABLE);
    let directory = env::current_dir().ok();
    // A message would end up in the line that is being typed.
    let complete = || asked.try_complete(env::args_os(), directory.as_deref());
    let config = host_config::load(None).unwrap_or_default();
    host_config::lend(&config, complete).unwrap_or(true)
}

/// The jobs of the catalog.
pub fn jobs() -> Vec<CompletionCandidate> {
    let found = catalog().and_then(|catalog| catalog.list().ok());
    let found = found.unwrap_or_default().into_iter();
    found
        .map(|found| {
            let description = found.job.ok().and_then(|job| job.description);
            CompletionCandidate::new(found.name).help(description.map(Into::into))
        })
        .collect()
}

/// The jobs of the catalog, and those that have run lately, such as commands of `exec`.
pub fn known_jobs() -> Vec<CompletionCandidate> {
    let mut candidates = jobs();
    let known = candidates.len();
    let runs = state().and_then(|mut state| state.history(None, RECENT_RUNS).ok());
    let names: BTreeSet<String> = runs.into_iter().flatten().map(|run| run.name).collect();
    for name in names {
        let mut known = candidates[..known].iter();
        if !known.any(|candidate| candidate.get_value() == name.as_str()) {
            candidates.push(CompletionCandidate::new(name));
        }
    }
    candidates
}

/// The parameters of the built-in that the typed job runs, each as `NAME=`.
pub fn params() -> Vec<CompletionCandidate> {
    let Some(catalog) = catalog() else {
        return Vec::new();
    };
    // A path could be that of a pipe, which nobody writes to.
    let names = typed().into_iter().filter(|word| !word.contains('/'));
    let jobs = names.filter_map(|name| catalog.find(&name).ok());
    let builtin = jobs.into_iter().find_map(|job| match job.work {
        Work::Builtin(builtin, _) => Some(builtin),
        Work::Command(_) => None,
    });
    let params = builtin.map_or(&[][..], |builtin| builtin.params());
    params
        .iter()
        .map(|param| {
            CompletionCandidate::new(format!("{}=", param.name)).help(Some(param.help.into()))
        })
        .collect()
}

/// The jobs that the embedded gateway has groups of.
pub fn group_jobs() -> Vec<CompletionCandidate> {
    let jobs: BTreeSet<String> = keys().iter().map(|key| key.job().to_owned()).collect();
    jobs.into_iter().map(CompletionCandidate::new).collect()
}

/// The labels of the embedded gateway's groups, of the typed `--job` only if there is one.
pub fn group_labels() -> Vec<CompletionCandidate> {
    let job = option("--job");
    let keys = keys().into_iter();
    let keys = keys.filter(|key| job.as_deref().is_none_or(|job| key.job() == job));
    let labels: BTreeSet<String> = keys
        .flat_map(|key| {
            let labels = key.labels().iter();
            let labels = labels.map(|(name, value)| format!("{name}={value}"));
            labels.collect::<Vec<_>>()
        })
        .collect();
    labels.into_iter().map(CompletionCandidate::new).collect()
}

/// The words of the line that is being typed, without the program's name.
fn typed() -> Vec<String> {
    let words = env::args_os().skip_while(|word| word != "--").skip(2);
    words.filter_map(|word| word.into_string().ok()).collect()
}

/// The typed value of an option.
fn option(name: &str) -> Option<String> {
    let mut words = typed().into_iter();
    let value = words
        .by_ref()
        .find_map(|word| match word.strip_prefix(name)? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
        });
    value?
        .or_else(|| words.next())
        .filter(|value| !value.is_empty())
}

fn catalog() -> Option<Catalog> {
    let given = option("--jobs-dir").map(PathBuf::from);
    let dir = given.or_else(|| env::var_os("METRICSJOB_JOBS_DIR").map(PathBuf::from));
    Catalog::new(dir, |name| env::var_os(name), JobDefaults::default()).ok()
}

/// The state database, if it is there and small enough.
fn state() -> Option<State> {
    let given = option("--state-dir").map(PathBuf::from);
    let given = given.or_else(|| env::var_os("METRICSJOB_STATE_DIR").map(PathBuf::from));
    let dir = given.unwrap_or_else(|| default_dir(|name| env::var_os(name)));
    let is_small = |path: &Path| fs::metadata(path).is_ok_and(|file| file.len() <= MAX_STATE);
    is_small(&dir.join(FILE_NAME)).then(|| State::open_existing(&dir).ok().flatten())?
}

fn keys() -> Vec<GroupingKey> {
    let groups = state().and_then(|mut state| state.groups().ok());
    let groups = groups.unwrap_or_default().into_iter();
    groups.map(|group| group.key).collect()
}
