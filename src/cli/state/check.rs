//! `metricsjob state check`: a check that the database is as it was written.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::database;
use crate::cli::exit;
use crate::cli::help::more;
use crate::cli::options::{Output, OutputArgs, StateArgs};
use crate::cli::setting::Strictness::Strict;
use crate::cli::{console, json};

const EXAMPLES: &str = "\
Examples:
  metricsjob state check
  metricsjob state check /backup/state.db
  metricsjob state check --output json

In a crontab, every night:
  45 3 * * *  metricsjob exec --job state_check -- metricsjob state check";

/// Look for damage in the state database
///
/// It reads all pages, indexes, row checksums and groups of the embedded gateway. Nothing is changed, and the
/// database can stay in use meanwhile. The exit code is 1 if anything is wrong.
#[derive(Args)]
#[command(after_help = more("state check", EXAMPLES), after_long_help = EXAMPLES)]
pub struct StateCheckArgs {
    /// Database to check [default: the one in --state-dir]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: StateCheckArgs) -> anyhow::Result<u8> {
    let output = args.output.get(Strict)?;
    let path = database(args.file.as_deref(), &args.state)?;
    let problems = metricsjob_state::check(&path)?;
    let is_there = problems.is_some();
    let problems = problems.unwrap_or_default();
    let file = path.display().to_string();
    let shown = console::visible(&file);
    match output {
        Output::Json => json::print(&json!({
            "state": file,
            "exists": is_there,
            "sound": problems.is_empty(),
            "problems": problems,
        }))?,
        Output::Text if !is_there => {
            console::result(&format!("there is no state database yet: {shown}\n"))?;
        }
        Output::Text if problems.is_empty() => {
            console::result(&format!("the state database {shown} is sound\n"))?;
        }
        Output::Text => {
            let mut text = format!("the state database {shown} is corrupt:\n");
            for problem in &problems {
                text += &format!("- {}\n", console::visible(problem));
            }
            text += "`metricsjob state repair` replaces it by a new one with what can be saved\n";
            console::result(&text)?;
        }
    }
    Ok(if problems.is_empty() {
        exit::SUCCESS
    } else {
        exit::FAILURE
    })
}
