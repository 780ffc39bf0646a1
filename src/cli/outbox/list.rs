//! `metricsjob outbox list`: the entries of the outbox.

use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use crate::cli::color::NOTABLE;
use crate::cli::help::more;
use crate::cli::options::{Output, OutputArgs, StateArgs};
use crate::cli::setting::Strictness::Strict;
use crate::cli::table::{Column, EXTRA, TableCell, table};
use crate::cli::when::age_cell;
use crate::cli::{console, exit, json};
use metricsjob::job::{NotifyTarget, ReportDestination};
use metricsjob_client::GatewayUrl;
use metricsjob_client::call::redacted;
use metricsjob_metrics::unix_seconds;
use metricsjob_state::State;
use metricsjob_state::outbox::OutboxEntry;

const REJECTED: Style = AnsiColor::Red.on_default().bold();

const EXAMPLES: &str = "\
Examples:
  metricsjob outbox list
  metricsjob outbox list --output json";

/// List the entries of the outbox, the oldest first
///
/// On a terminal the table fits its width: texts are cut, and columns left out. Anywhere else it is shown in full
/// width with all columns, unless COLUMNS is set.
#[derive(Args)]
#[command(after_help = more("outbox list", EXAMPLES), after_long_help = EXAMPLES)]
pub struct OutboxListArgs {
    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: [Column; 9] = [
    Column::kept("ID"),
    Column::ranked("DESTINATION", 2).down_to(12),
    Column::kept("JOB").down_to(10),
    Column::ranked("GROUPING", 1).down_to(10),
    Column::ranked("METHOD", EXTRA + 1),
    Column::ranked("PRODUCED", 3),
    Column::ranked("ATTEMPTS", EXTRA),
    Column::kept("STATUS").down_to(8),
    Column::ranked("ERROR", 4).down_to(12),
];

pub fn main(args: &OutboxListArgs) -> anyhow::Result<u8> {
    let entries = match State::open_existing(&args.state.dir())? {
        Some(mut state) => state.outbox()?,
        None => Vec::new(),
    };
    match args.output.get(Strict)? {
        Output::Json => json::print(&entries.iter().map(entry_json).collect())?,
        Output::Text if entries.is_empty() => console::result("the outbox is empty\n")?,
        Output::Text => console::result(&text(&entries))?,
    }
    Ok(exit::SUCCESS)
}

fn text(entries: &[OutboxEntry]) -> String {
    let now = SystemTime::now();
    let rows: Vec<[TableCell; COLUMNS.len()]> = entries
        .iter()
        .map(|entry| {
            let content = &entry.content;
            [
                entry.id.to_string().into(),
                shown(&entry.gateway).into(),
                content.key().job().into(),
                console::labels(content.key().labels()).into(),
                content.method().into(),
                age_cell(Some(unix_seconds(content.produced_at())), now),
                entry.attempts.to_string().into(),
                status_cell(entry),
                error_cell(entry),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

/// The destination of an entry, without what is secret in it. An older version can have stored a mistyped URL with a
/// password.
pub fn shown(destination: &str) -> String {
    if let Ok(target) = destination.parse::<NotifyTarget>() {
        return target.to_string();
    }
    if let Ok(target) = destination.parse::<ReportDestination>() {
        return target.to_string();
    }
    match GatewayUrl::parse(destination) {
        Ok(_) => destination.to_owned(),
        Err(_) => redacted(destination),
    }
}

/// The reason why the entry was not delivered, which names the destination.
fn error(entry: &OutboxEntry) -> Option<String> {
    let error = entry.error.as_deref()?;
    Some(error.replace(&entry.gateway, &shown(&entry.gateway)))
}

/// A cell with the error, which does not name the destination once more where there is little room.
fn error_cell(entry: &OutboxEntry) -> TableCell {
    let Some(error) = error(entry) else {
        return "-".into();
    };
    let short = error.strip_prefix(&*shown(&entry.gateway));
    TableCell::with_short(&error, short.unwrap_or(&error).trim_start())
}

fn status_cell(entry: &OutboxEntry) -> TableCell {
    match (entry.is_rejected, entry.is_overtaken) {
        (false, _) => TableCell::from("waiting").styled(NOTABLE),
        (true, false) => TableCell::from("rejected").styled(REJECTED),
        (true, true) => TableCell::with_short("rejected, overtaken", "overtaken").styled(REJECTED),
    }
}

pub fn entry_json(entry: &OutboxEntry) -> serde_json::Value {
    let content = &entry.content;
    json::dated(json!({
        "id": entry.id,
        "gateway": shown(&entry.gateway),
        "job": content.key().job(),
        "grouping": content.key().labels(),
        "method": content.method(),
        "produced_timestamp_seconds": json::number(unix_seconds(content.produced_at())),
        "attempts": entry.attempts,
        "is_rejected": entry.is_rejected,
        "is_overtaken": entry.is_overtaken,
        "error": error(entry),
    }))
}
