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
use metricsjob::job::DefinedIn;
use metricsjob::job::catalog::{Found, load_given};

const EXAMPLES: &str = "\
Examples:
  metricsjob check
  metricsjob check jobs/*.toml";

/// Validate job files
///
/// Problems are shown with line and column; if there are any, the exit code is 2.
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

/// A job file, and its problem.
struct Checked {
    file: String,
    error: Option<String>,
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
    if args.output.get(Strict)? == Output::Json {
        json::print(&checked.iter().map(as_json).collect())?;
    }
    for Checked { file, error } in &checked {
        match (error, args.output.get(Strict)?) {
            (Some(error), _) => console::error(error),
            (None, Output::Text) => console::result(&format!("{}: ok\n", console::visible(file)))?,
            (None, Output::Json) => {}
        }
    }
    let is_good = checked.iter().all(|checked| checked.error.is_none());
    Ok(if is_good { 0 } else { USAGE })
}

fn check_found(found: &Found) -> Checked {
    Checked {
        file: match &found.defined_in {
            DefinedIn::File(path) => path.display().to_string(),
            other => format!("{} ({other})", found.name),
        },
        error: found.job.as_ref().err().map(ToString::to_string),
    }
}

fn check_file(path: &Path, config: &HostConfig) -> Checked {
    Checked {
        file: path.display().to_string(),
        error: load_given(path, &config.defaults)
            .err()
            .map(|error| error.to_string()),
    }
}

fn as_json(checked: &Checked) -> serde_json::Value {
    let lines = checked.error.iter().flat_map(|error| error.lines());
    json!({
        "file": checked.file,
        "ok": checked.error.is_none(),
        "problems": lines.collect::<Vec<_>>(),
    })
}
