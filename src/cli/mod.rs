//! The command line: one file per subcommand, with its arguments and the few lines that call the
//! library.
//!
//! It may use everything; nothing uses it. Results go to stdout, everything else to stderr.
//!
//! - `options`, `grouping_options`, `connection_options`, `delivery_options`, `policy_options`: the options that several
//!   subcommands share; `web_options`: those that every server has.
//! - `delivery_notes`: messages about deliveries; `strays`: about groups left behind or shared with other hosts.
//! - `perform`: the common part of `run` and `exec`.
//! - `completion`: answers to the completion scripts of shells.
//! - `help`: the layout of `-h` and `--help`.
//! - `exit`: the exit code of each error.
//! - `setting`: handling of bad settings from the environment and the config file.
//! - `host_config`: the config file as the lowest level of what options can be.
//! - `size`: sizes on the command line.
//! - `number`: numbers on the command line.
//! - `console`: output to the terminal, and its format.
//! - `table`: tables that fit the terminal; `when`: times in them; `color`: colours.
//! - `json`: the shapes of `--output json`; `output_file`: a file for them.

mod advice;
mod aggregation_options;
mod check;
mod color;
mod completion;
mod config;
mod connection_options;
mod console;
mod delete;
mod delivery_notes;
mod delivery_options;
mod destination_options;
mod doctor;
mod exec;
mod exit;
mod forget;
mod gateway;
mod generate;
mod grouping_options;
mod healthcheck;
mod help;
mod history;
mod host_config;
mod json;
mod list;
mod metric;
mod notify_options;
mod number;
mod options;
mod outbox;
mod output_file;
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
mod strays;
mod table;
mod web_options;
mod when;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process;

use clap::{CommandFactory, Parser, Subcommand};
use nix::libc;

use self::color::Color;
use metricsjob::config::HostConfig;

/// Run a batch job and report how it went to a Prometheus Pushgateway.
///
/// By default the report goes to the embedded gateway, a local database that needs no set-up:
/// `metricsjob status` shows its groups.
#[derive(Parser)]
#[command(name = "metricsjob", version, max_term_width = 100, after_help = format!("{EXAMPLES}\n\nRun `metricsjob --help` for exit codes, `metricsjob COMMAND -h` for options."),
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    /// Config file to read in place of the usual ones
    ///
    /// These are /etc/metricsjob/metricsjob.toml and over it, key by key,
    /// $XDG_CONFIG_HOME/metricsjob/metricsjob.toml (else ~/.config/metricsjob/metricsjob.toml). See
    /// `metricsjob config --help`.
    #[arg(
        long,
        value_name = "FILE",
        env = host_config::VARIABLE,
        hide_env_values = true,
        hide_short_help = true,
        global = true
    )]
    config: Option<PathBuf>,
    /// Where results and messages are coloured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true
    )]
    color: Color,

    #[command(subcommand)]
    command: CliCommand,
}

const EXAMPLES: &str = "\
Examples:
  metricsjob run backup --grouping db=customers
  metricsjob exec --job sync_orders --timeout 10m --lock -- /opt/sync.sh --all
  metricsjob run backup -g db=customers --gateway http://127.0.0.1:9091
  echo 'queue_size 17' | metricsjob push --job shop
  metricsjob status";

const EXIT_CODES: &str = "\
Exit codes:
  1      an error
  2      wrong usage or a bad job file; nothing was run
  69     push, delete, status or outbox flush failed at the gateway, or the
         report of run or exec was not delivered, with --require-push

Otherwise run and exec exit with the job's own code, or with:
  124    the job timed out
  126    the command is not executable
  127    the command was not found
  128+n  signal n ended the job";

