//! `metricsjob status`: the groups of a gateway.
//!
//! - `check`: their state as a monitoring plugin says it.

mod check;

use std::cmp::Reverse;
use std::io;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

use self::check::Verdict;
use super::color::{NOTABLE, outcome_style};
use super::help::more;
use super::options::{GatewayArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::table::{Column, EXTRA, TableCell, table};
use super::when::age_cell;
use super::{console, exit, json, strays};
use metricsjob::config::HostConfig;
use metricsjob::push::strays::{GroupConcern, ReportedGroups, reporting_host};
use metricsjob::push::{Gateway, GatewayClient};
use metricsjob_metrics::{Group, LastRun, unix_seconds};
use metricsjob_state::State;
use metricsjob_state::reported::ReportedGroup;

const EXAMPLES: &str = "\
Examples:
  metricsjob status
  metricsjob status --check
  metricsjob status --check db_backup --gateway http://127.0.0.1:9091
  metricsjob status --output json
  metricsjob status --gateway http://127.0.0.1:9091";

const CHECK_CODES: &str = "\
Exit codes with --check:
  0      OK
  1      WARNING: a job with severity warning or info failed or is late, or a
         run took too long, a metric is not as expected, a push was refused
  2      CRITICAL: a job failed or is late
  3      UNKNOWN: a JOB has never reported a run, or the check itself failed";

/// Show the groups of the gateway, those that failed or are late first
///
/// OUTCOME is that of the last run, by PREFIX_success, PREFIX_exit_code and PREFIX_running of the group; `late` if the
/// time of batch_job_deadline_timestamp_seconds (or PREFIX_deadline_timestamp_seconds) has passed without a success
/// since. A group without that metric is never late. `push refused` says that the last push to the group was refused,
/// so that older metrics are shown.
///
/// A group that jobs of this host once reported to and no longer do, because a setting has changed, is warned about
/// with the command that deletes it, and so is one that another host reports to as well.
///
/// On a terminal the table fits its width: texts are cut, and columns left out. Anywhere else it is shown in full
/// width with all columns, unless COLUMNS is set.
#[derive(Args)]
#[command(after_help = more("status", EXAMPLES), after_long_help = format!("{EXAMPLES}\n\n{CHECK_CODES}"))]
pub struct StatusArgs {
    /// Jobs to show, by their label `job` [default: all]
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// Say in one line and by the exit code how the jobs are, as a monitoring plugin
    ///
    /// For Icinga, Nagios and the like: `JOBS CRITICAL - 1 of 12 jobs: sync failed (exit code 3) | …`. The worst job
    /// counts: CRITICAL, then UNKNOWN, WARNING, OK. Groups in which no run was reported are left out. With
    /// `--output json` only the exit code differs from the usual.
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// How many bytes of a gateway's response are read.
pub const MAX_ANSWER: usize = 64 << 20;

const COLUMNS: [Column; 9] = [
    Column::kept("JOB").down_to(12),
    Column::ranked("GROUPING", 1).down_to(12),
    Column::kept("OUTCOME"),
    Column::ranked("EXIT", EXTRA),
    Column::ranked("LAST SUCCESS", 2),
    Column::ranked("LAST RUN", 3),
    Column::ranked("DURATION", 4),
    Column::ranked("LAST PUSH", EXTRA + 1),
    Column::ranked("FAMILIES", EXTRA + 2),
];

/// A group with what its report says.
struct GroupRow<'a> {
    group: &'a Group,
    run: LastRun,
    is_late: bool,
    concern: Option<GroupConcern>,
}

impl GroupRow<'_> {
    fn is_refused(&self) -> bool {
        self.group.last_push_failed()
    }

    /// The group that this host reports to in its place.
    fn moved_to(&self) -> Option<&ReportedGroup> {
        match &self.concern {
            Some(GroupConcern::Moved(moved)) => Some(&moved.to),
            _ => None,
        }
    }

    /// The other host that reports to the group.
    fn other_host(&self) -> Option<&str> {
        match &self.concern {
            Some(GroupConcern::Shared { host, .. }) => Some(host),
            _ => None,
        }
    }
}

impl StatusArgs {
    /// Returns true if a program reads the output that may take stderr for a part of it.
    pub fn is_check(&self) -> bool {
        self.check
    }
}

pub fn main(args: StatusArgs, config: &HostConfig) -> anyhow::Result<u8> {
    if !args.check {
        return show(&args, config);
    }
    let is_json = matches!(args.output.get(Strict), Ok(Output::Json));
    Ok(show(&args, config).unwrap_or_else(|error| {
        // The line is there already, or JSON was asked for and there is none.
        if is_json || error.is::<io::Error>() {
            exit::report(&error);
            return exit::UNKNOWN;
        }
        check_failed(&error)
    }))
}

/// Says in the form of a monitoring plugin that a check has failed, and returns its exit code.
pub fn check_failed(error: &anyhow::Error) -> u8 {
    let failed = Verdict::failed(&exit::message(error));
    // Nobody is left to read about a stdout that is gone.
    let _ = console::result(&failed.line);
    failed.state.code()
}

