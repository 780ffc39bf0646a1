//! `metricsjob check`: validate job files.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::exit::usage;
use super::options::{JobsArgs, Output, OutputArgs};
use super::{console, json};
use crate::job::DefinedIn;
use crate::job::catalog::load;

/// Validate job files
///
/// Without FILE all that `list` finds. Every problem is shown with its line and column; the exit
/// code is 2 if there is one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  metricsjob check
  metricsjob check jobs/*.toml")]
pub struct CheckArgs {
    files: Vec<PathBuf>,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let results: Vec<(String, Option<String>)> = if args.files.is_empty() {
        let found = args.jobs.catalog()?.list().map_err(usage)?;
        let place = |found: &crate::job::catalog::Found| match &found.defined_in {
            DefinedIn::File(path) => path.display().to_string(),
            DefinedIn::CompiledIn => format!("{} (compiled in)", found.name),
        };
        let error =
            |found: &crate::job::catalog::Found| found.job.as_ref().err().map(ToString::to_string);
        found
            .iter()
            .map(|found| (place(found), error(found)))
            .collect()
    } else {
        let files = args.files.iter();
        files
            .map(|path| {
                (
                    path.display().to_string(),
                    load(path).err().map(|e| e.to_string()),
                )
            })
            .collect()
    };
    if args.output.output == Output::Json {
        let rows = results.iter().map(|(file, error)| {
            let problems: Vec<&str> = error.iter().flat_map(|text| text.lines()).collect();
            json!({ "file": file, "ok": error.is_none(), "problems": problems })
        });
        json::print(&rows.collect())?;
    }
    for (file, error) in &results {
        match (error, args.output.output) {
            (Some(error), _) => console::error(error),
            (None, Output::Text) => console::result(&format!("{file}: ok\n"))?,
            (None, Output::Json) => {}
        }
    }
    let is_bad = results.iter().any(|(_, error)| error.is_some());
    Ok(ExitCode::from(if is_bad { 2 } else { 0 }))
}
