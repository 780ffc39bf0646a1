//! `metricsjob exec`: run any command as a job.

use std::ffi::OsString;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::completion;
use super::exit::usage;
use super::help::{JOB, more};
use super::perform::{self, PerformArgs, Verbosity};
use metricsjob::config::HostConfig;
use metricsjob::job::command::Command;
use metricsjob::job::metric_rule::{self, MetricRule};
use metricsjob::job::output_pattern::OutputPattern;
use metricsjob::job::{DefinedIn, Job, Overlap, Work};
use metricsjob_metrics::Kind;

const EXAMPLES: &str = "\
Examples:
  metricsjob exec -- pg_dump --file=/backup/customers.sql customers
  metricsjob exec --job sync -g site=berlin --timeout 10m --lock -- /opt/sync.sh

In a crontab:
  */15 * * * *  metricsjob exec --job sync --lock -- /opt/sync.sh --all";

/// Further examples, and exit codes.
const DETAILS: &str = "\
More examples:
  metricsjob exec --retries 3 --backoff 5s..1m --tail 20 -- ./import.py
  metricsjob exec --job report -- sh -c './extract | ./load'
  metricsjob exec --metric 'rows_total=(\\d+) rows' -- ./import.py

Exit codes:
  0      success, or the run was skipped
  2      wrong usage; nothing was run
  124    the command timed out
  126    the command is not executable
  127    the command was not found
  128+n  signal n ended the command
  other  the command's own exit code";

/// Run any command as a job and report how it went
///
/// The command inherits stdin, stdout, stderr, the terminal, the working directory and the environment.
/// Signals are forwarded to it, and its exit code is passed through. If it succeeds, nothing is added to
/// its output unless there is a terminal.
///
/// Its environment has METRICSJOB_METRICS (a file to append metrics to, see `metricsjob metric`),
/// METRICSJOB_JOB, METRICSJOB_RUN_ID and METRICSJOB_ATTEMPT too.
#[derive(Args)]
#[command(mut_arg("state_dir", |arg| arg.hide_short_help(true)),
    mut_arg("output", |arg| arg.hide_short_help(true)),
    after_help = more("exec", EXAMPLES), after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
pub struct ExecArgs {
    /// Value of the `job` label [default: the command's base name]
    #[arg(long, value_name = "JOB", help_heading = JOB, add = ArgValueCandidates::new(completion::known_jobs))]
    job: Option<String>,

    /// Metric to read from the command's output (repeatable)
    ///
    /// PATTERN is a regular expression as in a job file's [[metric]]: its first group, or the group named
    /// `value`, is the number; other named groups are labels. TYPE is counter, gauge, histogram or summary
    /// [default: counter if NAME ends in _total, else gauge]. A counter without a
    /// number counts matches.
    #[arg(
        hide_short_help = true,long, value_name = "NAME[:TYPE]=PATTERN", value_parser = metric, help_heading = JOB)]
    metric: Vec<MetricRule>,

    #[command(flatten)]
    perform: PerformArgs,

    /// Command to run, with its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub fn main(args: ExecArgs, config: &HostConfig) -> anyhow::Result<u8> {
    for (index, rule) in args.metric.iter().enumerate() {
        rule.check_beside(&args.metric[..index])
            .map_err(|problem| usage(anyhow::anyhow!("--metric {}: {problem}", rule.name)))?;
    }
    let mut command = Command::new(args.command)
        .map_err(|problem| usage(anyhow::anyhow!("the command {problem}")))?;
    let defaults = config.defaults.clone();
    command.tail = defaults.tail;
    let label = args.job.unwrap_or_else(|| command.base_name());
    let job = Job {
        name: label.clone(),
        description: None,
        is_demo: false,
        http_params: Vec::new(),
        job: label,
        prefix: defaults.prefix,
        method: defaults.method,
        grouping: defaults.grouping,
        gateways: Vec::new(),
        to: Vec::new(),
        work: Work::Command(command),
        policy: defaults.policy,
        plan: None,
        overlap: Overlap::default(),
        metrics: args.metric,
        defined_in: DefinedIn::CommandLine,
    };
    perform::main(job, &args.perform, Verbosity::OnTerminal)
}

/// Reads `NAME[:TYPE]=PATTERN`.
fn metric(text: &str) -> Result<MetricRule, String> {
    let (head, pattern) = text.split_once('=').ok_or(
        "it needs a pattern behind an =, as in 'rows_total=(\\d+) rows' or 'size:gauge=size: (\\d+)'",
    )?;
    // A name with a colon needs a type behind it: a misspelt type must not become a part of the name.
    let (name, kind) = match head.rsplit_once(':') {
        Some((name, kind)) => (name, metric_rule::kind(kind)?),
        None if head.ends_with("_total") => (head, Kind::Counter),
        None => (head, Kind::Gauge),
    };
    metric_rule::check_name(name)?;
    let rule = MetricRule {
        source: Some(OutputPattern::new(pattern)?),
        ..MetricRule::new(name.to_owned(), kind)
    };
    rule.check_number()?;
    Ok(rule)
}
