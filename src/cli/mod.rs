//! The command line: one file per subcommand, with its arguments and the few lines that call the
//! library.
//!
//! It may use everything; nothing uses it. Results go to stdout, everything else to stderr.
//!
//! - `options`, `connection_options`, `delivery_options`, `policy_options`: the options that several
//!   subcommands share; `web_options`: those that every server has.
//! - `delivery_notes`: messages about deliveries.
//! - `perform`: the common part of `run` and `exec`.
//! - `exit`: the exit code of each error.
//! - `setting`: handling of bad settings from the environment.
//! - `number`: numbers on the command line.
//! - `console`: output to the terminal, and its format.
//! - `json`: the shapes of `--output json`.

mod advice;
mod check;
mod connection_options;
mod console;
mod delete;
mod delivery_notes;
mod delivery_options;
mod exec;
mod exit;
mod gateway;
mod generate;
mod history;
mod json;
mod list;
mod metric;
mod number;
mod options;
mod outbox;
mod perform;
mod policy_options;
mod progress;
mod push;
mod run;
mod run_summary;
mod serve;
mod setting;
mod state;
mod status;
mod web_options;

use std::env;

use clap::{CommandFactory, Parser, Subcommand};
use nix::libc;

/// Run a batch job and report how it went to a Prometheus Pushgateway.
///
/// Without a gateway the report goes to the embedded one, a local database that needs no set-up:
/// `metricsjob status` shows it.
#[derive(Parser)]
#[command(name = "metricsjob", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

const EXAMPLES: &str = "\
Examples:
  metricsjob run backup --grouping db=customers
  metricsjob exec --job sync_orders --timeout 10m --lock -- /opt/sync.sh --all
  metricsjob run backup -g db=customers --gateway http://127.0.0.1:9091
  echo 'queue_size 17' | metricsjob push --job shop
  metricsjob status

Exit codes: the job's own (128+n for signal n, 124 it took too long, 126 not executable, 127 not
found); 2 wrong usage or bad job file, before anything runs; 69 push, delete, status or outbox flush
could not do it at the gateway, or run and exec with --require-push; 1 anything else.";

// Only the subcommand that is called is set up: the others are known by their descriptions here.
#[derive(Subcommand)]
#[command(defer = true)]
enum CliCommand {
    /// Run a job and report how it went
    Run(run::RunArgs),
    /// Run any command as a job and report how it went
    Exec(exec::ExecArgs),
    /// Show the runs so far, the newest last
    History(history::HistoryArgs),
    /// Report a metric from inside a running job
    Metric(metric::MetricArgs),
    /// Push metrics in the Prometheus text format
    Push(push::PushArgs),
    /// Delete a group from the gateway
    Delete(delete::DeleteArgs),
    /// Show the groups of the gateway
    Status(status::StatusArgs),
    /// Serve the embedded gateway to Prometheus and to other machines
    Gateway(gateway::GatewayCommand),
    /// Run jobs by their schedules, and show over HTTP what happened
    Serve(serve::ServeArgs),
    /// Show and deliver the reports that are not delivered yet
    Outbox(outbox::OutboxArgs),
    /// Look after the state database
    State(state::StateCommandArgs),
    /// List the jobs: what they run and where they are defined
    List(list::ListArgs),
    /// Validate job files
    Check(check::CheckArgs),
    /// Generate files for other programs
    Generate(generate::GenerateArgs),
}

/// How many heaps the threads of this process have at most, each with at most 8 MiB of free memory at its end:
/// otherwise that grows with the largest block that was ever freed, to 64 MiB.
fn limit_heaps(count: i32) {
    const BLOCK: i32 = 4 * 1024 * 1024;
    // SAFETY: no memory has another owner by it.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, count);
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * BLOCK);
    }
}

/// An empty variable counts for none, as where a CI system has no such secret or input.
fn ignore_empty_variables() {
    for (name, value) in env::vars_os() {
        if value.is_empty() && name.as_encoded_bytes().starts_with(b"METRICSJOB_") {
            // SAFETY: there is only this thread so far.
            unsafe { env::remove_var(name) };
        }
    }
}

/// Runs the command line; the result is the process's exit code.
pub fn main() -> u8 {
    // A heap for each thread would take longer to set up and to give back than the few allocations of our
    // second thread can gain.
    limit_heaps(1);
    ignore_empty_variables();
    let result = match Cli::parse_from(metric::with_help(env::args_os())).command {
        CliCommand::Run(args) => run::main(args),
        CliCommand::Exec(args) => exec::main(args),
        CliCommand::History(args) => history::main(args),
        CliCommand::Metric(args) => metric::main(args),
        CliCommand::Push(args) => push::main(args),
        CliCommand::Delete(args) => delete::main(args),
        CliCommand::Status(args) => status::main(args),
        CliCommand::Gateway(args) => gateway::main(args),
        CliCommand::Serve(args) => serve::main(args),
        CliCommand::Outbox(args) => outbox::main(args),
        CliCommand::State(args) => state::main(args),
        CliCommand::List(args) => list::main(args),
        CliCommand::Check(args) => check::main(args),
        CliCommand::Generate(args) => generate::main(args, Cli::command()),
    };
    result.unwrap_or_else(|error| exit::report(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries `value` for each option and each argument of `command`, which is called by `path`.
    fn try_all(command: &clap::Command, path: &[String], value: &str) {
        let tried = |words: Vec<String>| {
            let line = path.iter().chain(&words);
            let Err(error) = Cli::command().try_get_matches_from(line) else {
                return;
            };
            let message = error.to_string();
            for technical in ["invalid digit", "invalid float", "cannot parse", "os error"] {
                assert!(
                    !message.contains(technical),
                    "{path:?} {words:?}: {message}"
                );
            }
        };
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                tried(vec![format!("--{long}={value}")]);
            }
        }
        let positionals = command.get_positionals().count();
        for count in 1..=positionals {
            tried(vec![value.to_owned(); count]);
        }
        for subcommand in command.get_subcommands() {
            let path = [path, &[subcommand.get_name().to_owned()]].concat();
            try_all(subcommand, &path, value);
        }
    }

    #[test]
    fn no_message_is_that_of_a_parser() {
        let mut command = Cli::command();
        command.build();
        for value in ["1x", "x", "", "-1", "99999999999999999999999"] {
            try_all(&command, &["metricsjob".into()], value);
        }
    }
}
