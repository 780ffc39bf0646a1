//! `metricsjob delete`: delete a group, or all that a selector selects.

use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value as Json, json};

use super::advice::with_advice;
use super::completion;
use super::console::count;
use super::exit::{self, usage};
use super::grouping_options::typed_labels;
use super::help::{GROUPING, more};
use super::options::{GatewayArgs, Output, OutputArgs, QuietArgs, name_and_value};
use super::setting::Strictness::Strict;
use super::status::MAX_ANSWER;
use super::{console, json};
use metricsjob::job::duration;
use metricsjob::push::{self, DeletedGroups, Gateway, GatewayError, GroupSelection};
use metricsjob_metrics::selector::group_selectors;
use metricsjob_metrics::{GroupingKey, unix_seconds};

const EXAMPLES: &str = "\
Examples:
  metricsjob delete --job db_backup -g db=customers
  metricsjob delete --match '{job=\"ci\",branch=~\"feature/.*\"}' --dry-run
  metricsjob delete --match '{instance=\"web-1\"}' --older-than 7d";

/// Delete a group from the gateway, or all groups that a selector selects
///
/// With --job and -g only the group with exactly this grouping key is deleted. As with a Pushgateway, a group that does
/// not exist is no error. Reports for the group that wait in the outbox are dropped: they would bring it back.
///
/// With --match it is all groups whose labels match, as in PromQL: =, !=, =~ and !~ with regular expressions that match
/// the whole value; a label that a group does not have is empty. A selector that an empty value satisfies is refused.
///
/// A gateway of metricsjob with --web.enable-admin-api, and the embedded gateway, delete them in one transaction. From any
/// other they are listed and deleted one by one: one that is pushed to meanwhile goes too, and what cannot be deleted is
/// reported, with exit code 69.
#[derive(Args)]
#[command(after_help = more("delete", EXAMPLES), after_long_help = EXAMPLES)]
pub struct DeleteArgs {
    /// Value of the `job` label of the one group
    #[arg(long, value_name = "JOB", required_unless_present = "selectors", conflicts_with = "selectors", help_heading = GROUPING, add = ArgValueCandidates::new(completion::group_jobs))]
    job: Option<String>,

    /// Further label of its grouping key (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value, conflicts_with = "selectors", help_heading = GROUPING, add = ArgValueCandidates::new(completion::group_labels))]
    grouping: Vec<(String, String)>,

    /// Delete all groups that this selector selects (repeatable: those of either)
    #[arg(long = "match", id = "selectors", value_name = "SELECTOR", help_heading = GROUPING)]
    selectors: Vec<String>,

    /// Delete only those without a successful push for so long
    ///
    /// A group that was never pushed to successfully is as old as its last failed push.
    #[arg(long, value_name = "DURATION", requires = "selectors", conflicts_with = "job", value_parser = duration::parse_positive, help_heading = GROUPING)]
    older_than: Option<Duration>,

    /// Show what would be deleted, and delete nothing
    #[arg(long, help_heading = GROUPING)]
    dry_run: bool,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: DeleteArgs) -> anyhow::Result<u8> {
    let output = args.output.get(Strict)?;
    let mut results = Results {
        is_quiet: args.quiet.get(Strict)? && !args.dry_run || output == Output::Json,
        rows: Vec::new(),
    };
    let code = match &args.job {
        Some(job) => one(&args, job, &mut results)?,
        None => selected(&args, &mut results)?,
    };
    if output == Output::Json {
        json::print(&results.rows.into())?;
    }
    Ok(code)
}

/// The results for stdout.
struct Results {
    is_quiet: bool,
    /// The groups for `--output json`.
    rows: Vec<Json>,
}

impl Results {
    fn say(&self, text: &str) -> std::io::Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        console::result(text)
    }

    fn add(
        &mut self,
        gateway: &Gateway,
        key: &GroupingKey,
        is_deleted: bool,
        error: Option<&GatewayError>,
    ) {
        self.rows.push(json!({
            "gateway": gateway.to_string(),
            "job": key.job(),
            "grouping": key.labels(),
            "deleted": is_deleted,
            "error": error.map(with_advice),
        }));
    }
}

