//! `metricsjob generate crontab`: scheduled jobs for cron.

use std::time::SystemTime;

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::run_options::ProgramArgs;
use crate::cli::exit::usage;
use crate::cli::help::{JOB, more};
use crate::cli::options::JobsArgs;
use crate::cli::{completion, console, exit};
use metricsjob::config::HostConfig;
use metricsjob::generate::crontab::{CrontabOptions, crontab};
use metricsjob::job::catalog::Catalog;
use metricsjob::job::{DefinedIn, Job};

const EXAMPLES: &str = "\
Examples:
  metricsjob generate crontab
  metricsjob generate crontab nightly sync >jobs.crontab && crontab jobs.crontab
  metricsjob generate crontab --program /usr/local/bin/metricsjob";

/// Print the scheduled jobs as a crontab
///
/// It is a user's crontab: a line for each job, with the absolute paths of the program and of the job file. An overlap that
/// is \"skip\" becomes --lock, jitter becomes --splay. cron goes by the clock of this machine, and so must the schedules,
/// unless it is cronie, which knows CRON_TZ (--cron-tz).
#[derive(Args)]
#[command(after_help = more("generate crontab", EXAMPLES), after_long_help = EXAMPLES)]
pub struct CrontabArgs {
    /// Names of jobs, or paths of job files [default: all with a file and a schedule, without demos]
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::jobs))]
    names: Vec<String>,

    /// Set CRON_TZ for schedules in other time zones, which Debian's cron ignores
    #[arg(long, help_heading = JOB)]
    cron_tz: bool,

    #[command(flatten)]
    program: ProgramArgs,

    #[command(flatten)]
    jobs: JobsArgs,
}

pub fn main(args: CrontabArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let catalog = args.jobs.catalog(config)?;
    let jobs = if args.names.is_empty() {
        scheduled(&catalog)?
    } else {
        let jobs = args.names.iter().map(|name| catalog.find(name));
        jobs.collect::<Result<_, _>>().map_err(usage)?
    };
    if jobs.is_empty() {
        return Err(usage(anyhow!(
            "no job file has a schedule: give one its schedule = \"…\", or name its directory by --jobs-dir"
        )));
    }
    let options = CrontabOptions {
        program: args.program.path()?,
        has_zones: args.cron_tz,
    };
    let crontab = crontab(&jobs, &options, SystemTime::now()).map_err(usage)?;
    for note in &crontab.notes {
        console::warning(note);
    }
    console::result(&crontab.text)?;
    Ok(exit::SUCCESS)
}

/// The jobs of files that have a schedule, without demos. A bad file is an error, because the line of its job would be missing.
fn scheduled(catalog: &Catalog) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for found in catalog.list().map_err(usage)? {
        if matches!(found.defined_in, DefinedIn::File(_)) {
            let job = found.job.map_err(usage)?;
            if job.plan.is_some() && !job.is_demo {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}
