//! Messages about groups that this host has left behind, or shares with another one.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::options::GatewayArgs;
use super::when::age;
use metricsjob::config::HostConfig;
use metricsjob::push::Gateway;
use metricsjob::push::strays::{GroupConcern, MovedGroup, ReportedGroups};
use metricsjob_client::grouping::{INSTANCE, escape_placeholders};
use metricsjob_client::host;
use metricsjob_metrics::GroupingKey;
use metricsjob_state::reported::ReportedGroup;
use metricsjob_state::{State, StateError};

/// Reads the groups that this host has reported to.
///
/// # Errors
///
/// The database cannot be read.
pub fn reported(state: &mut State, config: &HostConfig) -> Result<ReportedGroups, StateError> {
    let grouping = &config.defaults.grouping;
    let mut host_labels: BTreeSet<String> = grouping.names().map(str::to_owned).collect();
    host_labels.insert(INSTANCE.to_owned());
    // Of these the task decides, so that the next one leaves nothing behind.
    for (label, _) in grouping
        .iter()
        .filter(|(_, value)| value.contains("${task}"))
    {
        host_labels.remove(label);
    }
    Ok(ReportedGroups {
        all: state.reported_groups()?,
        host_labels,
        host: host::name(),
    })
}

/// The concern about the group of `key` in words, and its cure.
pub fn words(
    concern: &GroupConcern,
    key: &GroupingKey,
    gateway: &Gateway,
    args: &GatewayArgs,
) -> (String, String) {
    let ago = |time| age(time, SystemTime::now());
    match concern {
        GroupConcern::Moved(moved) => (
            format!(
                "{} was last reported to {}: {} reports to {} now",
                described(&moved.from, &moved.to, gateway),
                ago(moved.from.last_at),
                moved.from.name,
                target(moved),
            ),
            format!("delete it by `{}`", delete_command(key, gateway, args)),
        ),
        GroupConcern::Shared { host, ours_at } => (
            format!(
                "{{{key}}} at {gateway} was reported to by {host} last, and by this host {}",
                ago(*ours_at)
            ),
            "if both run the job, give each its own group: instance = true in metricsjob.toml, or --instance true"
                .into(),
        ),
    }
}

/// `{job=backup} at http://gateway`, with the prefix if that is what has changed.
fn described(from: &ReportedGroup, to: &ReportedGroup, gateway: &Gateway) -> String {
    match &from.prefix {
        Some(prefix) if is_prefix_alone(from, to) => {
            format!("{{{}}} at {gateway} with the prefix {prefix}", from.key)
        }
        _ => format!("{{{}}} at {gateway}", from.key),
    }
}

/// The part of the new group that the old one has not.
fn target(moved: &MovedGroup) -> String {
    let MovedGroup { from, to } = moved;
    match (&to.prefix, &to.gateway) {
        (Some(prefix), _) if is_prefix_alone(from, to) => format!("it with the prefix {prefix}"),
        (_, Some(gateway)) if from.key == to.key => gateway.clone(),
        _ => format!("{{{}}}", to.key),
    }
}

fn is_prefix_alone(from: &ReportedGroup, to: &ReportedGroup) -> bool {
    from.key == to.key && from.gateway == to.gateway
}

/// The command that deletes the group of `key` from `gateway`.
fn delete_command(key: &GroupingKey, gateway: &Gateway, args: &GatewayArgs) -> String {
    let mut words = vec!["metricsjob".into(), "delete".into(), "--job".into()];
    words.push(key.job().to_owned());
    for (name, value) in key.labels() {
        words.push("-g".into());
        words.push(format!("{name}={}", escape_placeholders(value)));
    }
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    words.join(" ") + &args.gateway_options(gateway)
}

/// The word as a shell takes it.
fn quoted(word: String) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if word.bytes().all(is_plain) {
        return word;
    }
    let quoted = shlex::try_quote(&word).map(|quoted| quoted.into_owned());
    // A value with a NUL byte, which no command line can have.
    quoted.unwrap_or(word)
}
