//! `metricsjob state repair`: a new database with what can be saved of a corrupt one.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::database;
use crate::cli::exit;
use crate::cli::help::more;
use crate::cli::options::{Output, OutputArgs, QuietArgs, StateArgs};
use crate::cli::setting::Strictness::Strict;
use crate::cli::{console, json};
use metricsjob_state::{self, Salvaged};

const EXAMPLES: &str = "\
Examples:
  metricsjob state repair
  metricsjob state repair /backup/state.db
  metricsjob state repair --output json";

/// Replace a corrupt state database with a new one, saving what can be saved
///
/// The corrupt database and its log are moved aside and kept, for example for sqlite3's .recover. Each
/// undamaged row of the outbox, the counters, the history and the groups is carried over. A sound database is
/// left alone. The database can stay in use: runs and servers go on with the new one.
#[derive(Args)]
#[command(after_help = more("state repair", EXAMPLES), after_long_help = EXAMPLES)]
pub struct RepairArgs {
    /// Database to repair [default: the one in --state-dir]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn main(args: RepairArgs) -> anyhow::Result<u8> {
    let (output, quiet) = (args.output.get(Strict)?, args.quiet.get(Strict)?);
    let path = database(args.file.as_deref(), &args.state)?;
    let damage = metricsjob_state::repair(&path)?;
    let file = path.display().to_string();
    let shown = console::visible(&file);
    match (output, damage) {
        (Output::Json, damage) => json::print(&json!({
            "state": file,
            "sound": damage.is_none(),
            "why": damage.as_ref().map(|damage| &damage.why),
            "aside": damage.as_ref().map(|damage| damage.aside.display().to_string()),
            "salvaged": damage.as_ref().map(|damage| salvaged_json(&damage.salvaged)),
        }))?,
        (Output::Text, _) if quiet => {}
        (Output::Text, None) => {
            console::result(&format!("the state database {shown} is sound\n"))?;
        }
        (Output::Text, Some(damage)) => {
            console::result(&format!("{}\n", console::visible(&damage.to_string())))?;
        }
    }
    Ok(exit::SUCCESS)
}

/// `{KIND: {"carried", "lost"}, …, "unreadable_pages", "problem"}`.
fn salvaged_json(salvaged: &Salvaged) -> Value {
    let kinds = salvaged.tallies().into_iter().map(|(kind, tally)| {
        let numbers = json!({ "carried": tally.carried, "lost": tally.lost });
        (kind.to_owned(), numbers)
    });
    let mut object: Map<String, Value> = kinds.collect();
    object.insert("unreadable_pages".into(), salvaged.pages.into());
    object.insert("problem".into(), json!(salvaged.problem));
    object.into()
}
