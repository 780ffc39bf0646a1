//! `metricsjob delete`: delete a group.

use clap::Args;

use super::console::count;
use super::options::{GatewayArgs, GroupArgs, QuietArgs};
use super::setting::Strictness::Strict;
use super::{console, exit};
use metricsjob::push;

/// Delete a group from the gateway
///
/// Only the group with exactly this grouping key is deleted. One that does not exist is no error, as
/// at the Pushgateway. Reports in the outbox that wait for the group go too: they would bring it back.
#[derive(Args)]
#[command(after_help = "\
Example:
  metricsjob delete --job db_backup -g db=customers")]
pub struct DeleteArgs {
    #[command(flatten)]
    group: GroupArgs,

    /// Print the request instead of sending it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    quiet: QuietArgs,

    #[command(flatten)]
    gateway: GatewayArgs,
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
