//! `metricsjob run`: run a job and report it.

use std::process::ExitCode;

use clap::Args;

use super::exit::usage;
use super::options::{
    GatewayArgs, GroupingArgs, JobsArgs, Output, OutputArgs, QuietArgs, method, name_and_value,
};
use super::progress::Bar;
use super::run_summary::Summary;
use super::{console, json};
use crate::job::builtin::{NoProgress, Progress};
use crate::job::{Job, Work};
use crate::metrics::{GroupingKey, Method};
use crate::push::{self, Delivery, GatewayError, Kept, Push};
use crate::run::{self, Interrupt, report::report};

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
  METRICSJOB_GATEWAY=http://pushgateway:9091 metricsjob run backup --quiet

`metricsjob list` shows the jobs and what can be set.")]
pub struct RunArgs {
    /// The job's name, or the path of a job file
    #[arg(value_name = "JOB")]
    name: String,

    #[command(flatten)]
    grouping: GroupingArgs,

    /// How the report changes its group: put replaces it, post adds to it [default: the job's]
    #[arg(long, value_name = "put|post", env = "METRICSJOB_METHOD", value_parser = method)]
    method: Option<Method>,

    /// Set a parameter of the built-in; can be given several times
    #[arg(long, value_name = "PARAM=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,

    /// Run the job, but print the push instead of sending it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: RunArgs) -> anyhow::Result<ExitCode> {
    let mut job = args.jobs.catalog()?.find(&args.name).map_err(usage)?;
    override_job(&mut job, &args)?;
    let key = grouping_key(&job, args.grouping.labels())?;
    let gateway = args.gateway.gateway()?;

    let finished =
        run::run(&job, &*progress(args.quiet.quiet), &Interrupt::default()).map_err(usage)?;
    if let Some(failure) = &finished.failure {
        console::error(&format!("{}: {failure}", job.name));
    }
    let families = report(&finished, &job.prefix);
    let push = Push::new(key, job.method, families, finished.completed_at);
    let mut delivery = None;
    match &push {
        Err(error) => {
            console::warning(&format!(
                "the report of {} is not pushed: {error}",
                job.name
            ));
        }
        // The job's end is what counts: what cannot be printed here changes nothing.
        Ok(push) if args.dry_run => drop(console::result(&push.request_text(&gateway))),
        Ok(push) => {
            let done = push::deliver(push, &gateway, &args.gateway.state_dir());
            if let Delivery::Undelivered { error, kept } = &done {
                warn(error, kept);
            }
            delivery = Some(done);
        }
    }
    let summary = Summary {
        job: &job,
        run: &finished,
        gateway: &gateway,
        push: push.as_ref(),
        delivery: delivery.as_ref(),
    };
    match args.output.output {
        Output::Json if !args.dry_run => drop(json::print(&summary.json())),
        _ if args.quiet.quiet => {}
        _ => {
            let text = summary.text(&args.gateway.status_command(&gateway));
            // What a command writes to stdout is its own, and a printed request is the result.
            if matches!(job.work, Work::Command(_)) || args.dry_run {
                console::side_note(&text);
            } else {
                drop(console::result(&text));
            }
        }
    }
    Ok(ExitCode::from(finished.outcome.exit_code()))
}

/// The command line's say over the definition.
fn override_job(job: &mut Job, args: &RunArgs) -> anyhow::Result<()> {
    if let Some(method) = args.method {
        job.method = method;
    }
    for (name, value) in &args.set {
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

/// The job's grouping labels and those of the command line, which win.
fn grouping_key(job: &Job, labels: Vec<(String, String)>) -> anyhow::Result<GroupingKey> {
    let own = job.grouping.clone().into_iter();
    let given = |name: &String| labels.iter().any(|(given, _)| given == name);
    let own: Vec<_> = own.filter(|(name, _)| !given(name)).collect();
    GroupingKey::new(&job.job, own.into_iter().chain(labels)).map_err(usage)
}

fn progress(quiet: bool) -> Box<dyn Progress> {
    if !quiet && Bar::is_visible() {
        Box::new(Bar::default())
    } else {
        Box::new(NoProgress)
    }
}

/// Says on stderr why a push was not delivered and where it is.
pub fn warn(error: &GatewayError, kept: &Kept) {
    let fate = match kept {
        Kept::InOutbox { id, path } => {
            format!(
                "the report is kept as outbox entry {id} in {}",
                path.display()
            )
        }
        Kept::Lost(lost) => {
            format!("the report is lost, because it could not be kept either: {lost}")
        }
        Kept::LostWithGateway => "the report is lost".into(),
    };
    console::warning(&format!("{error}; {fate}"));
}
