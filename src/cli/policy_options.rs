//! The options that say how a job is run; each is a key of job files too.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::exit::usage;
use super::number::whole;
use super::options::name_and_value;
use metricsjob::job::command::{Command, MAX_TAIL, SuccessCodes, check_env};
use metricsjob::job::size::parse_size;
use metricsjob::job::{Backoff, Job, JunitPattern, LockPolicy, Work, duration, parse_backoff};

const RUNNING: &str = "Running";
const REPORTING: &str = "Reporting";

/// What is not given stays as the job says.
#[derive(Args)]
pub struct PolicyArgs {
    /// End an attempt that takes longer: SIGTERM to all its processes, exit code 124
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = RUNNING)]
    timeout: Option<Duration>,

    /// Send SIGKILL if SIGTERM has not ended them after this time [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = RUNNING)]
    kill_after: Option<Duration>,

    /// Read this much of what the command writes to METRICSJOB_METRICS, and leave out the rest [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = RUNNING)]
    metrics_limit: Option<usize>,

    /// Try again up to N times if an attempt does not succeed [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, help_heading = RUNNING)]
    retries: Option<u32>,

    /// How long to wait between attempts: doubling from MIN to MAX, with jitter [default: 1s..1m]
    #[arg(long, value_name = "MIN..MAX", value_parser = parse_backoff, help_heading = RUNNING)]
    backoff: Option<Backoff>,

    /// Skip the run, with exit code 0, while another one of the same job and grouping key goes on
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = RUNNING
    )]
    lock: Option<bool>,

    /// Wait this long for the other run's end before skipping; implies --lock
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = RUNNING)]
    lock_wait: Option<Duration>,

    /// Wait a random time up to this before the run, so that a fleet does not start at once
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = RUNNING)]
    splay: Option<Duration>,

    /// Exit codes of the command that mean success [default: 0]
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', value_parser = whole::<u8>, help_heading = RUNNING)]
    success_codes: Option<Vec<u8>>,

    /// Set an environment variable for the command; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, help_heading = RUNNING)]
    env: Vec<(String, String)>,

    /// Run the command in this directory
    #[arg(long, value_name = "DIR", help_heading = RUNNING)]
    working_directory: Option<PathBuf>,

    /// Report when the run begins: PREFIX_running is 1 until its end
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = REPORTING
    )]
    push_start: Option<bool>,

    /// Report this often while the run goes on, with the job's metrics so far
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = REPORTING)]
    push_interval: Option<Duration>,

    /// Keep the command's last N lines of stderr for the summary, the history and the failure message
    ///
    /// The command then sees a pipe as its stderr.
    #[arg(long, value_name = "N", value_parser = tail, help_heading = REPORTING)]
    tail: Option<usize>,

    /// Report the results in the JUnit XML files that the command writes; can be given several times
    ///
    /// The gauges junit_tests, junit_failures, junit_errors, junit_skipped and junit_duration_seconds have
    /// the label suite; suites of the same name are summed. Quote the pattern, or the shell expands it. Only
    /// files that the (last) attempt has written count: results of an earlier step are left out with a warning.
    #[arg(long, value_name = "PATTERN", value_parser = JunitPattern::from_str, help_heading = REPORTING)]
    junit: Vec<JunitPattern>,

    /// Keep the last N runs of the job in the history [default: 1000]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, help_heading = REPORTING)]
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
        if !self.junit.is_empty() {
            check_quoted(command)?;
            command.junit.clone_from(&self.junit);
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
            ("--junit", !self.junit.is_empty()),
        ];
        let mut given = given.into_iter();
        given
            .find(|(_, is_given)| *is_given)
            .map(|(option, _)| option)
    }
}

/// Refuses a command that is the second of the files to which a shell has expanded an unquoted pattern.
fn check_quoted(command: &Command) -> anyhow::Result<()> {
    let program = command.program().to_string_lossy();
    if program.ends_with(".xml") && command.arguments().iter().any(|word| word == "--") {
        return Err(usage(anyhow::anyhow!(
            "--junit takes one pattern, and {program:?} behind it would be the command: quote the pattern, so \
             that the shell does not expand it"
        )));
    }
    Ok(())
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
