//! `metricsjob generate man`: manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::exit;
use crate::cli::help::more;

const EXAMPLES: &str = "\
Examples:
  metricsjob generate man ~/.local/share/man/man1
  man metricsjob-run";

/// Write manual pages into a directory
#[derive(Args)]
#[command(after_help = more("generate man", EXAMPLES), after_long_help = EXAMPLES)]
pub struct ManArgs {
    /// Directory for the pages; it is created if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn main(args: ManArgs, command: clap::Command) -> anyhow::Result<u8> {
    let dir = args.dir;
    let written = fs::create_dir_all(&dir);
    let written = written.and_then(|()| clap_mangen::generate_to(command, &dir));
    written.with_context(|| format!("could not write the manual pages into {}", dir.display()))?;
    Ok(exit::SUCCESS)
}