fn one(args: &DeleteArgs, job: &str, results: &mut Results) -> anyhow::Result<u8> {
    let labels = typed_labels(&args.grouping)?.labels().map_err(usage)?;
    let key = GroupingKey::new(job, labels).map_err(usage)?;
    let gateways = args.gateway.gateways()?;
    let mut code = exit::SUCCESS;
    for gateway in &gateways {
        if args.dry_run {
            results.add(gateway, &key, false, None);
            results.say(&format!("DELETE {}\n", gateway.group_url(&key)))?;
            continue;
        }
        match push::delete(gateway, &key, &args.gateway.state_dir()) {
            Ok((existed, forgotten)) => {
                results.add(gateway, &key, existed != Some(false), None);
                let forgotten = and_forgotten(forgotten);
                results.say(&match existed {
                    Some(false) => {
                        let place = gateway.group_place(&key);
                        format!("nothing to delete: {place} does not exist{forgotten}\n")
                    }
                    _ => format!(
                        "deleted group {{{key}}} from {}{forgotten}\n",
                        gateway.place()
                    ),
                })?;
            }
            Err(error) => {
                results.add(gateway, &key, false, Some(&error));
                code = exit::report(&error.into());
            }
        }
    }
    Ok(code)
}

fn and_forgotten(forgotten: u64) -> String {
    match forgotten {
        0 => String::new(),
        n => {
            let reports = count(n, "a report in the outbox", "reports in the outbox");
            format!(", and {reports} for it")
        }
    }
}

fn selected(args: &DeleteArgs, results: &mut Results) -> anyhow::Result<u8> {
    let selectors = group_selectors(&args.selectors);
    let selectors = selectors.map_err(|error| usage(anyhow!("--match: {error}")))?;
    if let Some(ago) = args.older_than
        && ago.as_secs_f64() > unix_seconds(SystemTime::now())
    {
        return Err(usage(anyhow!("--older-than: that is before 1970")));
    }
    let selection = GroupSelection {
        selectors,
        older_than: args.older_than,
    };
    let mut code = exit::SUCCESS;
    for gateway in &args.gateway.gateways()? {
        let outcome = if args.dry_run {
            preview(&selection, gateway, results)
        } else {
            let state_dir = args.gateway.state_dir();
            match selection.delete(gateway, &state_dir, MAX_ANSWER) {
                Ok(deleted) => print(gateway, deleted, results),
                Err(error) => Err(error.into()),
            }
        };
        match outcome {
            Ok(exit::SUCCESS) => {}
            Ok(failure) => code = failure,
            Err(error) => code = exit::report(&error),
        }
    }
    Ok(code)
}

fn preview(
    selection: &GroupSelection,
    gateway: &Gateway,
    results: &mut Results,
) -> anyhow::Result<u8> {
    let groups = selection.groups(gateway, MAX_ANSWER)?;
    for group in &groups {
        results.add(gateway, &group.key, false, None);
        results.say(&format!("would delete {{{}}}\n", group.key))?;
    }
    let place = gateway.place();
    results.say(&match groups.len() {
        0 => nothing(gateway),
        number => format!("would delete {} from {place}\n", groups_of(number)),
    })?;
    Ok(exit::SUCCESS)
}

/// Prints the groups that were deleted, and reports those that could not be.
fn print(gateway: &Gateway, deleted: DeletedGroups, results: &mut Results) -> anyhow::Result<u8> {
    let DeletedGroups {
        keys,
        more,
        failures,
        untried,
        is_one_by_one,
        forgotten,
    } = deleted;
    for key in &keys {
        results.add(gateway, key, true, None);
        results.say(&format!("deleted {{{key}}}\n"))?;
    }
    let mut code = exit::SUCCESS;
    for (key, error) in failures {
        results.add(gateway, &key, false, Some(&error));
        code = exit::report(&error.into());
    }
    let place = gateway.place();
    if untried > 0 {
        console::error(&format!(
            "{} at {place} not tried after this failure",
            groups_of(untried)
        ));
    }
    let number = keys.len() + more;
    if more > 0 {
        console::warning(&format!(
            "{} of these are not listed, because {place} lists only so many",
            groups_of(more)
        ));
    }
    let forgotten = match forgotten {
        0 => String::new(),
        n => format!(
            ", and {}",
            count(n, "a report in the outbox", "reports in the outbox")
        ),
    };
    let how = if is_one_by_one && number > 0 {
        " one by one: it does not delete by selectors (a Pushgateway, or one without --web.enable-admin-api)"
    } else {
        ""
    };
    results.say(&match number {
        0 if code != exit::SUCCESS => String::new(),
        0 if forgotten.is_empty() => nothing(gateway),
        number => format!(
            "deleted {} from {place}{forgotten}{how}\n",
            groups_of(number)
        ),
    })?;
    Ok(code)
}

fn nothing(gateway: &Gateway) -> String {
    format!(
        "nothing to delete: no group at {} matches\n",
        gateway.place()
    )
}

fn groups_of(number: usize) -> String {
    match number {
        1 => "1 group".into(),
        number => format!("{number} groups"),
    }
}
