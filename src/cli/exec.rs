//! `metricsjob exec`: run any command as a job.

use std::ffi::OsString;

use clap::Args;

use super::exit::usage;
use super::perform::{self, PerformArgs, Verbosity};
use metricsjob::config::Config;
use metricsjob::job::command::Command;
use metricsjob::job::metric_rule::{self, MetricRule};
use metricsjob::job::output_pattern::OutputPattern;
use metricsjob::job::{DefinedIn, Job, Overlap, Work};
use metricsjob_metrics::{Kind, is_metric_name};

/// Run any command as a job and report how it went
///
/// The command gets stdin, stdout, stderr, the terminal, the working directory and the environment
/// as they are; signals are passed on to it, and its exit code is ours. On success nothing is
/// printed besides what it prints, unless there is a terminal.
///
/// It finds METRICSJOB_METRICS (a file to append metrics to, see `metricsjob metric`),
/// METRICSJOB_JOB, METRICSJOB_RUN_ID and METRICSJOB_ATTEMPT in its environment.
#[derive(Args)]
#[command(after_help = "\
Examples:
  metricsjob exec -- pg_dump --file=/backup/customers.sql customers
  metricsjob exec --job sync_orders -g site=berlin --timeout 10m --lock -- /opt/sync.sh --all
  metricsjob exec --retries 3 --backoff 5s..1m --tail 20 -- ./import.py
  metricsjob exec --job report -- sh -c './extract | ./load'
  metricsjob exec --metric 'rows_total=(\\d+) rows' --metric 'errors_total=ERROR' -- ./import.py

In a crontab:
  */15 * * * *  metricsjob exec --job sync_orders --lock -- /opt/sync.sh --all

Exit codes: the command's own, 128+n if signal n ended it, 124 if it took too long, 126 if it is not
executable, 127 if it is not found; 0 if the run was skipped; 2 for wrong usage, before anything runs.")]
pub struct ExecArgs {
    /// The job label of the grouping key [default: the command's name without its directory]
    #[arg(long, value_name = "JOB")]
    job: Option<String>,

    /// What the names of the runner's metrics begin with [default: batch_job]
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    prefix: Option<String>,

    /// A metric that is read from the output; can be given several times
    ///
    /// PATTERN is a regular expression as in a job file's [[metric]]: its first group, or the one named
    /// value, is the number, other named groups are labels. TYPE is counter, gauge, histogram or summary
    /// [default: counter if NAME ends in _total, else gauge]. A counter without a number counts matches.
    #[arg(long, value_name = "NAME[:TYPE]=PATTERN", value_parser = metric)]
    metric: Vec<MetricRule>,

    #[command(flatten)]
    perform: PerformArgs,

    /// The command and its arguments, which are passed on as they are
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub fn main(args: ExecArgs, config: &Config) -> anyhow::Result<u8> {
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
        prefix: args.prefix.unwrap_or(defaults.prefix),
        method: defaults.method,
        grouping: defaults.grouping,
        work: Work::Command(command),
        policy: defaults.policy,
        plan: None,
        overlap: Overlap::default(),
        metrics: args.metric,
        defined_in: DefinedIn::CommandLine,
    };
    perform::main(job, &args.perform, Verbosity::OnTerminal)
}

fn prefix(text: &str) -> Result<String, String> {
    if is_metric_name(text) {
        Ok(text.to_owned())
    } else {
        Err("it cannot begin a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)".into())
    }
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
