//! `metricsjob generate dashboard`: a dashboard for Grafana.

use clap::{Args, ValueEnum};

use crate::cli::help::more;
use crate::cli::{console, exit};
use metricsjob::generate::dashboard::{fleet, gateway, http, job};

/// Print a dashboard for Grafana
///
/// It is one JSON document in Grafana's dashboard schema, as the import in the browser, provisioning and the
/// HTTP API take it. The data source is a variable of the dashboard: any Prometheus that scrapes the gateway or
/// `metricsjob serve` with `honor_labels: true`.
#[derive(Args)]
#[command(after_help = more("generate dashboard", EXAMPLES), after_long_help = EXAMPLES)]
pub struct DashboardArgs {
    /// Dashboard to print
    #[arg(value_name = "DASHBOARD", value_enum, default_value = "fleet")]
    which: DashboardName,
}

#[derive(Clone, Copy, ValueEnum)]
enum DashboardName {
    /// All jobs: state, deadline, last success, durations, failures, outboxes
    Fleet,
    /// One job: its runs and the metrics of its own
    Job,
    /// Gateways: pushes, groups, storage; Pushgateways too
    Gateway,
    /// HTTP services with the metrics of metricsjob-http
    Http,
}

const EXAMPLES: &str = "\
Examples:
  metricsjob generate dashboard >fleet.json
  for d in fleet job gateway http; do
    metricsjob generate dashboard $d >/var/lib/grafana/dashboards/$d.json
  done";

pub fn main(args: DashboardArgs) -> anyhow::Result<u8> {
    let dashboard = match args.which {
        DashboardName::Fleet => fleet(),
        DashboardName::Job => job(),
        DashboardName::Gateway => gateway(),
        DashboardName::Http => http(),
    };
    console::result(&format!("{dashboard:#}\n"))?;
    Ok(exit::SUCCESS)
}
