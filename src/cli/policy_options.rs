//! The options that say how a job is run; each is a key of job files too.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::exit::usage;
use super::help::{EXPECTED, GROUPING, JOB, OUTPUT, RETRIES};
use super::notify_options::NotifyArgs;
use super::number::whole;
use super::options::name_and_value;
use super::setting::Strictness::Lenient;
use super::setting::{Setting, given, setting};
use metricsjob::job::command::{Command, MAX_TAIL, SuccessCodes, check_env};
use metricsjob::job::expectations::{
    Expectations, MetricExpectation, parse_metric_names, parse_slo,
};
use metricsjob::job::size::parse_size;
use metricsjob::job::{Backoff, Job, JunitPattern, Work, duration, parse_backoff};
use metricsjob_metrics::is_metric_name;

/// Options that override a job's policy; without one, it stays as the job says.
#[derive(Args)]
pub struct PolicyArgs {
    /// Prefix of the names of the runner's metrics [default: the job's, else batch_job]
    #[arg(hide_short_help = true, long, value_name = "PREFIX", env = "METRICSJOB_PREFIX", hide_env_values = true, value_parser = setting(prefix), help_heading = JOB)]
    prefix: Option<Setting<String>>,

    /// Time limit for an attempt (exit code 124)
    ///
    /// All its processes get SIGTERM, and after --kill-after SIGKILL.
    ///
    /// [env: METRICSJOB_TIMEOUT]
    #[arg(long, env = "METRICSJOB_TIMEOUT", hide_env_values = true, hide_env = true, value_name = "DURATION", value_parser = setting(duration::parse_positive), help_heading = JOB)]
    timeout: Option<Setting<Duration>>,

    /// Send SIGKILL to processes that are left this long after SIGTERM [default: 10s]
    #[arg(hide_short_help = true, long, env = "METRICSJOB_KILL_AFTER", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse), help_heading = JOB)]
    kill_after: Option<Setting<Duration>>,

    /// Read at most this much of the file METRICSJOB_METRICS, and ignore the rest [default: 64MiB]
    #[arg(hide_short_help = true, long, env = "METRICSJOB_METRICS_LIMIT", hide_env_values = true, value_name = "SIZE", value_parser = setting(parse_size), help_heading = JOB)]
    metrics_limit: Option<Setting<usize>>,

    /// Retry a failed run up to N times [default: 0]
    ///
    /// [env: METRICSJOB_RETRIES]
    #[arg(long, env = "METRICSJOB_RETRIES", hide_env_values = true, hide_env = true, value_name = "N", value_parser = setting(whole::<u32>), help_heading = RETRIES)]
    retries: Option<Setting<u32>>,

    /// Delay between attempts: doubles from MIN to MAX, with jitter [default: 1s..1m]
    #[arg(hide_short_help = true, long, env = "METRICSJOB_BACKOFF", hide_env_values = true, value_name = "MIN..MAX", value_parser = setting(parse_backoff), help_heading = RETRIES)]
    backoff: Option<Setting<Backoff>>,

