//! `metricsjob history`: the runs so far.

use std::time::{Duration, SystemTime};

use clap::Args;

use super::number::whole;
use super::options::{Output, OutputArgs, StateArgs};
use super::setting::Strictness::Strict;
use super::{console, exit, json};
use metricsjob::run::Outcome;
use metricsjob_state::State;
use metricsjob_state::history::RecordedRun;

/// Show the runs so far, the newest last
///
/// Every run of `run` and `exec` is recorded in the state database, but for those with --dry-run.
#[derive(Args)]
#[command(after_help = "\
Examples:
  metricsjob history
  metricsjob history sync_orders --last 5
  metricsjob history sync_orders --last 1 --output json")]
pub struct HistoryArgs {
    /// Only those of this job, by its name or its job label
    #[arg(value_name = "JOB")]
    job: Option<String>,

    /// How many, at most
    #[arg(long, value_name = "N", default_value = "20", value_parser = whole::<u32>)]
    last: u32,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: HistoryArgs) -> anyhow::Result<u8> {
    let mut runs = match State::open_existing(&args.state.dir())? {
        Some(mut state) => state.history(args.job.as_deref(), args.last)?,
        None => Vec::new(),
    };
    runs.reverse();
    match (args.output.get(Strict)?, &args.job) {
        (Output::Json, _) => json::print(&runs.iter().map(RecordedRun::to_json).collect())?,
        (Output::Text, None) if runs.is_empty() => console::result("no runs so far\n")?,
        (Output::Text, Some(job)) if runs.is_empty() => {
            console::result(&format!("no runs of {} so far\n", console::visible(job)))?;
        }
        (Output::Text, _) => console::result(&text(&runs, SystemTime::now()))?,
    }
    Ok(exit::SUCCESS)
}

fn text(runs: &[RecordedRun], now: SystemTime) -> String {
    let longest = runs.iter().map(|run| run.duration).fold(0.0, f64::max);
    let rows = runs.iter().map(|run| {
        let duration = Duration::try_from_secs_f64(run.duration).unwrap_or_default();
        vec![
            run.name.clone(),
            console::labels(run.key.labels(), ","),
            console::ago(run.started_at, now),
            Outcome::words(&run.outcome, run.exit_code),
            run.attempts.to_string(),
            console::rough(duration),
            bar(run.duration, longest),
        ]
    });
    console::table(
        [
            "JOB", "GROUPING", "STARTED", "OUTCOME", "ATTEMPTS", "DURATION", "",
        ],
        rows,
    )
}

/// A bar of ten characters for `longest`.
fn bar(duration: f64, longest: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    const WIDTH: f64 = 10.0;
    if longest <= 0.0 {
        return String::new();
    }
    let eighths = (duration / longest * WIDTH * 8.0).round() as usize;
    // A run that took any time at all is visible.
    let eighths = eighths.max(usize::from(duration > 0.0));
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn bars() {
        assert_eq!(bar(2.0, 2.0), "██████████");
        assert_eq!(bar(1.0, 2.0), "█████");
        assert_eq!(bar(0.1, 8.0), "▏");
        assert_eq!(bar(0.0001, 8.0), "▏");
        assert_eq!(bar(0.0, 8.0), "");
        assert_eq!(bar(0.0, 0.0), "");
    }
}
