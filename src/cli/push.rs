//! `metricsjob push`: push exposition text that the user has.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::completion;
use super::console::count;
use super::delivery_options::DeliveryArgs;
use super::destination_options::ToArgs;
use super::exit::{self, UNAVAILABLE, usage};
use super::grouping_options::GroupingArgs;
use super::help::{GROUPING, more};
use super::options::{GatewayArgs, Output, OutputArgs, QuietArgs, method};
use super::setting::Strictness::Strict;
use super::setting::{Setting, given, setting};
use super::{console, delivery_notes, json};
use metricsjob::config::HostConfig;
use metricsjob::job::duration;
use metricsjob::push::{Delivery, DeliveryPolicy, DeliveryTarget, Dispatch};
use metricsjob_client::Stop;
use metricsjob_metrics::text::input::{self, Input};
use metricsjob_metrics::{GroupingKey, Method, Push};
use metricsjob_state::{LazyState, StateError};
use metricsjob_system::reason;

const EXAMPLES: &str = "\
Examples:
  echo 'queue_size 17' | metricsjob push --job shop -g instance=web1
  metricsjob push --job shop --method put metrics.prom
  metricsjob push --job shop --dry-run metrics.prom
  curl -H 'Accept: application/openmetrics-text' localhost:8000/metrics |
    metricsjob push --job shop";

/// Push metrics in the Prometheus text format or OpenMetrics
///
/// The text is checked first: nothing is sent that a gateway would reject or misread. CRLF line ends,
/// trailing blanks, a byte order mark and a missing newline at the end are accepted.
#[derive(Args)]
#[command(after_help = more("push", EXAMPLES), after_long_help = EXAMPLES)]
pub struct PushArgs {
    /// Value of the `job` label
    #[arg(long, value_name = "JOB", help_heading = GROUPING, add = ArgValueCandidates::new(completion::group_jobs))]
    job: String,

    #[command(flatten)]
    grouping: GroupingArgs,

    /// Push by PUT (replaces the group) or POST (adds to it) [default: post]
    #[arg(
        long,
        value_name = "put|post",
        env = "METRICSJOB_METHOD",
        hide_env_values = true,
        value_parser = setting(method),
        help_heading = GROUPING
    )]
    method: Option<Setting<Method>>,

    /// Have the gateway remove the group if nothing is pushed to it for this long; 0 for never [default: as set before]
    ///
    /// Each push counts, refused ones included. Only a gateway of metricsjob knows this (header Pushgateway-TTL); a
    /// Pushgateway keeps the group.
    #[arg(hide_short_help = true, long, env = "METRICSJOB_TTL", hide_env_values = true, value_name = "DURATION", value_parser = setting(duration::parse), help_heading = GROUPING)]
    ttl: Option<Setting<Duration>>,

    /// File to push; - is stdin
    #[arg(default_value = "-")]
    file: PathBuf,

    /// Format of the file [default: auto]
    ///
    /// OpenMetrics is converted to what a gateway stores: `unknown` becomes untyped, and the samples of `info`,
    /// `stateset` and `gaugehistogram` become gauges. Creation times and exemplars are dropped, with a
    /// warning. `--format openmetrics` means `--input-format openmetrics`; other values of --format set the
    /// format that is sent.
    #[arg(hide_short_help = true, long, value_name = "FORMAT", help_heading = GROUPING)]
    input_format: Option<InputFormatArg>,

    #[command(flatten)]
    to: ToArgs,

    /// Check the text and print the push instead of sending it
    #[arg(long, help_heading = GROUPING)]
    dry_run: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputFormatArg {
    /// OpenMetrics if the file's name ends in .om or .openmetrics, or the last line is `# EOF`; else text
    Auto,
    /// The Prometheus text format 0.0.4
    Text,
    /// OpenMetrics 1.0
    Openmetrics,
}

