//! `metricsjob run`: run a job and report it.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::completion;
use super::exit::usage;
use super::help::{JOB, more};
use super::options::{JobsArgs, name_and_value};
use super::perform::{self, PerformArgs, Verbosity};
use metricsjob::config::HostConfig;
use metricsjob::job::{Job, Work};

const EXAMPLES: &str = "\
Examples:
  metricsjob run backup --grouping db=customers
  metricsjob run backup --set source=shop.db --set dest=/backup/shop.db
  metricsjob run random --gateway http://127.0.0.1:9091

`metricsjob list` shows the jobs and their parameters.";

/// Run a job and report how it went
///
/// A failed push never changes the job's exit code: it is only warned about, and the report stays in the
/// outbox of the state directory.
#[derive(Args)]
#[command(mut_arg("jobs_dir", |arg| arg.hide_short_help(true)),
    mut_arg("state_dir", |arg| arg.hide_short_help(true)),
    mut_arg("output", |arg| arg.hide_short_help(true)),
    after_help = more("run", EXAMPLES), after_long_help = EXAMPLES)]
pub struct RunArgs {
    /// Name of a job, or path of a job file
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::jobs))]
    name: String,

    /// Parameter of a built-in job (repeatable)
    #[arg(long, value_name = "PARAM=VALUE", value_parser = name_and_value, help_heading = JOB, add = ArgValueCandidates::new(completion::params))]
    set: Vec<(String, String)>,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    perform: PerformArgs,
}

pub fn main(args: RunArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let mut job = args.jobs.catalog(config)?.find(&args.name).map_err(usage)?;
    set_params(&mut job, &args.set)?;
    perform::main(job, &args.perform, Verbosity::Always)
}

fn set_params(job: &mut Job, settings: &[(String, String)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        match &mut job.work {
            Work::Builtin(_, params) => params.set(name, value, format!("--set {name}")),
            Work::Command(_) => {
                return Err(usage(anyhow::anyhow!(
                    "--set {name}: {} runs a command, and only a built-in has parameters",
                    job.name
                )));
            }
        }
    }
    Ok(())
}
