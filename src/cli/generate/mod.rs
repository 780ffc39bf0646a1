//! `metricsjob generate`: files for other programs.

mod alertmanager;
mod completions;
mod dashboard;
mod man;
mod rules;

use clap::{Args, Subcommand};

use super::help::more;
use metricsjob::config::HostConfig;

/// Generate files for other programs
#[derive(Args)]
#[command(after_help = more("generate", ""), after_long_help = "")]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: GenerateCommand,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum GenerateCommand {
    /// Print a shell's completion script
    Completions(completions::CompletionsArgs),
    /// Write manual pages into a directory
    Man(man::ManArgs),
    /// Print rules for Prometheus: alerts about the jobs
    Rules(rules::RulesArgs),
    /// Print a configuration for Alertmanager: who gets the alerts
    Alertmanager(alertmanager::AlertmanagerArgs),
    /// Print a dashboard for Grafana
    Dashboard(dashboard::DashboardArgs),
}

pub fn main(args: GenerateArgs, config: &HostConfig, command: clap::Command) -> anyhow::Result<u8> {
    match args.what {
        GenerateCommand::Completions(args) => completions::main(args),
        GenerateCommand::Man(args) => man::main(args, command),
        GenerateCommand::Rules(args) => rules::main(args, config),
        GenerateCommand::Alertmanager(args) => alertmanager::main(args, config),
        GenerateCommand::Dashboard(args) => dashboard::main(args),
    }
}
