//! `metricsjob history show`: one run.

use std::fmt::Write as _;
use std::time::SystemTime;

use anyhow::anyhow;
use clap::Args;

use super::rough;
use crate::cli::color::outcome_style;
use crate::cli::help::more;
use crate::cli::options::{Output, OutputArgs, StateArgs};
use crate::cli::run_summary::{summarize, tail};
use crate::cli::setting::Strictness::Strict;
use crate::cli::when::date_and_age;
use crate::cli::{console, exit, json};
use metricsjob::run::Outcome;
use metricsjob_state::State;
use metricsjob_state::history::{RecordedRun, RunOfId};

const EXAMPLES: &str = "\
Examples:
  metricsjob history show 5f3a9c01d2e4b678
  metricsjob history show 5f3a --output json";

/// Show all that is known of a run: its times, attempts, use of resources, metrics and last lines
#[derive(Args)]
#[command(after_help = more("history show", EXAMPLES), after_long_help = EXAMPLES)]
pub struct ShowRunArgs {
    /// The run's id, or the beginning of it that no other run has
    #[arg(value_name = "RUN")]
    run: String,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: &ShowRunArgs) -> anyhow::Result<u8> {
    let found = match State::open_existing(&args.state.dir())? {
        Some(mut state) => state.run_of_id(&args.run)?,
        None => RunOfId::None,
    };
    let run = match found {
        RunOfId::One(run) => run,
        RunOfId::None => {
            return Err(anyhow!(
                "the history has no run {:?} (see: metricsjob history)",
                args.run
            ));
        }
        RunOfId::Several(ids) => {
            return Err(anyhow!(
                "the ids of several runs begin with {:?}, as {} do: give more of it",
                args.run,
                ids.join(" and ")
            ));
        }
    };
    match args.output.get(Strict)? {
        Output::Json => json::print(&json::run(&run))?,
        Output::Text => console::result(&text(&run, SystemTime::now()))?,
    }
    Ok(exit::SUCCESS)
}

fn text(run: &RecordedRun, now: SystemTime) -> String {
    let outcome = Outcome::words(&run.outcome, run.exit_code);
    let style = outcome_style(&run.outcome);
    let mut text = format!(
        "{}: {style}{}{style:#}\n",
        console::visible(&run.name),
        console::visible(&outcome)
    );
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {}", console::visible(value));
    };
    if let Some(failure) = &run.failure {
        field("failure", failure);
    }
    field("run", &run.run_id);
    field("job", run.key.job());
    if !run.key.labels().is_empty() {
        field("grouping", &console::labels(run.key.labels()));
    }
    field("started", &date_and_age(run.started_at, now));
    field("ended", &date_and_age(run.ended_at, now));
    field("duration", &rough(run.duration));
    field("attempts", &run.attempts.to_string());
    let (user, system) = (rough(run.cpu_user), rough(run.cpu_system));
    field("CPU", &format!("{user} user, {system} system"));
    field("memory", &format!("{} at most", memory(run.max_rss)));
    if !run.metrics.is_empty() {
        text.push_str("metrics\n");
        for family in &run.metrics {
            summarize(&mut text, family);
        }
    }
    if !run.tail.is_empty() {
        text.push_str("last lines\n");
        tail(&mut text, &run.tail);
    }
    text
}

fn memory(bytes: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    format!("{:.1} MiB", bytes as f64 / MIB)
}
