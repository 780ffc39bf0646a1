//! `metricsjob generate`: files for other programs.

mod alertmanager;
mod completions;
mod crontab;
mod dashboard;
mod kubernetes;
mod man;
mod rules;
mod run_options;
mod systemd;

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
    /// Print a job as a CronJob for Kubernetes, or the gateway
    Kubernetes(kubernetes::KubernetesArgs),
    /// Print a job as a service of systemd and its timer
    Systemd(systemd::SystemdArgs),
    /// Print the scheduled jobs as a crontab
    Crontab(crontab::CrontabArgs),
}

pub fn main(args: GenerateArgs, config: &HostConfig, command: clap::Command) -> anyhow::Result<u8> {
    match args.what {
        GenerateCommand::Completions(args) => completions::main(args),
        GenerateCommand::Man(args) => man::main(args, command),
        GenerateCommand::Rules(args) => rules::main(args, config),
        GenerateCommand::Alertmanager(args) => alertmanager::main(args, config),
        GenerateCommand::Dashboard(args) => dashboard::main(args),
        GenerateCommand::Kubernetes(args) => kubernetes::main(args),
        GenerateCommand::Systemd(args) => systemd::main(args, config),
        GenerateCommand::Crontab(args) => crontab::main(args, config),
    }
}
