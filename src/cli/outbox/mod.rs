//! `metricsjob outbox`: the reports and notifications that are not delivered yet.

mod list;

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use self::list::{OutboxListArgs, entry_json, shown};
use super::advice::with_advice;
use super::console::count;
use super::delivery_options::DeliveryArgs;
use super::exit::{self, UNAVAILABLE};
use super::help::{GROUPING, more};
use super::options::{GatewayArgs, Output, OutputArgs, QuietArgs, StateArgs};
use super::setting::Strictness::Strict;
use super::{console, json};
use metricsjob::push::{Delivery, DeliveryTarget, Dispatch, GatewayError};
use metricsjob_client::{Connection, Stop};
use metricsjob_state::outbox::{Content, Selection};
use metricsjob_state::{LazyState, State};

/// Show and deliver the reports and notifications that are not delivered yet
///
/// A report that could not be delivered stays in the outbox until the next run, exec or push to the same
/// gateway, or `outbox flush`, delivers it. The newest report of a group wins: a newer PUT replaces older
/// reports, a newer POST their families of the same name. A report that the gateway rejected stays until it
/// is dropped. A notification is never replaced, but for a ping.
#[derive(Args)]
#[command(after_help = more("outbox", ""), after_long_help = "")]
pub struct OutboxArgs {
    #[command(subcommand)]
    command: OutboxCommand,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum OutboxCommand {
    /// List the entries, the oldest first
    List(OutboxListArgs),
    /// Show an entry as the request that would deliver it
    Show(ShowArgs),
    /// Deliver the waiting entries
    Flush(Box<FlushArgs>),
    /// Remove entries without delivering them
    Drop(DropArgs),
}

const SHOW_EXAMPLES: &str = "\
Example:
  metricsjob outbox show 7";

/// Show an entry of the outbox as the request that would deliver it
#[derive(Args)]
#[command(after_help = more("outbox show", SHOW_EXAMPLES), after_long_help = SHOW_EXAMPLES)]
struct ShowArgs {
    /// ID of the entry, as shown by `outbox list`
    #[arg(value_name = "ID", value_parser = id)]
    id: i64,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const FLUSH_EXAMPLES: &str = "\
Examples:
  metricsjob outbox flush
  metricsjob outbox flush --push-retry-window 1m
  metricsjob outbox flush --rejected    # once their cause is fixed

In a crontab, on a host where runs are rare:
  */5 * * * *  metricsjob outbox flush --quiet";

/// Deliver the waiting entries of the outbox, the oldest first
///
/// Without --gateway, all gateways that have entries waiting get theirs, and so does everyone who is to be notified.
/// Passwords, tokens and headers are sent only to gateways that are named. --push-deadline applies to each group. The exit code is 69 if any
/// entry still waits or was rejected.
#[derive(Args)]
#[command(after_help = more("outbox flush", FLUSH_EXAMPLES), after_long_help = FLUSH_EXAMPLES)]
struct FlushArgs {
    /// Retry rejected entries too, unless their group has received something newer
    #[arg(long, help_heading = GROUPING)]
    rejected: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const DROP_EXAMPLES: &str = "\
Examples:
  metricsjob outbox drop 7 9
  metricsjob outbox drop --rejected";

/// Remove entries from the outbox without delivering them
#[derive(Args)]
#[command(after_help = more("outbox drop", DROP_EXAMPLES), after_long_help = DROP_EXAMPLES)]
struct DropArgs {
    /// IDs of the entries, as shown by `outbox list`
    #[arg(value_name = "ID", value_parser = id, required_unless_present_any = ["rejected", "all"])]
    ids: Vec<i64>,

    /// Drop all entries that their gateways rejected
    #[arg(long, help_heading = GROUPING, conflicts_with = "ids")]
    rejected: bool,

