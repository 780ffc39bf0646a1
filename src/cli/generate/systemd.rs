//! `metricsjob generate systemd`: a job as a service and its timer.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::run_options::{ProgramArgs, RunLabelArgs};
use crate::cli::exit::usage;
use crate::cli::help::{JOB, OUTPUT, more};
use crate::cli::options::JobsArgs;
use crate::cli::{completion, console, exit};
use metricsjob::config::HostConfig;
use metricsjob::generate::systemd::{UnitOptions, units};

const EXAMPLES: &str = "\
Examples:
  metricsjob generate systemd nightly
  metricsjob generate systemd nightly --directory /etc/systemd/system
  metricsjob generate systemd sync --user orders
  metricsjob generate systemd sync -g site=berlin --name sync-berlin
  systemctl enable --now metricsjob-nightly.timer";

/// Print a job as a service of systemd and its timer
///
/// The timer elapses when the job's schedule is due, in its time zone; jitter and missed are those of the job file. A job
/// whose runs overlap is none for systemd, which starts no service that is running. The service has a user and a state
/// directory of its own, and few rights; what a job needs besides goes into a drop-in (systemctl edit).
#[derive(Args)]
#[command(after_help = more("generate systemd", EXAMPLES), after_long_help = EXAMPLES)]
pub struct SystemdArgs {
    /// Name of a job, or path of a job file
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::jobs))]
    job: String,

    /// Name of the units [default: metricsjob-JOB]
    #[arg(long, value_name = "NAME", help_heading = JOB)]
    name: Option<String>,

    /// User of the service [default: one that exists while it runs]
    #[arg(long, value_name = "USER", help_heading = JOB)]
    user: Option<String>,

    #[command(flatten)]
    program: ProgramArgs,

    #[command(flatten)]
    grouping: RunLabelArgs,

    #[command(flatten)]
    jobs: JobsArgs,

    /// Directory to write the two units into, instead of printing them
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    directory: Option<PathBuf>,
}

pub fn main(args: SystemdArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let job = args.jobs.catalog(config)?.find(&args.job).map_err(usage)?;
    let options = UnitOptions {
        name: args.name,
        program: args.program.path()?,
        user: args.user,
        options: args.grouping.options()?,
    };
    let units = units(&job, &options, SystemTime::now()).map_err(usage)?;
    for note in &units.notes {
        console::warning(note);
    }
    let files = [("service", &units.service), ("timer", &units.timer)];
    let files = files.map(|(kind, text)| (format!("{}.{kind}", units.name), text));
    match args.directory {
        Some(directory) => {
            for (name, text) in files {
                let path = directory.join(name);
                fs::write(&path, text)
                    .with_context(|| format!("could not write {}", path.display()))?;
            }
        }
        None => {
            let shown = files.map(|(name, text)| format!("# /etc/systemd/system/{name}\n{text}"));
            console::result(&shown.join("\n"))?;
        }
    }
    Ok(exit::SUCCESS)
}
