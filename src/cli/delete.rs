//! `metricsjob delete`: delete a group.

use clap::Args;

use super::console;
use super::exit;
use super::options::{GatewayArgs, GroupArgs, QuietArgs};

/// Delete a group from the gateway
///
/// Only the group with exactly this grouping key is deleted. One that does not exist is no error, as
/// at the Pushgateway.
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
    let gateway = args.gateway.gateway()?;
    if args.dry_run {
        console::result(&format!("DELETE {}\n", gateway.group_url(&key)))?;
        return Ok(exit::SUCCESS);
    }
    let existed = gateway.delete(&key)?;
    if !args.quiet.quiet {
        let place = gateway.group_place(&key);
        console::result(&match existed {
            Some(false) => format!(
                "nothing to delete: {place} does not exist
"
            ),
            _ => format!(
                "deleted {place}
"
            ),
        })?;
    }
    Ok(exit::SUCCESS)
}
