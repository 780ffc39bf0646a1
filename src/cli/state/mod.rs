//! `metricsjob state`: the state database itself.

mod backup;
mod check;
mod repair;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::exit::usage;
use super::options::StateArgs;
use crate::cli::help::more;
use metricsjob_state::FILE_NAME;

/// Look after the state database
///
/// It holds the history, the outbox and the groups of the embedded gateway.
#[derive(Args)]
#[command(after_help = more("state", ""), after_long_help = "")]
pub struct StateCommandArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum StateCommand {
    /// Copy the database while others use it
    Backup(backup::BackupArgs),
    /// Look for damage
    Check(check::StateCheckArgs),
    /// Replace a corrupt database with a new one, saving what can be saved
    Repair(repair::RepairArgs),
}

pub fn main(args: StateCommandArgs) -> anyhow::Result<u8> {
    match args.command {
        StateCommand::Backup(args) => backup::main(args),
        StateCommand::Check(args) => check::main(args),
        StateCommand::Repair(args) => repair::main(args),
    }
}

/// The database that is meant: `file`, which must exist then, or that of this machine.
fn database(file: Option<&Path>, state: &StateArgs) -> anyhow::Result<PathBuf> {
    let path = match file {
        Some(file) if !file.exists() => {
            return Err(usage(anyhow!("{}: there is no such file", file.display())));
        }
        Some(file) => file.to_owned(),
        None => state.dir().join(FILE_NAME),
    };
    std::path::absolute(&path).with_context(|| path.display().to_string())
}
