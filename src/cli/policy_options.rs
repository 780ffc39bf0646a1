//! The options that say how a job is run; each is a key of job files too.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::exit::usage;
use super::help::{GROUPING, JOB, OUTPUT, RETRIES};
use super::options::name_and_value;
use metricsjob::job::command::{Command, MAX_TAIL, SuccessCodes, check_env};
use metricsjob::job::size::parse_size;
use metricsjob::job::{Backoff, Job, LockPolicy, Work, duration, parse_backoff};

/// What is not given stays as the job says.
#[derive(Args)]
pub struct PolicyArgs {
    /// Time limit for an attempt (exit code 124)
    ///
    /// All its processes get SIGTERM, and after --kill-after SIGKILL.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = JOB)]
    timeout: Option<Duration>,

    /// Send SIGKILL to processes that are left this long after SIGTERM [default: 10s]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = duration::parse, help_heading = JOB)]
    kill_after: Option<Duration>,

    /// Read at most this much of the file METRICSJOB_METRICS, and ignore the rest [default: 64MiB]
    #[arg(hide_short_help = true, long, value_name = "SIZE", value_parser = parse_size, help_heading = JOB)]
    metrics_limit: Option<usize>,

    /// Retry a failed run up to N times [default: 0]
    #[arg(long, value_name = "N", help_heading = RETRIES)]
    retries: Option<u32>,

    /// Delay between attempts: doubles from MIN to MAX, with jitter [default: 1s..1m]
    #[arg(hide_short_help = true, long, value_name = "MIN..MAX", value_parser = parse_backoff, help_heading = RETRIES)]
    backoff: Option<Backoff>,

    /// Skip the run if one of the same job and grouping key is in progress
    ///
    /// The exit code is then 0.
    #[arg(
        long,
        value_name = "true|false",
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = RETRIES
    )]
    lock: Option<bool>,

    /// Wait up to this long for the other run to end before skipping; implies --lock
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = duration::parse, help_heading = RETRIES)]
    lock_wait: Option<Duration>,

    /// Start after a random delay of up to this, so that many hosts do not start at once
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = duration::parse, help_heading = JOB)]
    splay: Option<Duration>,

    /// Exit codes of the command that count as success [default: 0]
    #[arg(hide_short_help = true, long, value_name = "CODE,…", value_delimiter = ',', help_heading = JOB)]
    success_codes: Option<Vec<u8>>,

    /// Environment variable for the command (repeatable)
    #[arg(hide_short_help = true, long, value_name = "NAME=VALUE", value_parser = variable, help_heading = JOB)]
    env: Vec<(String, String)>,

    /// Run the command in this directory
    #[arg(hide_short_help = true, long, value_name = "DIR", help_heading = JOB)]
    working_directory: Option<PathBuf>,

    /// Push a report when the run starts too: PREFIX_running is 1 until it ends
    #[arg(hide_short_help = true, long,
        value_name = "true|false",
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = GROUPING
    )]
    push_start: Option<bool>,

    /// Push a report this often during the run, with the job's metrics so far
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = GROUPING)]
    push_interval: Option<Duration>,

    /// Keep the last N lines of stderr for the history
    ///
    /// They are in the summary and the error message too. The command's stderr is then a pipe.
    #[arg(long, value_name = "N", value_parser = tail, help_heading = OUTPUT)]
    tail: Option<usize>,

    /// Keep the last N runs of the job in the history [default: 1000]
    #[arg(hide_short_help = true, long, value_name = "N", help_heading = OUTPUT)]
    keep: Option<u32>,
}

impl PolicyArgs {
    /// Overrides the definition of `job` where an option was given.
    pub fn apply(&self, job: &mut Job) -> anyhow::Result<()> {
        match &mut job.work {
            Work::Command(command) => self.apply_to_command(command)?,
            Work::Builtin(..) => {
                if let Some(option) = self.only_for_commands() {
                    return Err(usage(anyhow::anyhow!(
                        "{option} is for commands, and {} runs a built-in",
                        job.name
                    )));
                }
            }
        }
        let policy = &mut job.policy;
        policy.timeout = self.timeout.or(policy.timeout);
        policy.kill_after = self.kill_after.unwrap_or(policy.kill_after);
        policy.metrics_limit = self.metrics_limit.unwrap_or(policy.metrics_limit);
        policy.retries = self.retries.unwrap_or(policy.retries);
        policy.backoff = self.backoff.unwrap_or(policy.backoff);
        policy.lock = match (self.lock, self.lock_wait, policy.lock) {
            (None, None, lock) | (Some(true), None, lock @ LockPolicy::Wait(_)) => lock,
            (lock, wait, _) => LockPolicy::new(lock, wait),
        };
        policy.splay = self.splay.unwrap_or(policy.splay);
        policy.push_start = self.push_start.unwrap_or(policy.push_start);
        policy.push_interval = self.push_interval.or(policy.push_interval);
        policy.keep = self.keep.unwrap_or(policy.keep);
        Ok(())
    }

    fn apply_to_command(&self, command: &mut Command) -> anyhow::Result<()> {
        for (name, value) in &self.env {
            command.env.retain(|(known, _)| known != name);
            command.env.push((name.clone(), value.clone()));
        }
        if let Some(directory) = &self.working_directory {
            command.working_directory = Some(directory.clone());
        }
        if let Some(codes) = &self.success_codes {
            command.success_codes = SuccessCodes::new(codes.iter().copied())
                .map_err(|problem| usage(anyhow::anyhow!("--success-codes {problem}")))?;
        }
        command.tail = self.tail.unwrap_or(command.tail);
        Ok(())
    }

    /// The first option that was given and makes no sense for a built-in.
    fn only_for_commands(&self) -> Option<&'static str> {
        let given = [
            ("--success-codes", self.success_codes.is_some()),
            ("--env", !self.env.is_empty()),
            ("--working-directory", self.working_directory.is_some()),
            ("--tail", self.tail.is_some()),
        ];
        let mut given = given.into_iter();
        given
            .find(|(_, is_given)| *is_given)
            .map(|(option, _)| option)
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = name_and_value(text)?;
    check_env(&name, &value)?;
    Ok((name, value))
}

fn tail(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(lines) if lines <= MAX_TAIL => Ok(lines),
        _ => Err(format!("must be a whole number from 0 to {MAX_TAIL}")),
    }
}
