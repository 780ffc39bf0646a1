//! `metricsjob generate alertmanager`: who gets the alerts.

use anyhow::anyhow;
use clap::Args;

use crate::cli::exit::usage;
use crate::cli::help::more;
use crate::cli::{console, exit};
use metricsjob::config::HostConfig;
use metricsjob::generate::alertmanager::configuration;

const EXAMPLES: &str = "\
Examples:
  metricsjob generate alertmanager >alertmanager.yml
  amtool check-config alertmanager.yml
  amtool config routes test --config.file alertmanager.yml owner=dba

A receiver in metricsjob.toml:
  [[receiver]]
  name = \"dba\"
  owner = [\"dba\"]                   # left out: of all owners
  severity = [\"warning\", \"critical\"]
  webhook = { url = \"http://alerts.example:8080/\" }
  slack = { api_url_file = \"/etc/alertmanager/slack\", channel = \"#dba\" }
  [receiver.email]
  to = \"dba@example.com\"
  from = \"alerts@example.com\"
  smarthost = \"mail.example.com:587\"";

/// Print a configuration for Alertmanager: who gets the alerts
///
/// The receivers are the tables [[receiver]] of the config file. Each gets the alerts of its owners and severities; one that
/// names neither gets those that no other takes. Alerts are grouped by job, and a job that failed is not
/// reported as late too. Secrets stay in files, which Alertmanager reads: api_url_file of slack, password_file of
/// email (with username), bearer_token_file of webhook.
#[derive(Args)]
#[command(after_help = more("generate alertmanager", EXAMPLES), after_long_help = EXAMPLES)]
pub struct AlertmanagerArgs {}

pub fn main(AlertmanagerArgs {}: AlertmanagerArgs, config: &HostConfig) -> anyhow::Result<u8> {
    if config.is_incomplete {
        return Err(usage(anyhow!(
            "a config file is ignored (see the warning above), and the receivers may be in it: mend it, or name another \
             one by --config"
        )));
    }
    let problems = &config.receivers.problems;
    if !problems.is_empty() {
        return Err(usage(anyhow!("{}", problems.join("\n"))));
    }
    let receivers = &config.receivers.receivers;
    console::result(&configuration(receivers))?;
    if receivers.is_empty() {
        console::warning(
            "nobody gets an alert: there is no [[receiver]] in a config file, see `metricsjob generate alertmanager --help`",
        );
    } else if !receivers.iter().any(|receiver| receiver.is_default()) {
        console::warning(
            "nobody gets the alerts that no [[receiver]] takes: give one without owner and severity",
        );
    }
    Ok(exit::SUCCESS)
}
