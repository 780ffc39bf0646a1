//! `metricsjob forget`: remove a job everywhere.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value as Json, json};

use super::completion;
use super::console::count;
use super::exit::{self, usage};
use super::grouping_options::typed_labels;
use super::help::{GROUPING, more};
use super::options::{GatewayArgs, JobsArgs, Output, OutputArgs, name_and_value};
use super::setting::Strictness::Strict;
use super::{console, json};
use metricsjob::config::HostConfig;
use metricsjob::push::{self, Gateway};
use metricsjob::run::Signals;
use metricsjob::run::lock::{Lock, Locking};
use metricsjob_metrics::GroupingKey;
use metricsjob_state::State;
use metricsjob_state::forget::Forgotten;

const EXAMPLES: &str = "\
Examples:
  metricsjob forget sync_orders
  metricsjob forget backup -g db=customers --gateway http://pushgateway:9091
  metricsjob forget sync_orders --dry-run";

/// Remove a job everywhere: groups, history, counters, reports in the outbox
///
/// Without -g these are all groups that the job, by its name or its `job` label, has reported to from this
/// host. With -g it is the group with exactly these labels. The groups are deleted from the gateways that
/// --gateway names, else from the configured ones and those that the job's file names.
///
/// A job that is running is not forgotten. If a gateway cannot be reached, the history stays, so that the
/// same command can finish the work later.
#[derive(Args)]
#[command(after_help = more("forget", EXAMPLES), after_long_help = EXAMPLES)]
pub struct ForgetArgs {
    /// Name or `job` label of the job
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(completion::known_jobs))]
    job: String,

    /// Label of the one group to forget (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = GROUPING, add = ArgValueCandidates::new(completion::group_labels))]
    grouping: Vec<(String, String)>,

    /// Show what would be removed, and remove nothing
    #[arg(long, help_heading = GROUPING)]
    dry_run: bool,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: ForgetArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let output = args.output.get(Strict)?;
    let gateways = gateways(&args, config)?;
    let keys = keys(&args)?;
    let mut code = exit::SUCCESS;
    let mut forgotten = Vec::new();
    for key in &keys {
        if args.dry_run {
            for gateway in &gateways {
                console::result(&format!("would forget {}\n", gateway.group_place(key)))?;
            }
            continue;
        }
        match forget(&args, &gateways, key) {
            Ok(what) if output == Output::Json => forgotten.push(what.json(key)),
            Ok(what) => console::result(&what.text(key))?,
            Err(error) => code = exit::report(&error),
        }
    }
    if output == Output::Json && !args.dry_run {
        json::print(&forgotten.into())?;
    }
    Ok(code)
}

/// The gateways that may have its groups.
fn gateways(args: &ForgetArgs, config: &HostConfig) -> anyhow::Result<Vec<Gateway>> {
    let mut named = Vec::new();
    for found in args.jobs.catalog(config)?.list().map_err(usage)? {
        match found.job {
            Ok(job) if [&job.name, &job.job].contains(&&args.job) => named.extend(job.gateways),
            Err(error) if found.name == args.job => {
                console::warning(&error.to_string());
                console::warning("the groups stay at gateways that this file names: mend it first");
            }
            _ => {}
        }
    }
    let targets = args.gateway.all_targets(named, Strict)?;
    Ok(targets.gateways)
}

/// The groups that are meant.
fn keys(args: &ForgetArgs) -> anyhow::Result<Vec<GroupingKey>> {
    let labels = typed_labels(&args.grouping)?.labels().map_err(usage)?;
    let alone = GroupingKey::new(&args.job, labels).map_err(usage)?;
    if !args.grouping.is_empty() {
        return Ok(vec![alone]);
    }
    let known = match State::open_existing(&args.gateway.state_dir())? {
        Some(mut state) => state.keys_of(&args.job)?,
        None => Vec::new(),
    };
    Ok(if known.is_empty() { vec![alone] } else { known })
}

/// Outcome of forgetting one group.
struct ForgottenGroup<'a> {
    /// Each gateway, and whether it had the group, where that is known.
    gateways: Vec<(&'a Gateway, Option<bool>)>,
    state: Forgotten,
}

fn forget<'a>(
    args: &ForgetArgs,
    gateways: &'a [Gateway],
    key: &GroupingKey,
) -> anyhow::Result<ForgottenGroup<'a>> {
    let state_dir = args.gateway.state_dir();
    let mut state = State::open_existing(&state_dir)?;
    // Held until all is gone: a run that begins meanwhile would leave a part of it.
    let _lock = match &state {
        Some(_) => match Lock::acquire(&state_dir, key, "", Duration::ZERO, &Signals::default())? {
            Locking::Locked(lock) => Some(lock),
            Locking::Busy(holder) => {
                let process =
                    holder.map_or_else(String::new, |holder| format!(" (process {})", holder.pid));
                return Err(anyhow!(
                    "a run of {{{key}}} is in progress{process}: forget it once that has ended"
                ));
            }
            Locking::Interrupted(signal) => {
                return Err(anyhow!(
                    "signal {} came before anything was removed",
                    signal.number
                ));
            }
        },
        None => None,
    };
    let mut existed = Vec::new();
    let mut reports = 0;
    for gateway in gateways {
        let (had, dropped) = push::delete(gateway, key, &state_dir)?;
        reports += dropped;
        existed.push((gateway, had));
    }
    let mut forgotten = match &mut state {
        Some(state) => state.forget(key)?,
        None => Forgotten::default(),
    };
    forgotten.reports += reports;
    Ok(ForgottenGroup {
        gateways: existed,
        state: forgotten,
    })
}

impl ForgottenGroup<'_> {
    fn text(&self, key: &GroupingKey) -> String {
        let Forgotten {
            runs,
            counters,
            reports,
        } = self.state;
        let groups = self
            .gateways
            .iter()
            .map(|(gateway, existed)| match existed {
                Some(false) => format!("no group at {}", gateway.place()),
                _ => format!("its group at {}", gateway.place()),
            });
        let rest = [
            (runs, "a run", "runs"),
            (counters, "a counter", "counters"),
            (reports, "a report in the outbox", "reports in the outbox"),
        ];
        let rest = rest.into_iter().filter(|(number, ..)| *number > 0);
        let rest = rest.map(|(number, one, many)| count(number, one, many));
        let parts: Vec<String> = groups.chain(rest).collect();
        format!("forgot {{{key}}}: {}\n", parts.join(", "))
    }

    fn json(&self, key: &GroupingKey) -> Json {
        let gateways = self.gateways.iter();
        let gateways = gateways
            .map(|(gateway, existed)| json!({"gateway": gateway.to_string(), "existed": existed}));
        json!({
            "job": key.job(),
            "grouping": key.labels(),
            "gateways": gateways.collect::<Vec<_>>(),
            "runs": self.state.runs,
            "counters": self.state.counters,
            "reports": self.state.reports,
        })
    }
}