    /// Drop all entries
    #[arg(long, help_heading = GROUPING, conflicts_with_all = ["ids", "rejected"])]
    all: bool,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    state: StateArgs,
}

pub fn main(args: OutboxArgs) -> anyhow::Result<u8> {
    match args.command {
        OutboxCommand::List(args) => list::main(&args),
        OutboxCommand::Show(args) => show(&args),
        OutboxCommand::Flush(args) => flush(&args),
        OutboxCommand::Drop(args) => drop_entries(&args),
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<u8> {
    let dir = args.state.dir();
    let entry = match State::open_existing(&dir)? {
        Some(mut state) => state.outbox_entry(args.id)?,
        None => None,
    };
    let entry = entry.ok_or_else(|| no_entry(args.id))?;
    match args.output.get(Strict)? {
        Output::Json => {
            let mut json = entry_json(&entry);
            match &entry.content {
                Content::Push(push) => {
                    json["families"] = push.families().iter().map(json::family).collect();
                }
                Content::Notification(notification) => {
                    json["event"] = serde_json::from_str(&notification.json)?;
                }
            }
            json::print(&json)?;
        }
        Output::Text => {
            let to = shown(&entry.gateway);
            let text = match &entry.content {
                Content::Push(push) => {
                    DeliveryTarget::parse(&to, &dir, &Connection::default())?.request_text(push)
                }
                Content::Notification(notification) => {
                    let event: serde_json::Value = serde_json::from_str(&notification.json)?;
                    format!("{to}\n\n{event:#}\n")
                }
            };
            console::result(&text)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        "is not the id of an entry, a whole number (see: metricsjob outbox list)".into()
    })
}

fn no_entry(id: i64) -> anyhow::Error {
    anyhow!("the outbox has no entry {id} (see: metricsjob outbox list)")
}

fn flush(args: &FlushArgs) -> anyhow::Result<u8> {
    let form = (args.output.get(Strict)?, args.quiet.get(Strict)?);
    let policy = args.delivery.policy(false, Strict)?;
    let state_dir = args.gateway.state_dir();
    let given = args.gateway.given()?;
    let mut destinations: Vec<DeliveryTarget> = given.iter().map(DeliveryTarget::from).collect();
    let Some(mut state) = State::open_existing(&state_dir)? else {
        return flushed(form, &[], &[]);
    };
    let are_all = args.gateway.is_typed()
        || add_with_entries(&mut destinations, &mut state, &state_dir, args)?;
    if args.rejected {
        for destination in &destinations {
            state.requeue_rejected(&destination.name())?;
        }
    }
    drop(state);
    let dispatch = Dispatch::new(&destinations, &state_dir, &policy, Stop::never());
    let mut state = LazyState::new(&state_dir);
    let results = dispatch.flush(&mut state);
    if let Some(pruned) = state.shorten_log(policy.state_limit) {
        console::warning(&pruned.to_string());
    }
    let results = results.into_iter().collect::<Result<Vec<_>, _>>();
    let results = results.map_err(|error| match error {
        // It is about this machine, and not about the gateway.
        GatewayError::State(error) => anyhow::Error::from(error),
        error => error.into(),
    })?;
    let code = flushed(form, &destinations, &results)?;
    Ok(if are_all { code } else { UNAVAILABLE })
}

/// Adds the destinations that entries wait for and that are not among those given. Returns whether those are all: a URL
/// that an older version has taken may be refused by now.
fn add_with_entries(
    destinations: &mut Vec<DeliveryTarget>,
    state: &mut State,
    state_dir: &Path,
    args: &FlushArgs,
) -> anyhow::Result<bool> {
    let connection = args.gateway.unnamed_connection(destinations.is_empty())?;
    let mut are_all = true;
    for name in state.outbox_gateways(args.rejected)? {
        if destinations.iter().any(|known| known.name() == name) {
            continue;
        }
        match DeliveryTarget::parse(&name, state_dir, &connection) {
            Ok(destination) => destinations.push(destination),
            Err(error) => {
                are_all = false;
                console::warning(&format!("{error}; what waits for it stays in the outbox"));
            }
        }
    }
    Ok(are_all)
}

/// Prints the outcome of the entries.
fn flushed(
    (output, quiet): (Output, bool),
    destinations: &[DeliveryTarget],
    results: &[Delivery],
) -> anyhow::Result<u8> {
    let pairs = || destinations.iter().zip(results);
    if output == Output::Json {
        let json = pairs().map(|(destination, flushed)| {
            json!({
                "gateway": destination.to_string(),
                "delivered": flushed.delivered,
                "rejected": flushed.rejected.len(),
                "waiting": flushed.waiting,
                "error": flushed.failure.as_ref().map(with_advice),
            })
        });
        json::print(&json.collect())?;
    } else if !quiet {
        for (destination, flushed) in pairs().filter(|(_, flushed)| flushed.delivered > 0) {
            let place = destination.place();
            let delivered = items(destination, flushed.delivered);
            console::result(&format!("delivered {delivered} to {place}\n"))?;
        }
        if results.iter().all(Delivery::is_empty) {
            console::result("nothing to deliver\n")?;
        }
    }
    for (destination, flushed) in pairs() {
        if !flushed.rejected.is_empty() {
            let rejected = items(destination, flushed.rejected.len() as u64);
            console::error(&format!(
                "{destination} rejected {rejected}, see: metricsjob outbox list"
            ));
        }
        if flushed.waiting > 0 {
            let why = match &flushed.failure {
                Some(failure) => format!(": {}", with_advice(failure)),
                None => String::new(),
            };
            let verb = if flushed.waiting == 1 {
                "waits"
            } else {
                "wait"
            };
            let left = items(destination, flushed.waiting);
            console::error(&format!("{left} still {verb} for {destination}{why}"));
        }
    }
    let is_done = |flushed: &Delivery| flushed.waiting == 0 && flushed.rejected.is_empty();
    Ok(if results.iter().all(is_done) {
        exit::SUCCESS
    } else {
        UNAVAILABLE
    })
}

/// `1 report`, `3 notifications`.
fn items(destination: &DeliveryTarget, number: u64) -> String {
    match destination {
        DeliveryTarget::Notifier(_) => count(number, "1 notification", "notifications"),
        _ => count(number, "1 report", "reports"),
    }
}

fn drop_entries(args: &DropArgs) -> anyhow::Result<u8> {
    let quiet = args.quiet.get(Strict)?;
    let Some(mut state) = State::open_existing(&args.state.dir())? else {
        return match args.ids.first() {
            Some(id) => Err(no_entry(*id)),
            None => dropped(quiet, 0),
        };
    };
    for id in &args.ids {
        // All or nothing.
        if state.outbox_entry(*id)?.is_none() {
            return Err(no_entry(*id));
        }
    }
    let selection = match (args.rejected, args.all) {
        (_, true) => Selection::All,
        (true, _) => Selection::Rejected,
        _ => Selection::Ids(&args.ids),
    };
    dropped(quiet, state.drop_entries(selection)?)
}

fn dropped(quiet: bool, number: u64) -> anyhow::Result<u8> {
    if !quiet {
        let entries = count(number, "1 entry", "entries");
        console::result(&format!("dropped {entries}\n"))?;
    }
    Ok(exit::SUCCESS)
}
