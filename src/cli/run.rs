//! `metricsjob run`: run a job and report it.

use clap::Args;

use super::exit::usage;
use super::options::{JobsArgs, name_and_value};
use super::perform::{self, PerformArgs, Verbosity};
use metricsjob::config::Config;
use metricsjob::job::{Job, Work};

/// Run a job and report how it went
///
/// A push that fails never changes the job's exit code: it is warned about, and the report is kept
/// in the outbox of the state directory.
#[derive(Args)]
#[command(after_help = "\
Examples:
  metricsjob run backup --grouping db=customers
  metricsjob run backup --set source=shop.db --set dest=/backup/shop.db -g db=shop
  metricsjob run random --set seed=7 --gateway http://127.0.0.1:9091
  METRICSJOB_GATEWAY=http://pushgateway:9091 metricsjob run backup --quiet --retries 2

`metricsjob list` shows the jobs and what can be set. A command without job file: metricsjob exec.")]
pub struct RunArgs {
    /// The job's name, or the path of a job file
    #[arg(value_name = "JOB")]
    name: String,

    /// Set a parameter of the built-in; can be given several times
    #[arg(long, value_name = "PARAM=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    perform: PerformArgs,
}

pub fn main(args: RunArgs, config: &Config) -> anyhow::Result<u8> {
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
