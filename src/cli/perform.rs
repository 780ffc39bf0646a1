//! Common part of `run` and `exec`: runs a job, reports it, and prints its result.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

use super::delivery_options::DeliveryArgs;
use super::destination_options::ToArgs;
use super::exit::{UNAVAILABLE, usage};
use super::grouping_options::GroupingArgs;
use super::help::{GROUPING, OUTPUT};
use super::options::{GatewayArgs, Output, OutputArgs, QuietArgs, Targets, method};
use super::output_file::OutputFile;
use super::policy_options::PolicyArgs;
use super::progress::Bar;
use super::run_summary::Summary;
use super::setting::Strictness::Lenient;
use super::setting::{Setting, setting};
use super::{console, delivery_notes, json};
use metricsjob::job::builtin::{NoProgress, Progress};
use metricsjob::job::{Job, Work};
use metricsjob::push::DeliveryTarget;
use metricsjob::run::{
    Attempt, Observer, Outcome, PerformError, Reporting, Run, RunSpec, Signals, new_id, perform,
};
use metricsjob_metrics::Method;
use metricsjob_state::LazyState;

#[derive(Args)]
pub struct PerformArgs {
    #[command(flatten)]
    grouping: GroupingArgs,

    /// Push by PUT (replaces the group) or POST (adds to it) [default: the job's, else post]
    #[arg(
        long,
        value_name = "put|post",
        env = "METRICSJOB_METHOD",
        hide_env_values = true,
        value_parser = setting(method),
        help_heading = GROUPING
    )]
    method: Option<Setting<Method>>,

    /// Run, but print the push instead of sending it
    #[arg(long, help_heading = GROUPING)]
    dry_run: bool,

    /// Run the job and record it in the history, but push nothing
    #[arg(hide_short_help = true, long, conflicts_with = "dry_run", help_heading = GROUPING)]
    no_push: bool,

    #[command(flatten)]
    to: ToArgs,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    delivery: DeliveryArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    output: OutputArgs,

    /// Write the run as JSON to this file
    ///
    /// Without it --output json is on stdout, or on stderr where stdout is a command's.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run", hide_short_help = true, help_heading = OUTPUT)]
    output_file: Option<PathBuf>,
}

/// How much is printed about a run when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// The result of the run.
    Always,
    /// On a terminal the result of the run, elsewhere only its problems.
    OnTerminal,
}

