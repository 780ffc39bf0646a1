//! `metricsjob generate rules`: alerts about the jobs, for Prometheus.

use clap::{Args, ValueEnum};

use crate::cli::exit::usage;
use crate::cli::help::{OUTPUT, more};
use crate::cli::options::JobsArgs;
use crate::cli::{console, exit};
use metricsjob::config::HostConfig;
use metricsjob::generate::rules::{PAGE, Source, all, yaml};
use metricsjob::generate::watched::watched;

const EXAMPLES: &str = "\
Examples:
  metricsjob generate rules >rules.yml
  promtool check rules rules.yml
  metricsjob generate rules --tests >rules.test.yml
  promtool test rules rules.test.yml";

/// Print rules for Prometheus: alerts about the jobs
///
/// The alerts are the same for all jobs, hosts and prefixes: a job is late, failed, failed several times running,
/// takes too long, does not report what is expected, is unusual, or burns its error budget. Each job that has a file
/// also has an alert for when nothing is reported of it; demos have none. Further alerts watch deliveries, the gateway,
/// `serve` and services over HTTP.
///
/// Severity, owner and runbook are those that a job reports. Prometheus has to scrape the gateway with `honor_labels:
/// true`.
#[derive(Args)]
#[command(after_help = more("generate rules", EXAMPLES), after_long_help = EXAMPLES)]
pub struct RulesArgs {
    /// Print the rules' unit tests, which read rules.yml beside them
    #[arg(long, help_heading = OUTPUT)]
    tests: bool,

    /// Page that explains the alerts, for those without a runbook
    ///
    /// Each alert has a section there, with its name in lower case: URL#batchjoblate. A job's own runbook counts more.
    #[arg(long, value_name = "URL", default_value = PAGE, help_heading = OUTPUT)]
    runbook_url: String,

    /// Where the jobs report to
    #[arg(long, value_name = "DESTINATION", default_value = "gateway", help_heading = OUTPUT)]
    destination: DestinationArg,

    #[command(flatten)]
    jobs: JobsArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DestinationArg {
    /// A gateway, serve or node_exporter, which Prometheus scrapes
    Gateway,
    /// Prometheus itself: the last sample within 35 days counts
    RemoteWrite,
}

pub fn main(args: RulesArgs, config: &HostConfig) -> anyhow::Result<u8> {
    // A rule of a job whose file is bad would be missing.
    let jobs = watched(&args.jobs.catalog(config)?).map_err(usage)?;
    let source = match args.destination {
        DestinationArg::Gateway => Source::Scrape,
        DestinationArg::RemoteWrite => Source::RemoteWrite,
    };
    let groups = all(&jobs, &args.runbook_url, source);
    let text = if args.tests {
        yaml::tests(&groups)
    } else {
        yaml::rules(&groups)
    };
    console::result(&text)?;
    Ok(exit::SUCCESS)
}
