//! `metricsjob state`: the state database itself.

mod backup;

use clap::{Args, Subcommand};

/// Look after the state database
///
/// It holds the history of runs, the outbox and the groups of the embedded gateway.
#[derive(Args)]
pub struct StateCommandArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum StateCommand {
    /// Copy the database while others use it
    Backup(backup::BackupArgs),
}

pub fn main(args: StateCommandArgs) -> anyhow::Result<u8> {
    match args.command {
        StateCommand::Backup(args) => backup::main(args),
    }
}
