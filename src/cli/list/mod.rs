//! `metricsjob list`: the jobs there are.

mod details;

use std::time::SystemTime;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::completion;
use super::exit::usage;
use super::help::more;
use super::options::{JobsArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::table::{Column, TableCell, table};
use super::{console, exit, json};
use metricsjob::config::HostConfig;
use metricsjob::job::catalog::Found;
use metricsjob::job::params::Param;
use metricsjob::job::schedule::Zone;
use metricsjob::job::{DefinedIn, Job, Plan, Work};
use metricsjob_metrics::{Labels, unix_seconds};

/// How many characters of a job's work are shown.
const MAX_RUNS: usize = 60;

const EXAMPLES: &str = "\
Examples:
  metricsjob list
  metricsjob list backup                # its parameters, its schedule, its file
  metricsjob list --output json";

/// List the jobs: when and what they run, and where they are defined; or all about one job
///
/// On a terminal the table fits its width: texts are cut, and columns left out. Anywhere else it is shown in full
/// width with all columns, unless COLUMNS is set.
#[derive(Args)]
#[command(after_help = more("list", EXAMPLES), after_long_help = EXAMPLES)]
pub struct ListArgs {
    /// Show this job with its parameters; its name, or the path of a job file
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::jobs))]
    name: Option<String>,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: [Column; 5] = [
    Column::kept("NAME").down_to(10),
    Column::ranked("DESCRIPTION", 3).down_to(14),
    Column::ranked("SCHEDULE", 1).down_to(10),
    Column::ranked("RUNS", 2).down_to(12),
    Column::ranked("DEFINED IN", 4).down_to(12).keeping_end(),
];

pub fn main(args: ListArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let output = args.output.get(Strict)?;
    let catalog = args.jobs.catalog(config)?;
    if let Some(name) = &args.name {
        let job = catalog.find(name).map_err(usage)?;
        match output {
            Output::Json => json::print(&json!([job_json(&job)]))?,
            Output::Text => console::result(&details::text(&job))?,
        }
        return Ok(exit::SUCCESS);
    }
    let found = catalog.list()?;
    match output {
        Output::Json => json::print(&found.iter().map(found_json).collect())?,
        Output::Text => console::result(&text(&found))?,
    }
    for error in found.iter().filter_map(|found| found.job.as_ref().err()) {
        console::warning(&error.to_string());
    }
    Ok(exit::SUCCESS)
}

fn text(found: &[Found]) -> String {
    let rows: Vec<[TableCell; COLUMNS.len()]> = found
        .iter()
        .map(|found| {
            let (description, schedule, runs) = match &found.job {
                Ok(job) => (
                    description(job),
                    job.plan.as_ref().map_or_else(|| "-".into(), schedule_cell),
                    shortened(&job.work.to_string()),
                ),
                Err(_) => {
                    let nothing = "nothing: the file is bad, see below";
                    (String::new(), "-".into(), nothing.into())
                }
            };
            [
                found.name.as_str().into(),
                description.into(),
                schedule,
                runs.into(),
                found.defined_in.to_string().into(),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

/// Description of a job, marked if it is a demo.
fn description(job: &Job) -> String {
    let text = job.description.as_deref().unwrap_or_default();
    if job.is_demo {
        format!("(demo) {text}")
    } else {
        text.to_owned()
    }
}

/// `0 2 * * * (Europe/Berlin)`, or `every 30s`.
fn schedule(Plan { schedule, .. }: &Plan) -> String {
    match schedule.zone() {
        Some(zone) => format!("{schedule} ({zone})"),
        None => schedule.to_string(),
    }
}

/// A cell with the schedule, which does without the zone where there is little room.
fn schedule_cell(plan: &Plan) -> TableCell {
    TableCell::with_short(&schedule(plan), &plan.schedule.to_string())
}

/// The beginning of a job's work: a command can hold a whole script.
fn shortened(runs: &str) -> String {
    let line = runs.lines().next().unwrap_or_default();
    let beginning: String = line.chars().take(MAX_RUNS).collect();
    if beginning.len() < runs.len() {
        beginning + "…"
    } else {
        beginning
    }
}

/// A parameter that can be set, with its value unless it is.
fn params(job: &Job) -> Vec<(&Param, Option<&str>)> {
    let Work::Builtin(builtin, params) = &job.work else {
        return Vec::new();
    };
    let known = builtin.params().iter();
    let pairs = known.map(|param| (param, params.get(param.name).or(param.default)));
    pairs.collect()
}

fn found_json(found: &Found) -> serde_json::Value {
    match &found.job {
        Ok(job) => job_json(job),
        Err(error) => json!({
            "name": found.name,
            "job": null,
            "grouping": {},
            "defined_in": found.defined_in.to_string(),
            "file": file(&found.defined_in),
            "error": error.to_string(),
        }),
    }
}

fn job_json(job: &Job) -> serde_json::Value {
    let params = params(job);
    let params = params.iter().map(|(param, value)| {
        json!({
            "name": param.name,
            "value": value,
            "help": param.help,
        })
    });
    json!({
        "name": job.name,
        "job": job.job,
        "grouping": job.grouping.iter().collect::<Labels>(),
        "defined_in": job.defined_in.to_string(),
        "file": file(&job.defined_in),
        "error": null,
        "description": job.description,
        "is_demo": job.is_demo,
        "runs": job.work.to_string(),
        "gateways": job.gateways.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notify": job.policy.notify.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "prefix": job.prefix,
        "method": job.method.name(),
        "overlap": job.overlap.name(),
        "plan": job.plan.as_ref().map(plan_json),
        "parameters": params.collect::<Vec<_>>(),
        "timeout_seconds": job.policy.timeout.map(|timeout| json::number(timeout.as_secs_f64())),
        "retries": job.policy.retries,
    })
}

/// Path of the job file; `None` for a job that is compiled in.
fn file(defined_in: &DefinedIn) -> Option<String> {
    match defined_in {
        DefinedIn::File(path) => Some(path.display().to_string()),
        DefinedIn::CompiledIn | DefinedIn::CommandLine => None,
    }
}

fn plan_json(plan: &Plan) -> serde_json::Value {
    let next = plan.schedule.next_after(SystemTime::now());
    json::dated(json!({
        "schedule": plan.schedule.to_string(),
        "timezone": plan.schedule.zone().map(Zone::name),
        "jitter_seconds": json::number(plan.jitter.as_secs_f64()),
        "missed": plan.missed.name(),
        "next_timestamp_seconds": next.map(|next| json::number(unix_seconds(next))),
    }))
}
