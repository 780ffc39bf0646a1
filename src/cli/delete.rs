//! `metricsjob delete`: delete a group.

use clap::Args;

use super::console::count;
use super::grouping_options::GroupArgs;
use super::help::{GROUPING, more};
use super::options::{GatewayArgs, QuietArgs};
use super::setting::Strictness::Strict;
use super::{console, exit};
use metricsjob::push;

const EXAMPLES: &str = "\
Example:
  metricsjob delete --job db_backup -g db=customers";

/// Delete a group from the gateway
///
/// Only the group with exactly this grouping key is deleted. As with a Pushgateway, a group that does not
/// exist is no error. Reports for the group that wait in the outbox are dropped: they would bring it back.
#[derive(Args)]
#[command(after_help = more("delete", EXAMPLES), after_long_help = EXAMPLES)]
pub struct DeleteArgs {
    #[command(flatten)]
    group: GroupArgs,

    /// Print the request instead of sending it
    #[arg(long, help_heading = GROUPING)]
    dry_run: bool,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    quiet: QuietArgs,
}

pub fn main(args: DeleteArgs) -> anyhow::Result<u8> {
    let key = args.group.key()?;
    let quiet = args.quiet.get(Strict)?;
    let gateways = args.gateway.gateways()?;
    if args.dry_run {
        for gateway in &gateways {
            console::result(&format!("DELETE {}\n", gateway.group_url(&key)))?;
        }
        return Ok(exit::SUCCESS);
    }
    let mut code = exit::SUCCESS;
    for gateway in &gateways {
        match push::delete(gateway, &key, &args.gateway.state_dir()) {
            Ok(_) if quiet => {}
            Ok((existed, forgotten)) => {
                let forgotten = match forgotten {
                    0 => String::new(),
                    n => format!(
                        ", and {} for it",
                        count(n, "a report in the outbox", "reports in the outbox")
                    ),
                };
                console::result(&match existed {
                    Some(false) => {
                        let place = gateway.group_place(&key);
                        format!("nothing to delete: {place} does not exist{forgotten}\n")
                    }
                    _ => format!(
                        "deleted group {{{key}}} from {}{forgotten}\n",
                        gateway.place()
                    ),
                })?;
            }
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}
