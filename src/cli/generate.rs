//! `metricsjob generate`: files for other programs.

use super::exit;
use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::console;

/// Generate files for other programs
#[derive(Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A shell's completions, on stdout
    #[command(after_help = "\
Examples:
  metricsjob generate completions bash > ~/.local/share/bash-completion/completions/metricsjob
  metricsjob generate completions fish > ~/.config/fish/completions/metricsjob.fish")]
    Completions { shell: Shell },
}

pub fn main(args: GenerateArgs, mut command: clap::Command) -> anyhow::Result<u8> {
    let What::Completions { shell } = args.what;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "metricsjob", &mut script);
    console::result(&String::from_utf8_lossy(&script))?;
    Ok(exit::SUCCESS)
}
