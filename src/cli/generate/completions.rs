//! `metricsjob generate completions`: completion scripts of shells.

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::cli::help::more;
use crate::cli::{completion, console, exit};

const EXAMPLES: &str = "\
Examples:
  source <(metricsjob generate completions bash)    # in ~/.bashrc
  source <(metricsjob generate completions zsh)     # in ~/.zshrc
  metricsjob generate completions fish | source     # in config.fish";

/// Print a shell's completion script
#[derive(Args)]
#[command(after_help = more("generate completions", EXAMPLES), after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// Shell that runs the script
    shell: Shell,
}

pub fn main(args: CompletionsArgs) -> anyhow::Result<u8> {
    let shell = args.shell.to_string();
    let mut script = Vec::new();
    let completer = Shells::builtins();
    let completer = completer
        .completer(&shell)
        .with_context(|| format!("there are no completions for {shell}"))?;
    completer.write_registration(
        completion::VARIABLE,
        "metricsjob",
        "metricsjob",
        "metricsjob",
        &mut script,
    )?;
    console::result(&String::from_utf8_lossy(&script))?;
    Ok(exit::SUCCESS)
}
