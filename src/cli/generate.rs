//! `metricsjob generate`: files for other programs.

use super::exit;
use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::console;
use super::help::more;

/// Generate files for other programs
#[derive(Args)]
#[command(after_help = more("generate", ""), after_long_help = "")]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print a shell's completion script
    #[command(
        after_help = more("generate completions", COMPLETION_EXAMPLES),
        after_long_help = COMPLETION_EXAMPLES
    )]
    Completions {
        /// Shell that runs the script
        shell: Shell,
    },
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(metricsjob generate completions bash)    # in ~/.bashrc
  source <(metricsjob generate completions zsh)     # in ~/.zshrc
  metricsjob generate completions fish | source     # in config.fish";

pub fn main(args: GenerateArgs, mut command: clap::Command) -> anyhow::Result<u8> {
    let What::Completions { shell } = args.what;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "metricsjob", &mut script);
    console::result(&String::from_utf8_lossy(&script))?;
    Ok(exit::SUCCESS)
}