fn show(args: &StatusArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let gateway = args.gateway.gateway()?;
    let output = args.output.get(Strict)?;
    let mut groups = GatewayClient::new(&gateway).groups(MAX_ANSWER)?;
    if !args.jobs.is_empty() {
        groups.retain(|group| args.jobs.iter().any(|job| job == group.key.job()));
    }
    let reported = match State::open_existing(&args.gateway.state_dir()) {
        Ok(Some(mut state)) => strays::reported(&mut state, config).unwrap_or_default(),
        // It is only about remarks.
        _ => ReportedGroups::default(),
    };
    let name = gateway.to_string();
    let now = SystemTime::now();
    let mut shown: Vec<GroupRow> = groups
        .iter()
        .map(|group| {
            let run = LastRun::of(group);
            let is_late = run.is_late(unix_seconds(now));
            GroupRow {
                group,
                run,
                is_late,
                concern: reported.concern(&name, group, unix_seconds(now)),
            }
        })
        .collect();
    shown.sort_by_key(|it| Reverse((it.run.has_failed(), it.is_late, it.is_refused())));
    let verdict = args
        .check
        .then(|| Verdict::of(&shown, &args.jobs, &gateway, now));
    match (output, &verdict) {
        (Output::Json, _) => {
            json::print(&shown.iter().map(|it| group_json(it, &gateway)).collect())?;
        }
        (Output::Text, Some(verdict)) => console::result(&verdict.line)?,
        (Output::Text, None) if shown.is_empty() => {
            let place = gateway.place();
            let of = match &args.jobs[..] {
                [] => String::new(),
                jobs => format!(" of {}", jobs.join(", ")),
            };
            console::result(&format!("no groups{of} at {place}\n"))?;
        }
        (Output::Text, None) => console::result(&text(&shown, now))?,
    }
    if let Some(verdict) = verdict {
        return Ok(verdict.state.code());
    }
    for shown in &shown {
        if let Some(concern) = &shown.concern {
            let (message, cure) = strays::words(concern, &shown.group.key, &gateway, &args.gateway);
            console::warning(&format!("{message}: {cure}"));
        }
    }
    Ok(exit::SUCCESS)
}

fn text(shown: &[GroupRow], now: SystemTime) -> String {
    let rows: Vec<_> = shown.iter().map(|shown| row(shown, now)).collect();
    table(&COLUMNS, &rows) + &sum(shown)
}

fn row(shown: &GroupRow, now: SystemTime) -> [TableCell; COLUMNS.len()] {
    let GroupRow { group, run, .. } = shown;
    let duration = run.duration;
    let duration = duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into()).into();
    [
        group.key.job().into(),
        console::labels(group.key.labels()).into(),
        outcome_cell(shown),
        or_none(run.exit_code.map(|code| code.to_string())),
        age_cell(run.last_success, now),
        age_cell(run.last_sign(), now),
        or_none(duration.map(console::rough)),
        age_cell(json::unless_never(group.push_time), now),
        group.families.len().to_string().into(),
    ]
}

/// `failure, late, push refused`.
fn outcome_cell(shown: &GroupRow) -> TableCell {
    let words = |refused| {
        let notes = [
            shown.run.outcome(),
            shown.is_late.then_some("late"),
            shown.is_refused().then_some(refused),
        ];
        let words: Vec<&str> = notes.into_iter().flatten().collect();
        words.join(", ")
    };
    let style = match shown.run.outcome() {
        Some(outcome) if shown.run.has_failed() => outcome_style(outcome),
        _ if shown.is_late || shown.is_refused() => NOTABLE,
        Some(outcome) => outcome_style(outcome),
        None => return "-".into(),
    };
    TableCell::with_short(&words("push refused"), &words("refused")).styled(style)
}

/// `12 groups, 1 failed, 2 late`.
fn sum(shown: &[GroupRow]) -> String {
    let count = |is: fn(&GroupRow) -> bool| shown.iter().filter(|shown| is(shown)).count();
    let groups = console::count(shown.len() as u64, "1 group", "groups");
    let mut parts = vec![groups];
    for (number, what) in [
        (count(|shown| shown.run.has_failed()), "failed"),
        (count(|shown| shown.is_late), "late"),
        (count(|shown| shown.is_refused()), "with a refused push"),
        (count(|shown| shown.moved_to().is_some()), "left behind"),
        (
            count(|shown| shown.other_host().is_some()),
            "shared with another host",
        ),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.join(", ") + "\n"
}

fn group_json(shown: &GroupRow, gateway: &Gateway) -> serde_json::Value {
    let GroupRow { group, run, .. } = shown;
    let time = |time: f64| json::unless_never(time).map(json::number);
    json::dated(json!({
        "gateway": gateway.to_string(),
        "job": group.key.job(),
        "grouping": group.key.labels(),
        "outcome": run.outcome(),
        "exit_code": run.exit_code.map(json::number),
        "is_late": shown.is_late,
        "host": reporting_host(group),
        "shared_with": shown.other_host(),
        "moved_to": shown.moved_to().map(|to| json!({
            "gateway": to.gateway,
            "job": to.key.job(),
            "grouping": to.key.labels(),
            "prefix": to.prefix,
        })),
        "push_time_seconds": time(group.push_time),
        "push_failure_time_seconds": time(group.push_failure_time),
        "start_timestamp_seconds": run.started_at.map(json::number),
        "last_completion_timestamp_seconds": run.ended_at.map(json::number),
        "last_success_timestamp_seconds": run.last_success.map(json::number),
        "deadline_timestamp_seconds": run.deadline.map(json::number),
        "duration_seconds": run.duration.map(json::number),
        "families": group.families.iter().map(json::family).collect::<Vec<_>>(),
    }))
}
