//! `metricsjob status`: the groups of a gateway.

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

use super::help::more;
use super::options::{GatewayArgs, Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::{console, exit, json};
use metricsjob::push::GatewayClient;
use metricsjob_metrics::{Group, Value};

const EXAMPLES: &str = "\
Examples:
  metricsjob status
  metricsjob status --output json
  metricsjob status --gateway http://127.0.0.1:9091";

/// Show the groups of the gateway
///
/// The groups of a Pushgateway come from its API (/api/v1/metrics).
#[derive(Args)]
#[command(after_help = more("status", EXAMPLES), after_long_help = EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// How many bytes of a gateway's response are read.
const MAX_ANSWER: usize = 64 << 20;

pub fn main(args: StatusArgs) -> anyhow::Result<u8> {
    let gateway = args.gateway.gateway()?;
    let groups = GatewayClient::new(&gateway).groups(MAX_ANSWER)?;
    match args.output.get(Strict)? {
        Output::Json => json::print(&json!({
            "gateway": gateway.to_string(),
            "groups": groups.iter().map(group_json).collect::<Vec<_>>(),
        }))?,
        Output::Text if groups.is_empty() => {
            let place = gateway.place();
            console::result(&format!("no groups at {place}\n"))?;
        }
        Output::Text => console::result(&text(&groups))?,
    }
    Ok(exit::SUCCESS)
}

fn text(groups: &[Group]) -> String {
    let now = SystemTime::now();
    let head = [
        "JOB",
        "GROUPING",
        "LAST PUSH",
        "LAST SUCCESS",
        "DURATION",
        "FAMILIES",
    ];
    let rows = groups.iter().map(|group| {
        let mut last_push = console::ago(group.push_time, now);
        if group.last_push_failed() {
            last_push.push_str(" (a later one was refused)");
        }
        let success = runner_metric(group, "last_success_timestamp_seconds");
        let duration = runner_metric(group, "duration_seconds")
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        vec![
            group.key.job().to_owned(),
            console::labels(group.key.labels(), " "),
            last_push,
            success.map_or_else(|| "-".into(), |time| console::ago(time, now)),
            duration.map_or_else(|| "-".into(), console::rough),
            group.families.len().to_string(),
        ]
    });
    console::table(head, rows)
}

fn group_json(group: &Group) -> serde_json::Value {
    let metric = |name| runner_metric(group, name).map(json::number);
    json!({
        "job": group.key.job(),
        "grouping": group.key.labels(),
        "push_time_seconds": json::number(group.push_time),
        "push_failure_time_seconds": json::number(group.push_failure_time),
        "last_completion_timestamp_seconds": metric("last_completion_timestamp_seconds"),
        "last_success_timestamp_seconds": metric("last_success_timestamp_seconds"),
        "duration_seconds": metric("duration_seconds"),
        "families": group.families.iter().map(json::family).collect::<Vec<_>>(),
    })
}

/// The runner's metric `name` of the group, regardless of the job's prefix: every report has the time
/// of completion, whose name begins with the prefix.
fn runner_metric(group: &Group, name: &str) -> Option<f64> {
    let prefix = group.families.iter().find_map(|family| {
        family
            .name
            .strip_suffix("last_completion_timestamp_seconds")
    })?;
    let families = &group.families;
    let family = families
        .iter()
        .find(|family| family.name.strip_prefix(prefix) == Some(name))?;
    match family.metrics.first()?.value {
        Value::Number(value) => Some(value),
        _ => None,
    }
}
