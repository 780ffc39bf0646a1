//! `metricsjob metric`: report a metric from inside a running job.
//!
//! - `stdin`: many calls, one a line.

mod stdin;

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Subcommand};

use super::exit::{self, usage};
use super::help::more;
use super::number::number;
use super::options::name_and_value;
use metricsjob::job::metric_rule::Scale;
use metricsjob::run::events::{Change, Event, EventWriter, METRICS_VARIABLE, check_names};
use metricsjob_metrics::Labels;

const EXAMPLES: &str = "\
Examples, inside a job:
  metricsjob metric inc orders_synced_total 5 -l region=eu
  metricsjob metric set queue_size 17 --help \"Orders still waiting.\"
  metricsjob metric add connections 1
  metricsjob metric sub connections 1
  metricsjob metric observe request_seconds 0.231 --buckets 0.1,0.5,1,5
  metricsjob metric observe row_seconds 0.002 --quantiles 0.5,0.9,0.99
  printf '%s\\n' 'inc orders_total 5' 'set queue_size 17' | metricsjob metric -
  echo 'queue_size 17' >> \"$METRICSJOB_METRICS\"";

/// Report a metric from inside a running job
///
/// For commands started by `metricsjob exec` or `metricsjob run`: it appends to the file named by
/// METRICSJOB_METRICS, and the metric becomes part of the run's report. A job can append lines in the
/// Prometheus text format to that file itself, too.
#[derive(Args)]
#[command(after_help = more("metric", EXAMPLES), after_long_help = EXAMPLES)]
pub struct MetricArgs {
    #[command(subcommand)]
    change: MetricCommand,
}

#[derive(Subcommand)]
enum MetricCommand {
    #[command(flatten)]
    Change(ChangeCommand),

    /// Read changes from stdin, one per line
    ///
    /// Each line has the arguments of one `metricsjob metric` call, quoted as in a shell, such as
    /// `inc orders_total 5 -l region=eu`. Empty lines and lines that begin with # are skipped. A bad line is
    /// reported by its number and the others still count; the exit code is then 1.
    #[command(name = "-", after_help = more("metric -", ""), after_long_help = "")]
    Stdin,
}

#[derive(Subcommand)]
enum ChangeCommand {
    /// Increase a counter
    #[command(disable_help_flag = true)]
    Inc {
        #[command(flatten)]
        metric: NameArgs,

        /// Increment, at least 0
        #[arg(
            value_name = "VALUE",
            default_value = "1",
            value_parser = number,
            allow_negative_numbers = true
        )]
        value: f64,
    },
    /// Set a gauge
    #[command(disable_help_flag = true)]
    Set {
        #[command(flatten)]
        metric: NameArgs,

        /// New value: a number, NaN, +Inf or -Inf
        #[arg(value_name = "VALUE", value_parser = number, allow_hyphen_values = true)]
        value: f64,
    },
    /// Increase a gauge
    #[command(disable_help_flag = true)]
    Add {
        #[command(flatten)]
        metric: NameArgs,

        /// Amount; a negative one decreases the gauge
        #[arg(value_name = "VALUE", value_parser = number, allow_hyphen_values = true)]
        value: f64,
    },
    /// Decrease a gauge
    #[command(disable_help_flag = true)]
    Sub {
        #[command(flatten)]
        metric: NameArgs,

        /// Amount; a negative one increases the gauge
        #[arg(value_name = "VALUE", value_parser = number, allow_hyphen_values = true)]
        value: f64,
    },
    /// Add an observation to a histogram or summary
    #[command(disable_help_flag = true)]
    Observe {
        #[command(flatten)]
        metric: NameArgs,

        /// Observed value, in base units (seconds, bytes)
        #[arg(value_name = "VALUE", value_parser = number, allow_hyphen_values = true)]
        value: f64,

        /// Make it a histogram with these upper bounds [default: 0.005 to 10, as in client libraries]
        #[arg(
            long,
            value_name = "BOUND,…",
            value_delimiter = ',',
            value_parser = number,
            allow_hyphen_values = true,
            conflicts_with = "quantiles"
        )]
        buckets: Option<Vec<f64>>,

        /// Make it a summary with these quantiles, each within 1 % of an observed value
        #[arg(long, value_name = "QUANTILE,…", value_delimiter = ',', value_parser = number)]
        quantiles: Option<Vec<f64>>,
    },
}

