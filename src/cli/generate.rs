//! `metricsjob generate`: files for other programs.

mod dashboard;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::help::more;
use super::{completion, console, exit};

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
    /// Write manual pages into a directory
    #[command(after_help = more("generate man", MAN_EXAMPLES), after_long_help = MAN_EXAMPLES)]
    Man {
        /// Directory for the pages; it is created if it does not exist
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a dashboard for Grafana
    Dashboard(dashboard::DashboardArgs),
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(metricsjob generate completions bash)    # in ~/.bashrc
  source <(metricsjob generate completions zsh)     # in ~/.zshrc
  metricsjob generate completions fish | source     # in config.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  metricsjob generate man ~/.local/share/man/man1
  man metricsjob-run";

pub fn main(args: GenerateArgs, command: clap::Command) -> anyhow::Result<u8> {
    match args.what {
        What::Completions { shell } => {
            let shell = shell.to_string();
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
        }
        What::Man { dir } => {
            let written = fs::create_dir_all(&dir);
            let written = written.and_then(|()| clap_mangen::generate_to(command, &dir));
            written.with_context(|| {
                format!("could not write the manual pages into {}", dir.display())
            })?;
        }
        What::Dashboard(args) => dashboard::main(args)?,
    }
    Ok(exit::SUCCESS)
}