    /// Skip the run if one of the same job and grouping key is in progress
    ///
    /// The exit code is then 0.
    ///
    /// [env: METRICSJOB_LOCK]
    #[arg(
        long, env = "METRICSJOB_LOCK", hide_env_values = true, hide_env = true,
        value_name = "true|false",
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = setting(BoolishValueParser::new()),
        help_heading = RETRIES
    )]
    lock: Option<Setting<bool>>,

    /// Wait up to this long for the other run to end before skipping; implies --lock
    #[arg(hide_short_help = true, long, env = "METRICSJOB_LOCK_WAIT", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse), help_heading = RETRIES)]
    lock_wait: Option<Setting<Duration>>,

    /// Start after a random delay of up to this, so that many hosts do not start at once
    #[arg(hide_short_help = true, long, env = "METRICSJOB_SPLAY", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse), help_heading = JOB)]
    splay: Option<Setting<Duration>>,

    /// Exit codes of the command that count as success [default: 0]
    #[arg(hide_short_help = true, long, value_name = "CODE,…", value_delimiter = ',', value_parser = whole::<u8>, help_heading = JOB)]
    success_codes: Option<Vec<u8>>,

    /// Environment variable for the command (repeatable)
    #[arg(hide_short_help = true, long, value_name = "NAME=VALUE", value_parser = variable, help_heading = JOB)]
    env: Vec<(String, String)>,

    /// Run the command in this directory
    #[arg(hide_short_help = true, long, value_name = "DIR", help_heading = JOB)]
    working_directory: Option<PathBuf>,

    /// Push a report when the run starts too: PREFIX_running is 1 until it ends
    #[arg(hide_short_help = true, long, env = "METRICSJOB_PUSH_START", hide_env_values = true,
        value_name = "true|false",
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = setting(BoolishValueParser::new()),
        help_heading = GROUPING
    )]
    push_start: Option<Setting<bool>>,

    /// Push a report this often during the run, with the job's metrics so far
    #[arg(hide_short_help = true, long, env = "METRICSJOB_PUSH_INTERVAL", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse_positive), help_heading = GROUPING)]
    push_interval: Option<Setting<Duration>>,

    /// Exit with code 69 if the job succeeded but a gateway did not get its report
    ///
    /// It has no effect with --no-push or --dry-run.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_REQUIRE_PUSH", hide_env_values = true,
        value_name = "true|false",
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = setting(BoolishValueParser::new()),
        help_heading = GROUPING
    )]
    require_push: Option<Setting<bool>>,

    /// Have the gateway remove the group if nothing is pushed to it for this long; 0 for never [default: as set before]
    ///
    /// Each push counts, refused ones included. Only a gateway of metricsjob knows this (header Pushgateway-TTL); a
    /// Pushgateway keeps the group.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_TTL", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse), help_heading = GROUPING)]
    ttl: Option<Setting<Duration>>,

    /// Keep the last N lines of stderr for the history
    ///
    /// They are in the summary and the error message too. The command's stderr is then a pipe.
    ///
    /// [env: METRICSJOB_TAIL]
    #[arg(long, env = "METRICSJOB_TAIL", hide_env_values = true, hide_env = true, value_name = "N", value_parser = setting(tail), help_heading = OUTPUT)]
    tail: Option<Setting<usize>>,

    /// Report the results in the JUnit XML files that the command writes; can be given several times
    ///
    /// The gauges junit_tests, junit_failures, junit_errors, junit_skipped and junit_duration_seconds have
    /// the label suite; suites of the same name are summed. Quote the pattern, or the shell expands it. Only
    /// files that the (last) attempt has written count: results of an earlier step are left out with a warning.
    #[arg(hide_short_help = true, long, value_name = "PATTERN", value_parser = JunitPattern::from_str, help_heading = JOB)]
    junit: Vec<JunitPattern>,

    /// Time after a success within which the next one has to come [default: by the schedule]
    ///
    /// Reported as batch_job_deadline_timestamp_seconds, by which an alert says that the job is late.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_MAX_AGE", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse_positive), help_heading = EXPECTED)]
    max_age: Option<Setting<Duration>>,

    /// Longest time that a run should take
    ///
    /// It ends nothing, as --timeout does: it is reported as batch_job_max_duration_seconds, for an alert.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_MAX_DURATION", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse_positive), help_heading = EXPECTED)]
    max_duration: Option<Setting<Duration>>,

    /// Range that a metric of the job should be in, such as rows=1.. (repeatable)
    ///
    /// METRIC=MIN..MAX, of which one limit can be left out. The name can be without the job's prefix. Reported for runs
    /// that succeed as batch_job_expectation_met, which is 0 also where there is no such metric.
    #[arg(hide_short_help = true, long, value_name = "METRIC=RANGE", value_parser = MetricExpectation::from_str, help_heading = EXPECTED)]
    expect: Vec<MetricExpectation>,

    /// Share of runs that should succeed, such as 0.99
    #[arg(hide_short_help = true, long, env = "METRICSJOB_SLO", hide_env_values = true, value_name = "SHARE", value_parser = setting(parse_slo), help_heading = EXPECTED)]
    slo: Option<Setting<f64>>,

    /// Severity of alerts about the job
    #[arg(hide_short_help = true, long, env = "METRICSJOB_SEVERITY", hide_env_values = true, value_name = "SEVERITY", value_parser = setting(not_empty), help_heading = EXPECTED)]
    severity: Option<Setting<String>>,

    /// Owner of the job, to whom its alerts go
    #[arg(hide_short_help = true, long, env = "METRICSJOB_OWNER", hide_env_values = true, value_name = "OWNER", value_parser = setting(not_empty), help_heading = EXPECTED)]
    owner: Option<Setting<String>>,

    /// URL of the instructions for when the job fails
    #[arg(hide_short_help = true, long, env = "METRICSJOB_RUNBOOK", hide_env_values = true, value_name = "URL", value_parser = setting(not_empty), help_heading = EXPECTED)]
    runbook: Option<Setting<String>>,

    /// Metrics to compare with those of the last 50 successes, such as duration_seconds,rows
    ///
    /// Reported after a success, from the eleventh on, as batch_job_anomaly_score: the distance from the median of those
    /// before it, in robust standard deviations. A score above 3.5 is in the summary too.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_ANOMALY_METRICS", hide_env_values = true, value_name = "METRIC,…", value_parser = setting(parse_metric_names), help_heading = EXPECTED)]
    anomaly_metrics: Option<Setting<Vec<String>>>,

    #[command(flatten)]
    notify: NotifyArgs,

    /// Keep the last N runs of the job in the history [default: 1000]
    #[arg(hide_short_help = true, long, env = "METRICSJOB_KEEP", hide_env_values = true, value_name = "N", value_parser = setting(whole::<u32>), help_heading = OUTPUT)]
    keep: Option<Setting<u32>>,
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
        replace(&mut job.prefix, &self.prefix)?;
        let policy = &mut job.policy;
        policy.timeout = given(&self.timeout, Lenient)?.or(policy.timeout);
        replace(&mut policy.kill_after, &self.kill_after)?;
        replace(&mut policy.metrics_limit, &self.metrics_limit)?;
        replace(&mut policy.retries, &self.retries)?;
        replace(&mut policy.backoff, &self.backoff)?;
        let (lock, wait) = (
            given(&self.lock, Lenient)?,
            given(&self.lock_wait, Lenient)?,
        );
        let typed = (
            lock.filter(|_| is_typed(&self.lock)),
            wait.filter(|_| is_typed(&self.lock_wait)),
        );
        // The variables are a level of their own: what is typed counts against both.
        policy.lock = policy.lock.with(lock, wait).with(typed.0, typed.1);
        replace(&mut policy.splay, &self.splay)?;
        replace(&mut policy.push_start, &self.push_start)?;
        policy.push_interval = given(&self.push_interval, Lenient)?.or(policy.push_interval);
        replace(&mut policy.require_push, &self.require_push)?;
        policy.ttl = given(&self.ttl, Lenient)?.or(policy.ttl);
        replace(&mut policy.keep, &self.keep)?;
        self.apply_to_expectations(&mut policy.expected)?;
        self.notify.apply(&mut policy.notify)
    }

    fn apply_to_expectations(&self, expected: &mut Expectations) -> anyhow::Result<()> {
        expected.max_age = given(&self.max_age, Lenient)?.or(expected.max_age);
        expected.max_duration = given(&self.max_duration, Lenient)?.or(expected.max_duration);
        expected.slo = given(&self.slo, Lenient)?.or(expected.slo);
        for (text, option) in [
            (&mut expected.severity, &self.severity),
            (&mut expected.owner, &self.owner),
            (&mut expected.runbook, &self.runbook),
        ] {
            *text = given(option, Lenient)?.or(text.take());
        }
        replace(&mut expected.anomaly_metrics, &self.anomaly_metrics)?;
        for expectation in &self.expect {
            let known = &mut expected.metrics;
            known.retain(|known| known.metric != expectation.metric);
            known.push(expectation.clone());
        }
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
        replace(&mut command.tail, &self.tail)
    }

    /// The first option that was given and makes no sense for a built-in.
    fn only_for_commands(&self) -> Option<&'static str> {
        let given = [
            ("--success-codes", self.success_codes.is_some()),
            ("--env", !self.env.is_empty()),
            ("--working-directory", self.working_directory.is_some()),
            ("--tail", is_typed(&self.tail)),
            ("--junit", !self.junit.is_empty()),
        ];
        let mut given = given.into_iter();
        given
            .find(|(_, is_given)| *is_given)
            .map(|(option, _)| option)
    }
}

/// Replaces `value` by the option's. A bad variable changes nothing: the job runs as it would without it.
fn replace<T: Clone>(value: &mut T, option: &Option<Setting<T>>) -> anyhow::Result<()> {
    if let Some(given) = given(option, Lenient)? {
        *value = given;
    }
    Ok(())
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

fn is_typed<T>(option: &Option<Setting<T>>) -> bool {
    option.as_ref().is_some_and(Setting::is_typed)
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    Ok(text.to_owned())
}

fn prefix(text: &str) -> Result<String, String> {
    if is_metric_name(text) {
        Ok(text.to_owned())
    } else {
        Err("it cannot begin a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)".into())
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
