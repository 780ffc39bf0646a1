//! `metricsjob check`: validate job files.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::exit::{USAGE, usage};
use super::help::more;
use super::options::{JobsArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::{console, json};
use metricsjob::config::HostConfig;
use metricsjob::job::catalog::{CatalogError, Found, load_given};
use metricsjob::job::{DefinedIn, Job};

const EXAMPLES: &str = "\
Examples:
  metricsjob check
  metricsjob check jobs/*.toml";

/// Validate job files
///
/// Problems are shown with line and column; if there are any, the exit code is 2. A warning is about a job that can be
/// run, and does not change the exit code: one of method "put" whose next success is due at some time, because a failed
/// run would erase the last success.
#[derive(Args)]
#[command(after_help = more("check", EXAMPLES), after_long_help = EXAMPLES)]
pub struct CheckArgs {
    /// Job files to validate [default: all that `list` shows]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// A job file, and its problem or warnings.
struct Checked {
    file: String,
    result: Result<Vec<String>, String>,
}

impl Checked {
    fn new(file: String, job: Result<&Job, &CatalogError>) -> Self {
        let result = job.map(Job::warnings).map_err(ToString::to_string);
        Checked { file, result }
    }

    fn warnings(&self) -> &[String] {
        self.result.as_deref().unwrap_or_default()
    }
}

pub fn main(args: CheckArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let checked: Vec<Checked> = if args.files.is_empty() {
        let found = args.jobs.catalog(config)?.list().map_err(usage)?;
        found.iter().map(check_found).collect()
    } else {
        args.files
            .iter()
            .map(|path| check_file(path, config))
            .collect()
    };
    let output = args.output.get(Strict)?;
    if output == Output::Json {
        json::print(&checked.iter().map(as_json).collect())?;
    }
    for checked in &checked {
        let file = console::visible(&checked.file);
        match (&checked.result, output) {
            (Err(error), _) => console::error(error),
            (Ok(_), Output::Text) => console::result(&format!("{file}: ok\n"))?,
            (Ok(_), Output::Json) => {}
        }
        for warning in checked.warnings() {
            console::warning(&format!("{file}: {warning}"));
        }
    }
    let is_good = checked.iter().all(|checked| checked.result.is_ok());
    Ok(if is_good { 0 } else { USAGE })
}

fn check_found(found: &Found) -> Checked {
    let file = match &found.defined_in {
        DefinedIn::File(path) => path.display().to_string(),
        other => format!("{} ({other})", found.name),
    };
    Checked::new(file, found.job.as_ref())
}

fn check_file(path: &Path, config: &HostConfig) -> Checked {
    let job = load_given(path, &config.defaults);
    Checked::new(path.display().to_string(), job.as_ref())
}

fn as_json(checked: &Checked) -> serde_json::Value {
    let lines = checked
        .result
        .as_ref()
        .err()
        .into_iter()
        .flat_map(|error| error.lines());
    json!({
        "file": checked.file,
        "ok": checked.result.is_ok(),
        "problems": lines.collect::<Vec<_>>(),
        "warnings": checked.warnings(),
    })
}
