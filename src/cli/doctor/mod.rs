//! `metricsjob doctor`: checks of this host's set-up.
//!
//! One file for each part of the set-up; each adds its findings.

mod cron;
mod gateways;
mod groups;
mod jobs;
mod prometheus;
mod settings;
mod state;

use anstyle::{AnsiColor, Style};
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value as Json, json};

use super::exit::usage;
use super::help::more;
use super::options::{GatewayArgs, JobsArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::{console, exit, json, strays};
use metricsjob::config::HostConfig;
use metricsjob_client::GatewayUrl;
use metricsjob_state::FILE_NAME;

const EXAMPLES: &str = "\
Examples:
  metricsjob doctor
  metricsjob doctor --prometheus http://prometheus:9090
  metricsjob doctor --output json

In a crontab, with the environment that cron gives to jobs:
  15 4 * * *  metricsjob exec --job doctor --tail 20 -- metricsjob doctor";

/// Check the set-up of this host: settings, state, gateways, cron, job files
///
/// Each line is ok, a warning, or a problem with its cure. Every gateway gets a push to the group
/// {job=metricsjob_doctor}, which is deleted at once. Groups that jobs of this host no longer report to, because a
/// setting has changed, are listed with the command that deletes them. The exit code is 1 if there is a problem.
#[derive(Args)]
#[command(after_help = more("doctor", EXAMPLES), after_long_help = EXAMPLES)]
pub struct DoctorArgs {
    /// URL of the Prometheus that scrapes the gateways
    ///
    /// It should have the series that this host has pushed, under their own `job` label.
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Ok,
    Warning,
    Problem,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        }
    }

    fn style(self) -> Style {
        match self {
            Severity::Ok => AnsiColor::Green.on_default(),
            Severity::Warning => AnsiColor::Yellow.on_default().bold(),
            Severity::Problem => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Result of one check.
#[derive(Debug)]
struct Finding {
    /// Part of the set-up, in one word.
    part: &'static str,
    severity: Severity,
    message: String,
    cure: Option<String>,
}

/// All findings so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, part: &'static str, message: impl Into<String>) {
        self.add(part, Severity::Ok, message.into(), None);
    }

    fn warn(&mut self, part: &'static str, message: impl Into<String>, cure: impl Into<String>) {
        self.add(part, Severity::Warning, message.into(), Some(cure.into()));
    }

    fn fail(&mut self, part: &'static str, message: impl Into<String>, cure: impl Into<String>) {
        self.add(part, Severity::Problem, message.into(), Some(cure.into()));
    }

    fn add(
        &mut self,
        part: &'static str,
        severity: Severity,
        message: String,
        cure: Option<String>,
    ) {
        self.0.push(Finding {
            part,
            severity,
            message,
            cure: cure.filter(|cure| !cure.is_empty()),
        });
    }

    /// Returns true if any is worse than ok since there were `count` of them.
    fn is_any_bad_since(&self, count: usize) -> bool {
        let mut since = self.0.iter().skip(count);
        since.any(|finding| finding.severity > Severity::Ok)
    }
}

pub fn main(args: DoctorArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let output = args.output.get(Strict)?;
    let prometheus = args.prometheus.as_deref().map(GatewayUrl::parse);
    let prometheus = prometheus
        .transpose()
        .map_err(|error| usage(anyhow!("--prometheus: {error}")))?;
    let state_dir = args.gateway.state_dir();
    let mut findings = Findings::default();
    settings::check(config, &mut findings);
    let state = state::check(&state_dir, &mut findings);
    let reported = state.and_then(|mut state| match strays::reported(&mut state, config) {
        Ok(reported) => Some(reported),
        Err(error) => {
            findings.fail(
                "state",
                error.to_string(),
                "metricsjob state check says more",
            );
            None
        }
    });
    let of_jobs = jobs::check(&args.jobs, config, &mut findings);
    let is_state_usable = reported.is_some() || !state_dir.join(FILE_NAME).exists();
    let gateways = gateways::check(&args.gateway, of_jobs, is_state_usable, &mut findings)?;
    let reported = reported.unwrap_or_default();
    groups::check(&args.gateway, &gateways, &reported, &mut findings);
    cron::check(&mut findings);
    if let Some(url) = &prometheus {
        prometheus::check(url, &reported, &mut findings);
    }
    let Findings(findings) = findings;
    match output {
        Output::Json => json::print(&findings.iter().map(finding_json).collect())?,
        Output::Text => console::result(&findings.iter().map(line).collect::<String>())?,
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    Ok(match worst {
        Some(Severity::Problem) => exit::FAILURE,
        _ => exit::SUCCESS,
    })
}

fn line(finding: &Finding) -> String {
    let style = finding.severity.style();
    let cure = finding.cure.as_ref();
    let cure = cure.map_or_else(String::new, |cure| format!(": {cure}"));
    let text = format!("{}{cure}", finding.message);
    // A message of somebody else's can have several lines.
    let text = text.lines().map(console::visible).collect::<Vec<_>>();
    format!(
        "{style}{:<7}{style:#}  {:<10}  {}\n",
        finding.severity.word(),
        finding.part,
        text.join("; ")
    )
}

fn finding_json(finding: &Finding) -> Json {
    json!({
        "part": finding.part,
        "severity": finding.severity.word(),
        "message": finding.message,
        "cure": finding.cure,
    })
}
