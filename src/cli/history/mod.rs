//! `metricsjob history`: the runs so far.

mod chart;
mod show;
mod stats;

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use self::show::ShowRunArgs;
use super::color::outcome_cell;
use super::completion;
use super::help::{OUTPUT, more};
use super::number::whole;
use super::options::{Output, OutputArgs, StateArgs};
use super::setting::Strictness::Strict;
use super::table::{Column, EXTRA, TableCell, table};
use super::when::{age, date_cell};
use super::{console, exit, json};
use metricsjob_state::State;
use metricsjob_state::history::RecordedRun;

const EXAMPLES: &str = "\
Examples:
  metricsjob history
  metricsjob history sync_orders --last 5
  metricsjob history sync_orders --last 1 --output json
  metricsjob history show 5f3a
  metricsjob history --stats";

/// Show past runs, the newest last
///
/// The state database records every run of `run`, `exec` and `serve`, except with --dry-run. Dates are in the local time
/// zone. For a job called show: `metricsjob history -- show`.
///
/// On a terminal the table fits its width: texts are cut, and columns left out. Anywhere else it is shown in full
/// width with all columns, unless COLUMNS is set.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = more("history", EXAMPLES),
    after_long_help = EXAMPLES
)]
pub struct HistoryArgs {
    #[command(subcommand)]
    command: Option<HistoryCommand>,

    /// Show only runs of this job, given by name or `job` label
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::known_jobs))]
    job: Option<String>,

    /// Maximum number of runs to show [default: 20, with --stats all]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, help_heading = OUTPUT)]
    last: Option<u32>,

    /// Show how long the runs of each group took: median, 95th percentile, chart
    ///
    /// The chart has the latest runs. Skipped runs are counted, but took no time.
    #[arg(long, help_heading = OUTPUT)]
    stats: bool,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum HistoryCommand {
    /// Show all that is known of a run
    Show(ShowRunArgs),
}

/// How many runs are shown.
const LAST: u32 = 20;

const COLUMNS: [Column; 10] = [
    Column::kept("JOB").down_to(10),
    Column::ranked("GROUPING", 2).down_to(10),
    Column::ranked("RUN", 4),
    Column::ranked("STARTED", 1),
    Column::ranked("AGE", 3),
    Column::kept("OUTCOME"),
    Column::ranked("EXIT", EXTRA),
    Column::ranked("ATTEMPTS", EXTRA + 2),
    Column::ranked("DURATION", 2),
    Column::ranked("", EXTRA + 1),
];

/// How many digits of a run's id are shown where there is little room.
const SHORT_ID: usize = 8;

pub fn main(args: HistoryArgs) -> anyhow::Result<u8> {
    if let Some(HistoryCommand::Show(args)) = args.command {
        return show::main(&args);
    }
    let last = match args.last {
        Some(last) => last,
        None if args.stats => u32::MAX,
        None => LAST,
    };
    let mut runs = match State::open_existing(&args.state.dir())? {
        Some(mut state) => state.history(args.job.as_deref(), last)?,
        None => Vec::new(),
    };
    runs.reverse();
    match (args.output.get(Strict)?, &args.job) {
        (Output::Json, _) if args.stats => json::print(&stats::json(&runs))?,
        (Output::Json, _) => json::print(&runs.iter().map(json::run).collect())?,
        (Output::Text, None) if runs.is_empty() => console::result("no runs so far\n")?,
        (Output::Text, Some(job)) if runs.is_empty() => {
            console::result(&format!("no runs of {} so far\n", console::visible(job)))?;
        }
        (Output::Text, _) if args.stats => console::result(&stats::text(&runs))?,
        (Output::Text, _) => console::result(&text(&runs, SystemTime::now()))?,
    }
    Ok(exit::SUCCESS)
}

fn text(runs: &[RecordedRun], now: SystemTime) -> String {
    let longest = runs.iter().map(|run| run.duration).fold(0.0, f64::max);
    let rows: Vec<[TableCell; COLUMNS.len()]> = runs
        .iter()
        .map(|run| {
            let short_id: String = run.run_id.chars().take(SHORT_ID).collect();
            [
                run.name.as_str().into(),
                console::labels(run.key.labels()).into(),
                TableCell::with_short(&run.run_id, &short_id),
                date_cell(run.started_at, now),
                age(run.started_at, now).into(),
                outcome_cell(&run.outcome),
                run.exit_code.to_string().into(),
                run.attempts.to_string().into(),
                rough(run.duration).into(),
                chart::bar(run.duration, longest).into(),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

/// A duration in seconds, for reading.
fn rough(seconds: f64) -> String {
    console::rough(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