/// Runs `job`, for which the command line has the last word, and reports it.
pub fn main(mut job: Job, args: &PerformArgs, verbosity: Verbosity) -> anyhow::Result<u8> {
    args.policy.apply(&mut job)?;
    let grouping = args.grouping.settings(Lenient)?;
    let key = job.key(&grouping).map_err(usage)?;
    // Settings of monitoring: a bad one that is not from the command line must not keep the job from running.
    if let Some(method) = &args.method {
        job.method = method.get_or(job.method, Lenient)?;
    }
    let quiet = args.quiet.get(Lenient)?;
    let output = args.output.get(Lenient)?;
    let require_push = job.policy.require_push;
    let delivery = args.delivery.policy(require_push, Lenient)?;
    let targets = args.gateway.targets_of_run(&job.gateways)?;
    let destinations = args.to.destinations(&targets, &job.to, Lenient)?;
    let Targets {
        left_out,
        connection,
        ..
    } = targets;
    let reporting = match (args.dry_run, args.no_push) {
        (true, _) => Reporting::DryRun,
        (_, true) => Reporting::Record,
        _ => Reporting::Push,
    };
    let state_dir = &args.gateway.state_dir();
    let is_command = matches!(job.work, Work::Command(_));
    // A command has a processor of its own; a built-in would only be disturbed.
    let state = Mutex::new(if is_command && reporting != Reporting::DryRun {
        LazyState::opening(state_dir)
    } else {
        LazyState::new(state_dir)
    });
    let spec = RunSpec {
        job: &job,
        key: &key,
        destinations: &destinations,
        connection: &connection,
        delivery: &delivery,
        state_dir,
        reporting,
        lines: None,
    };
    let output_file = args.output_file.as_deref().map(OutputFile::create);
    let output_file = output_file.transpose()?;
    let observer = Notices { job: &job, quiet };
    let signals = Signals::default();
    let bar = (!quiet && Bar::is_visible()).then(Bar::default);
    let progress: &dyn Progress = match &bar {
        Some(bar) => bar,
        None => &NoProgress,
    };
    let performed = perform(&spec, new_id(), &state, progress, &signals, &observer);
    if let (Some(bar), Ok(run)) = (bar, &performed) {
        bar.finish(!is_failure(run.outcome()));
    }
    let mut run = match performed {
        Ok(run) => run,
        Err(PerformError::Interrupted(signal)) => {
            let outcome = Outcome::Signal(signal);
            return Ok(outcome.exit_code());
        }
        Err(error) => return Err(usage(error)),
    };
    let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let pruned = state.shorten_log(delivery.state_limit);
    let damage = state.take_damage().map(|damage| damage.to_string());
    run.warnings.extend(
        damage
            .into_iter()
            .chain(pruned.map(|pruned| pruned.to_string())),
    );
    let is_failure = is_failure(run.outcome());
    let is_brief = verbosity == Verbosity::OnTerminal && !std::io::stderr().is_terminal();
    if let (Some(failure), true) = (&run.record.failure, is_failure && (quiet || !is_brief)) {
        console::error(&format!("{}: {failure}", job.name));
    }
    warn(&destinations, &run);
    if let (Some(Ok(push)), true) = (&run.push, args.dry_run) {
        for destination in &destinations {
            // The end of the job matters: a failure to print changes nothing.
            drop(console::result(&destination.request_text(push)));
        }
    }
    let summary = Summary {
        destinations: &destinations,
        run: &run,
    };
    match (output, output_file) {
        (_, Some(file)) => file.write(&summary.json()),
        // What a command writes to stdout is its own; a line is what can be found among its messages.
        (Output::Json, _) if is_command && !args.dry_run => {
            console::side_note(&format!("{}\n", summary.json()));
        }
        (Output::Json, _) if !args.dry_run => drop(json::print(&summary.json())),
        // It is printed already.
        _ if quiet && run.record.failure.is_some() => {}
        _ if (quiet || is_brief) && is_failure => console::error(&summary.failure_text()),
        _ if quiet || is_brief => {}
        _ => {
            let text = summary.text(|gateway| args.gateway.status_command(gateway));
            // A printed request is the result.
            if is_command || args.dry_run {
                console::side_note(&text);
            } else {
                drop(console::result(&text));
            }
        }
    }
    if is_command {
        end_as_interrupted(&run);
    }
    let is_pushed = !args.dry_run && !args.no_push;
    let is_reported = run.is_reported() && (!is_pushed || left_out.is_empty());
    let is_unreported = !is_reported && run.outcome().is_success();
    let code = if require_push && is_unreported {
        UNAVAILABLE
    } else {
        run.outcome().exit_code()
    };
    // The process ends now, and the system closes faster than we can.
    std::mem::forget(state);
    Ok(code)
}

/// Warns on stderr of problems besides the outcome.
fn warn(destinations: &[DeliveryTarget], run: &Run) {
    let name = &run.record.name;
    for warning in &run.warnings {
        console::warning(&format!("{name}: {warning}"));
    }
    if let Some(Err(error)) = &run.push {
        console::warning(&format!("the report of {name} is not pushed: {error}"));
    }
    let of_report = destinations.iter().zip(&run.deliveries);
    let failure = run.state_failure.as_ref();
    let is_told = delivery_notes::warn("report", of_report, failure);
    let to_notified = run
        .notified
        .iter()
        .map(|(target, delivery)| (target, delivery));
    let is_told = delivery_notes::warn("notification", to_notified, failure) || is_told;
    if let (Some(failure), false) = (&run.state_failure, is_told) {
        console::warning(&format!("{name}: the run is not in the history: {failure}"));
    }
}

fn is_failure(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Success(_) | Outcome::Skipped)
}

/// Where a terminal's Ctrl-C has ended the command, it ends this process too, as it would have
/// without us: a shell that runs a script continues with the next command after an exit code of 130,
/// but not after a death by SIGINT.
fn end_as_interrupted(run: &Run) {
    let by_terminal = run.interrupted.is_some_and(|signal| signal.is_from_kernel);
    if by_terminal && run.outcome() == Outcome::Signal(SIGINT as u8) {
        // If it does not, the exit code says the same.
        let _ = emulate_default_handler(SIGINT);
    }
}

/// Prints to stderr that an attempt is followed by another one.
struct Notices<'a> {
    job: &'a Job,
    quiet: bool,
}

impl Observer for Notices<'_> {
    fn retries(&self, attempt: u32, end: &Attempt, wait: Duration) {
        if self.quiet {
            return;
        }
        let attempts = self.job.policy.retries.saturating_add(1);
        let why = match &end.failure {
            Some(failure) => format!(": {failure}"),
            None => String::new(),
        };
        console::warning(&format!(
            "{}: attempt {attempt} of {attempts}: {}{why}; the next one follows in {}",
            self.job.name,
            end.outcome,
            console::rough(wait),
        ));
    }
}
