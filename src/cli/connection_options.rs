//! The options that say how a gateway is reached.

use std::time::Duration;

use clap::Args;

use super::options::GATEWAY;
use crate::job::duration::parse_positive;
use crate::push::{Connection, Timeouts};

#[derive(Args)]
pub struct ConnectionArgs {
    /// How long to wait for the connection to the gateway
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_CONNECT_TIMEOUT",
        default_value = "5s",
        value_parser = parse_positive,
        help_heading = GATEWAY
    )]
    connect_timeout: Duration,

    /// How long to wait for the gateway's answer, the connection included
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_TIMEOUT",
        default_value = "10s",
        value_parser = parse_positive,
        help_heading = GATEWAY
    )]
    push_timeout: Duration,
}

impl ConnectionArgs {
    /// What the options say.
    pub fn connection(&self) -> anyhow::Result<Connection> {
        Ok(Connection {
            timeouts: Timeouts {
                connect: self.connect_timeout,
                total: self.push_timeout,
            },
        })
    }
}
