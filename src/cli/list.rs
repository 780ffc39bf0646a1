//! `metricsjob list`: the jobs there are.

use clap::Args;
use serde_json::json;

use super::help::more;
use super::options::{JobsArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::{console, exit, json};
use metricsjob::config::Config;
use metricsjob::job::catalog::Found;
use metricsjob::job::params::Param;
use metricsjob::job::schedule::Zone;
use metricsjob::job::{Job, Plan, Work};

/// How many characters of a job's work are shown.
const MAX_RUNS: usize = 60;

/// List the jobs: when and what they run, and where they are defined
#[derive(Args)]
#[command(after_help = more("list", ""), after_long_help = "")]
pub struct ListArgs {
    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: ListArgs, config: &Config) -> anyhow::Result<u8> {
    let found = args.jobs.catalog(config)?.list()?;
    match args.output.get(Strict)? {
        Output::Json => json::print(&found.iter().map(found_json).collect())?,
        Output::Text => console::result(&text(&found))?,
    }
    for error in found.iter().filter_map(|found| found.job.as_ref().err()) {
        console::warning(&error.to_string());
    }
    Ok(exit::SUCCESS)
}

fn text(found: &[Found]) -> String {
    let rows = found.iter().map(|found| {
        let (description, schedule, runs) = match &found.job {
            Ok(job) => (
                description(job),
                job.plan.as_ref().map_or("-".into(), schedule),
                shortened(&job.work.to_string()),
            ),
            Err(_) => {
                let nothing = "nothing: the file is bad, see below";
                (String::new(), "-".into(), nothing.into())
            }
        };
        vec![
            found.name.clone(),
            description,
            schedule,
            runs,
            found.defined_in.to_string(),
        ]
    });
    let headings = ["NAME", "DESCRIPTION", "SCHEDULE", "RUNS", "DEFINED IN"];
    let mut text = console::table(headings, rows);
    let params = found
        .iter()
        .filter_map(|found| found.job.as_ref().ok())
        .flat_map(params);
    let rows: Vec<Vec<String>> = params.collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&console::table(["NAME", "--set", "DEFAULT", ""], rows));
    }
    text
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

/// Parameters of a job that can be set, a row each.
fn params(job: &Job) -> Vec<Vec<String>> {
    let Work::Builtin(builtin, params) = &job.work else {
        return Vec::new();
    };
    let row = |param: &Param| {
        let default = params.get(param.name).or(param.default);
        vec![
            job.name.clone(),
            param.name.into(),
            default.unwrap_or("-").into(),
            param.help.into(),
        ]
    };
    builtin.params().iter().map(row).collect()
}

fn found_json(found: &Found) -> serde_json::Value {
    let defined_in = found.defined_in.to_string();
    match &found.job {
        Err(error) => json!({
            "name": found.name,
            "defined_in": defined_in,
            "error": error.to_string(),
        }),
        Ok(job) => json!({
            "name": found.name,
            "defined_in": defined_in,
            "description": job.description,
            "is_demo": job.is_demo,
            "runs": job.work.to_string(),
            "job": job.job,
            "prefix": job.prefix,
            "method": job.method.name(),
            "grouping": job.grouping,
            "overlap": job.overlap.name(),
            "plan": job.plan.as_ref().map(plan_json),
        }),
    }
}

fn plan_json(plan: &Plan) -> serde_json::Value {
    json!({
        "schedule": plan.schedule.to_string(),
        "timezone": plan.schedule.zone().map(Zone::name),
        "jitter_seconds": json::number(plan.jitter.as_secs_f64()),
        "missed": plan.missed.name(),
    })
}
