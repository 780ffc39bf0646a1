//! `metricsjob state backup`: a copy of the database, made while others use it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::anyhow;
use clap::Args;
use indicatif::BinaryBytes;
use serde_json::json;

use crate::cli::exit::{self, usage};
use crate::cli::help::more;
use crate::cli::options::{Output, OutputArgs, QuietArgs, StateArgs};
use crate::cli::setting::Strictness::Strict;
use crate::cli::{console, json};
use metricsjob::job::builtin::sqlite_copy::{CopyError, Placement, copy};
use metricsjob_state::FILE_NAME;

const EXAMPLES: &str = "\
Examples:
  metricsjob state backup /backup/state.db
  metricsjob state backup --force --output json /backup/state.db
  metricsjob history --state-dir /backup      # the history in the copy

In a crontab, every night:
  @daily metricsjob exec --job save -- metricsjob state backup --force /mnt/m.db";

/// Copy the state database while others use it
///
/// The copy is a consistent snapshot; runs and a gateway can go on writing meanwhile. It is written next to
/// FILE, checked, synced to disk and then renamed, with mode 0600, so that FILE is never incomplete. To use
/// it, put it into a directory of its own as state.db and pass that directory as --state-dir.
#[derive(Args)]
#[command(after_help = more("state backup", EXAMPLES), after_long_help = EXAMPLES)]
pub struct BackupArgs {
    /// File to write, in an existing directory
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: BackupArgs) -> anyhow::Result<u8> {
    let (output, quiet) = (args.output.get(Strict)?, args.quiet.get(Strict)?);
    let source = args.state.dir().join(FILE_NAME);
    let placement = Placement {
        is_private: true,
        may_replace: args.force,
    };
    let start = Instant::now();
    let copied =
        copy(&source, &args.file, placement, &mut |_, _, _| true).map_err(|error| match error {
            CopyError::Exists { .. } => usage(anyhow!("{error} (--force replaces it)")),
            CopyError::SameFile { .. } => usage(error),
            error => error.into(),
        })?;
    let duration = start.elapsed();
    let (from, to) = (
        source.display().to_string(),
        args.file.display().to_string(),
    );
    match output {
        Output::Json => json::print(&json!({
            "state": from,
            "file": to,
            "bytes": copied.bytes,
            "rows": copied.rows,
            "duration_seconds": json::number(duration.as_secs_f64()),
        }))?,
        Output::Text if quiet => {}
        Output::Text => console::result(&format!(
            "copied {} to {}: {}, in {}\n",
            console::visible(&from),
            console::visible(&to),
            BinaryBytes(copied.bytes),
            console::rough(duration),
        ))?,
    }
    Ok(exit::SUCCESS)
}