#[derive(Args)]
struct NameArgs {
    /// Name of the metric
    #[arg(value_name = "NAME")]
    name: String,

    /// Label of the series (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    label: Vec<(String, String)>,

    /// HELP text of the metric
    #[arg(long, value_name = "TEXT")]
    help: Option<String>,

    /// Print help, as does --help as the last argument
    #[arg(short = 'h', action = ArgAction::Help)]
    print_help: Option<bool>,
}

/// The command line, where a last `--help` of `metric` asks for help: anywhere else it has a text
/// behind it.
pub fn with_help(line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut line: Vec<OsString> = line.collect();
    let is_metric = line.get(1).is_some_and(|word| word == "metric");
    if let Some(last) = line
        .last_mut()
        .filter(|last| is_metric && *last == "--help")
    {
        *last = "-h".into();
    }
    line
}

pub fn main(args: MetricArgs) -> anyhow::Result<u8> {
    let change = match args.change {
        MetricCommand::Change(change) => change,
        MetricCommand::Stdin => return stdin::main(),
    };
    let name = change.name();
    let event = change
        .event()
        .map_err(|problem| usage(anyhow::anyhow!("metric {name}: {problem}")))?;
    let path = path()?;
    let append = || {
        let mut events = EventWriter::open(&path)?;
        events.add(&event)?;
        events.flush()
    };
    append().map_err(|error| not_appended(&path, &error))?;
    Ok(exit::SUCCESS)
}

impl ChangeCommand {
    fn name(&self) -> &'static str {
        match self {
            ChangeCommand::Inc { .. } => "inc",
            ChangeCommand::Set { .. } => "set",
            ChangeCommand::Add { .. } => "add",
            ChangeCommand::Sub { .. } => "sub",
            ChangeCommand::Observe { .. } => "observe",
        }
    }

    /// The event that it stands for.
    ///
    /// # Errors
    ///
    /// A metric cannot be called so, or cannot change so.
    fn event(self) -> Result<Event, String> {
        let (metric, change) = match self {
            ChangeCommand::Inc { metric, value } => (metric, Change::Inc(value)),
            ChangeCommand::Set { metric, value } => (metric, Change::Set(value)),
            ChangeCommand::Add { metric, value } => (metric, Change::Add(value)),
            ChangeCommand::Sub { metric, value } => (metric, Change::Add(-value)),
            ChangeCommand::Observe {
                metric,
                value,
                buckets,
                quantiles,
            } => {
                let of = |option: &'static str| move |problem| format!("{option} {problem}");
                let scale = match (buckets, quantiles) {
                    (Some(buckets), _) => Some(Scale::buckets(buckets).map_err(of("--buckets"))?),
                    (_, Some(quantiles)) => {
                        Some(Scale::quantiles(quantiles).map_err(of("--quantiles"))?)
                    }
                    _ => None,
                };
                (metric, Change::Observe { value, scale })
            }
        };
        change.check()?;
        let labels = Labels::from_pairs(&metric.label).map_err(|index| {
            let (name, _) = &metric.label[index];
            format!("the label {name} is given twice")
        })?;
        check_names(&metric.name, &labels)?;
        Ok(Event {
            name: metric.name,
            labels,
            change,
            help: metric.help.unwrap_or_default(),
        })
    }
}

/// The file of the running job.
fn path() -> anyhow::Result<PathBuf> {
    let path = env::var_os(METRICS_VARIABLE).filter(|path| !path.is_empty());
    path.map(PathBuf::from).ok_or_else(|| {
        usage(anyhow::anyhow!(
            "{METRICS_VARIABLE} is not set: metric works inside a command that metricsjob exec or run has started"
        ))
    })
}

fn not_appended(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "could not append to {}, which {METRICS_VARIABLE} names: {}",
        path.display(),
        metricsjob_system::reason(error)
    )
}