// Only the subcommand that is called is set up: the others are known by their descriptions here.
#[derive(Subcommand)]
#[command(defer = true)]
enum CliCommand {
    /// Run a job and report how it went
    Run(run::RunArgs),
    /// Run any command as a job and report how it went
    Exec(exec::ExecArgs),
    /// Show past runs, the newest last
    History(history::HistoryArgs),
    /// Report a metric from inside a running job
    Metric(metric::MetricArgs),
    /// Push metrics in the Prometheus text format or OpenMetrics
    Push(push::PushArgs),
    /// Delete a group from the gateway
    Delete(delete::DeleteArgs),
    /// Remove a job everywhere: groups, history, outbox
    Forget(forget::ForgetArgs),
    /// Show the groups of the gateway
    Status(status::StatusArgs),
    /// Serve the embedded gateway to Prometheus and to other machines
    Gateway(gateway::GatewayCommand),
    /// Run jobs on their schedules, and show results over HTTP
    Serve(serve::ServeArgs),
    /// Show and deliver the reports that are not delivered yet
    Outbox(outbox::OutboxArgs),
    /// Look after the state database
    State(state::StateCommandArgs),
    /// List the jobs: when and what they run, and where they are defined
    List(list::ListArgs),
    /// Validate job files
    Check(check::CheckArgs),
    /// Show and set up the settings of this host
    Config(config::ConfigArgs),
    /// Check the set-up of this host
    Doctor(doctor::DoctorArgs),
    /// Ask a server whether it is ready, as containers and scripts do
    Healthcheck(healthcheck::HealthcheckArgs),
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

/// Reads the config file for the command line `line`.
fn host_settings(line: &[OsString]) -> anyhow::Result<HostConfig> {
    // It has no settings, and a job may call it many times.
    if line.get(1).is_some_and(|word| word == "metric") {
        return Ok(HostConfig::default());
    }
    let is_typed = |word: &OsString| word.as_encoded_bytes().starts_with(b"--config");
    // Whether the word is ours or that of a command can only the parser say.
    let typed = if line.iter().any(is_typed) {
        parse(line).config
    } else {
        None
    };
    host_config::load(typed.as_deref())
}

/// Parses the command line `line`, or ends the process.
fn parse(line: &[OsString]) -> Cli {
    Cli::try_parse_from(line).unwrap_or_else(|error| {
        if error.use_stderr() && is_check(line) {
            // With stderr closed there is no one left to read it.
            let _ = error.print();
            process::exit(exit::UNKNOWN.into());
        }
        error.exit()
    })
}

/// Returns true if the command line `line`, which may be wrong, is one of `status --check`. Exit code 2 would say that a
/// job has failed.
fn is_check(line: &[OsString]) -> bool {
    let program = Cli::command();
    let mut words = line.iter().skip(1);
    let called = words.find(|word| program.find_subcommand(word).is_some());
    called.is_some_and(|word| word == "status") && words.any(|word| word == "--check")
}

/// Runs the command line; the result is the process's exit code.
pub fn main() -> u8 {
    // A heap for each thread would take longer to set up and to give back than the few allocations of our
    // second thread can gain.
    limit_heaps(1);
    if completion::answer(Cli::command) {
        return exit::SUCCESS;
    }
    ignore_empty_variables();
    let line = metric::with_help(env::args_os());
    let config = match host_settings(&line) {
        Ok(config) => config,
        Err(error) if is_check(&line) => return status::check_failed(&error),
        Err(error) => return exit::report(&error),
    };
    let Cli { color, command, .. } = host_config::lend(&config, || parse(&line));
    color.apply();
    let is_apart = match &command {
        CliCommand::Doctor(_) | CliCommand::Healthcheck(_) => true,
        CliCommand::Status(args) => args.is_check(),
        _ => false,
    };
    if !is_apart {
        host_config::warn(&config);
    }
    let result = match command {
        CliCommand::Run(args) => run::main(args, &config),
        CliCommand::Exec(args) => exec::main(args, &config),
        CliCommand::History(args) => history::main(args),
        CliCommand::Metric(args) => metric::main(args),
        CliCommand::Push(args) => push::main(args, &config),
        CliCommand::Delete(args) => delete::main(args),
        CliCommand::Forget(args) => forget::main(args, &config),
        CliCommand::Status(args) => status::main(args, &config),
        CliCommand::Gateway(args) => gateway::main(args),
        CliCommand::Serve(args) => serve::main(args, &config),
        CliCommand::Outbox(args) => outbox::main(args),
        CliCommand::State(args) => state::main(args),
        CliCommand::List(args) => list::main(args, &config),
        CliCommand::Check(args) => check::main(args, &config),
        CliCommand::Config(args) => config::main(args, &config),
        CliCommand::Doctor(args) => doctor::main(args, &config),
        CliCommand::Healthcheck(args) => healthcheck::main(&args),
        CliCommand::Generate(args) => generate::main(args, &config, Cli::command()),
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