/// More than this is no report, and would only fill the memory.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub fn main(mut args: PushArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let mut grouping = config.defaults.grouping.clone();
    grouping.extend(&args.grouping.settings(Strict)?);
    let labels = grouping.labels().map_err(usage)?;
    let key = GroupingKey::new(&args.job, labels).map_err(usage)?;
    let method = match &args.method {
        Some(given) => given.get_or(config.defaults.method, Strict)?,
        None => config.defaults.method,
    };
    let input_format = args.input_format()?;
    let (output, quiet) = (args.output.get(Strict)?, args.quiet.get(Strict)?);
    let policy = args.delivery.policy(false, Strict)?;
    let targets = args.gateway.strict_targets()?;
    let destinations = args.to.destinations(&targets, &[], Strict)?;
    let is_stdin = args.file == Path::new("-");
    let shown = if is_stdin {
        "stdin".into()
    } else {
        args.file.display().to_string()
    };
    let bytes = read(&args.file, is_stdin)
        .map_err(|error| usage(anyhow!("could not read {shown}: {}", reason(&error))))?;
    let input_format =
        input_format.unwrap_or_else(|| input::InputFormat::guess(&args.file, &bytes));
    let Input { families, remarks } =
        input::read(&bytes, input_format).map_err(|error| usage(anyhow!("{shown}: {error}")))?;
    for remark in remarks.lines() {
        console::warning(&format!("{shown}: {remark}"));
    }
    if families.is_empty() {
        let effect = match method {
            Method::Put => "so the group will be empty",
            Method::Post => "so only the push time of the group changes",
        };
        console::warning(&format!("{shown} holds no metrics, {effect}"));
    }
    let series: u64 = families
        .iter()
        .map(|family| family.metrics.len() as u64)
        .sum();
    let push = Push::new(key, method, families, SystemTime::now())
        .map_err(|error| usage(anyhow!("{shown}: {error}")))?
        .with_ttl(given(&args.ttl, Strict)?.or(config.defaults.policy.ttl));
    if args.dry_run {
        for destination in &destinations {
            console::result(&destination.request_text(&push))?;
        }
        return Ok(exit::SUCCESS);
    }
    let (deliveries, state_failure) =
        deliver(&push, &destinations, &policy, &args.gateway.state_dir());
    delivery_notes::warn(
        "report",
        destinations.iter().zip(&deliveries),
        state_failure.as_ref(),
    );
    let is_delivered = deliveries.iter().all(|delivery| delivery.result.is_ok());
    match output {
        Output::Json => json::print(&json!({
            "method": method.name(),
            "grouping_key": push.key(),
            "series": series,
            "deliveries": json::deliveries(&destinations, push.key(), &deliveries),
        }))?,
        Output::Text if quiet => {}
        Output::Text => {
            let series = count(series, "1 series", "series");
            for (destination, delivery) in destinations.iter().zip(&deliveries) {
                if delivery.result.is_ok() {
                    let by = destination
                        .gateway()
                        .map(|_| format!(" by {}", method.http()));
                    let by = by.unwrap_or_default();
                    let place = destination.group_place(push.key());
                    console::result(&format!("pushed {series}{by} to {place}\n"))?;
                }
            }
        }
    }
    Ok(if is_delivered {
        exit::SUCCESS
    } else {
        UNAVAILABLE
    })
}

impl PushArgs {
    /// The format that the options name, `None` for the one that the text seems to have.
    fn input_format(&mut self) -> anyhow::Result<Option<input::InputFormat>> {
        let is_openmetrics = self.gateway.take_openmetrics();
        match self.input_format {
            Some(InputFormatArg::Text) if is_openmetrics => Err(usage(anyhow!(
                "--input-format text and --format openmetrics both say what the text is: remove one of them"
            ))),
            Some(InputFormatArg::Text) => Ok(Some(input::InputFormat::Text)),
            Some(InputFormatArg::Openmetrics) => Ok(Some(input::InputFormat::OpenMetrics)),
            None | Some(InputFormatArg::Auto) => {
                Ok(is_openmetrics.then_some(input::InputFormat::OpenMetrics))
            }
        }
    }
}

/// Puts `push` into the outbox and delivers it. Also returns why it could not be put there.
fn deliver(
    push: &Push,
    destinations: &[DeliveryTarget],
    policy: &DeliveryPolicy,
    state_dir: &Path,
) -> (Vec<Delivery>, Option<StateError>) {
    let mut state = LazyState::new(state_dir);
    let dispatch = Dispatch::new(destinations, state_dir, policy, Stop::never());
    let names: Vec<String> = destinations.iter().map(DeliveryTarget::name).collect();
    let entries = state.get().and_then(|state| state.enqueue(push, &names));
    let until = dispatch.until();
    let mut deliveries = dispatch.deliver_to_all(push, entries.as_deref().ok(), &mut state, until);
    if entries.is_ok() {
        dispatch.finish(&mut deliveries, &mut state, until);
    }
    if let Some(pruned) = state.shorten_log(policy.state_limit) {
        console::warning(&pruned.to_string());
    }
    if let Some(damage) = state.take_damage() {
        console::warning(&damage.to_string());
    }
    (deliveries, entries.err())
}

fn read(file: &Path, is_stdin: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_stdin {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            console::side_note("reading metrics from the terminal, end them with Ctrl-D\n");
        }
        stdin.lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}
