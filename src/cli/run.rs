//! `metricsjob run`: run a job and report it.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::exit::usage;
use super::options::{
    GatewayArgs, GroupingArgs, JobsArgs, Output, OutputArgs, method, name_and_value,
};
use super::progress::Bar;
use super::{console, json};
use crate::job::builtin::{NoProgress, Progress};
use crate::job::{Job, Work};
use crate::metrics::{
    Family, GroupingKey, Method, Value, check::CheckError, series_name, unix_seconds,
};
use crate::push::{self, Delivery, Gateway, GatewayError, Kept, Push};
use crate::run::{self, Run, report::report};
use crate::state::StateError;

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

    /// Print errors and warnings only
    #[arg(short, long, env = "METRICSJOB_QUIET", value_parser = clap::builder::FalseyValueParser::new())]
    quiet: bool,

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

    let finished = run::run(&job, &*progress(args.quiet)).map_err(usage)?;
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
    let told = Told {
        job: &job,
        run: &finished,
        gateway: &gateway,
        push: push.as_ref(),
        delivery: delivery.as_ref(),
    };
    match args.output.output {
        Output::Json if !args.dry_run => drop(json::print(&told.json())),
        _ if args.quiet => {}
        _ => {
            let summary = told.summary(&args.gateway);
            // What a command writes to stdout is its own, and a printed request is the result.
            if matches!(job.work, Work::Command(_)) || args.dry_run {
                console::side_note(&summary);
            } else {
                drop(console::result(&summary));
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
pub fn warn(error: &GatewayError, kept: &Result<Kept, StateError>) {
    let fate = match kept {
        Ok(Kept { id, path }) => {
            format!(
                "the report is kept as outbox entry {id} in {}",
                path.display()
            )
        }
        Err(lost) => format!("the report is lost, because it could not be kept either: {lost}"),
    };
    console::warning(&format!("{error}; {fate}"));
}

/// All that there is to tell about a run.
struct Told<'a> {
    job: &'a Job,
    run: &'a Run,
    gateway: &'a Gateway,
    /// Or why the report is none that a gateway could take as it is meant.
    push: Result<&'a Push, &'a CheckError>,
    /// `None` if nothing was sent.
    delivery: Option<&'a Delivery>,
}

impl Told<'_> {
    fn summary(&self, args: &GatewayArgs) -> String {
        let Told { job, run, .. } = self;
        let mut text = String::new();
        let duration = console::rough(run.duration);
        let _ = writeln!(text, "{}: {} in {duration}", job.name, run.outcome);
        for family in &run.metrics {
            summarize(&mut text, family);
        }
        if let Ok(push) = self.push {
            let method = push.method().http();
            let place = self.gateway.group_place(push.key());
            let _ = match self.delivery {
                Some(Delivery::Delivered) => writeln!(
                    text,
                    "  reported by {method} to {place}\n  show it with: {}",
                    args.status_command(self.gateway)
                ),
                Some(Delivery::Undelivered { .. }) => {
                    writeln!(text, "  not reported: {method} to {place}")
                }
                None => writeln!(text, "  not sent (dry run): {method} to {place}"),
            };
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let Told { job, run, .. } = self;
        let push = self.push.ok();
        let (error, entry) = match (self.push, self.delivery) {
            (Err(error), _) => (Some(error.to_string()), None),
            (_, Some(Delivery::Undelivered { error, kept })) => (
                Some(error.to_string()),
                kept.as_ref().ok().map(|kept| kept.id),
            ),
            (_, Some(Delivery::Delivered) | None) => (None, None),
        };
        json!({
            "name": job.name,
            "outcome": run.outcome.name(),
            "exit_code": run.outcome.exit_code(),
            "failure": run.failure,
            "start_timestamp_seconds": json::number(unix_seconds(run.started_at)),
            "completion_timestamp_seconds": json::number(unix_seconds(run.completed_at)),
            "duration_seconds": json::number(run.duration.as_secs_f64()),
            "attempts": run.attempts,
            "metrics": run.metrics.iter().map(json::family).collect::<Vec<_>>(),
            "push": {
                "gateway": self.gateway.to_string(),
                "method": job.method.name(),
                "grouping_key": push.map(Push::key),
                "url": push.map(|push| self.gateway.group_url(push.key())),
                "delivered": matches!(self.delivery, Some(Delivery::Delivered)),
                "error": error,
                "outbox_entry": entry,
            },
        })
    }
}

fn summarize(text: &mut String, family: &Family) {
    for metric in &family.metrics {
        let series = series_name(&family.name, &metric.labels);
        let _ = match &metric.value {
            Value::Number(value) => writeln!(text, "  {series} {value}"),
            Value::Summary { count, .. } | Value::Histogram { count, .. } => {
                writeln!(text, "  {series} {count} observed")
            }
        };
    }
}
