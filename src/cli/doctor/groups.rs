//! Groups that jobs of this host have left behind, or share with another host.

use std::time::SystemTime;

use super::Findings;
use crate::cli::options::GatewayArgs;
use crate::cli::{status, strays};
use metricsjob::push::strays::ReportedGroups;
use metricsjob::push::{Gateway, GatewayClient};
use metricsjob_client::Connection;
use metricsjob_metrics::unix_seconds;

const PART: &str = "groups";

/// Checks the groups of `reported` at `gateways`, and at those that this host once reported to.
pub fn check(
    args: &GatewayArgs,
    gateways: &[Gateway],
    reported: &ReportedGroups,
    findings: &mut Findings,
) {
    let before = findings.0.len();
    let mut unknown = Vec::new();
    for gateway in gateways.iter().chain(&former(args, gateways, reported)) {
        let groups = match GatewayClient::new(gateway).groups(status::MAX_ANSWER) {
            Ok(groups) => groups,
            // Why was said already, or the gateway has gone, and the groups with it.
            Err(_) => {
                unknown.push(gateway.to_string());
                continue;
            }
        };
        let now = unix_seconds(SystemTime::now());
        for group in &groups {
            if let Some(concern) = reported.concern(&gateway.to_string(), group, now) {
                let (message, cure) = strays::words(&concern, &group.key, gateway, args);
                findings.warn(PART, message, cure);
            }
        }
    }
    if findings.is_any_bad_since(before) {
        return;
    }
    let unknown = match unknown.as_slice() {
        [] => String::new(),
        unknown => format!(" (not known for {})", unknown.join(", ")),
    };
    findings.ok(
        PART,
        format!("none is left behind or shared with another host{unknown}"),
    );
}

/// The gateways that jobs of this host no longer report to. No credentials are sent to them.
fn former(args: &GatewayArgs, gateways: &[Gateway], reported: &ReportedGroups) -> Vec<Gateway> {
    let known: Vec<String> = gateways.iter().map(Gateway::to_string).collect();
    let moved = reported.moved();
    let names = moved.iter().filter_map(|moved| moved.from.gateway.clone());
    let mut names: Vec<String> = names.filter(|name| !known.contains(name)).collect();
    names.sort();
    names.dedup();
    let parse = |name: String| Gateway::parse(&name, args.state_dir(), Connection::default());
    names
        .into_iter()
        .filter_map(|name| parse(name).ok())
        .collect()
}
