//! The options that several subcommands share.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::exit::usage;
use crate::job::catalog::Catalog;
use crate::job::duration::parse_positive;
use crate::metrics::{GroupingKey, Method};
use crate::push::{self, Gateway, Timeouts};
use crate::state::dir::default_dir;

/// The heading of the options that say where reports go.
const GATEWAY: &str = "Gateway";

#[derive(Args)]
pub struct GatewayArgs {
    /// Where reports go: a Pushgateway's URL, or `embedded`
    ///
    /// `http://` is assumed where no scheme is given. The URL can hold a path prefix, and a user and
    /// password, which are never printed. `embedded` is the local gateway in the state directory.
    #[arg(
        long,
        value_name = "URL",
        env = "METRICSJOB_GATEWAY",
        hide_env_values = true,
        default_value = push::EMBEDDED,
        help_heading = GATEWAY
    )]
    gateway: String,

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

    #[command(flatten)]
    state: StateArgs,
}

impl GatewayArgs {
    /// The gateway that the options name.
    pub fn gateway(&self) -> anyhow::Result<Gateway> {
        let timeouts = Timeouts {
            connect: self.connect_timeout,
            total: self.push_timeout,
        };
        Gateway::parse(&self.gateway, self.state_dir(), timeouts).map_err(usage)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.state.dir()
    }

    /// The command that shows what is at `gateway`.
    pub fn status_command(&self, gateway: &Gateway) -> String {
        match gateway {
            Gateway::Http(url, _) => format!("metricsjob status --gateway {url}"),
            Gateway::Embedded(dir) if self.state.state_dir.is_some() => {
                format!("metricsjob status --state-dir {}", dir.display())
            }
            Gateway::Embedded(_) => "metricsjob status".into(),
        }
    }
}

#[derive(Args)]
pub struct StateArgs {
    /// Where the local database is: the embedded gateway and the outbox
    ///
    /// Default: $STATE_DIRECTORY (systemd sets it), $XDG_STATE_HOME/metricsjob,
    /// ~/.local/state/metricsjob, or /var/lib/metricsjob where there is no home.
    #[arg(long, value_name = "DIR", env = "METRICSJOB_STATE_DIR", help_heading = GATEWAY)]
    state_dir: Option<PathBuf>,
}

impl StateArgs {
    pub fn dir(&self) -> PathBuf {
        let dir = self.state_dir.clone();
        dir.unwrap_or_else(|| default_dir(|name| env::var_os(name)))
    }
}

#[derive(Args)]
pub struct JobsArgs {
    /// A directory with job files, searched before the others
    ///
    /// The others are ./jobs, $XDG_CONFIG_HOME/metricsjob/jobs (else ~/.config/metricsjob/jobs) and
    /// /etc/metricsjob/jobs. The first file of a name wins.
    #[arg(long, value_name = "DIR", env = "METRICSJOB_JOBS_DIR")]
    jobs_dir: Option<PathBuf>,
}

impl JobsArgs {
    pub fn catalog(&self) -> anyhow::Result<Catalog> {
        Catalog::new(self.jobs_dir.clone(), |name| env::var_os(name)).map_err(usage)
    }
}

/// The group that `push` and `delete` name.
#[derive(Args)]
pub struct GroupArgs {
    /// The job label of the grouping key
    #[arg(long, value_name = "JOB")]
    job: String,

    #[command(flatten)]
    grouping: GroupingArgs,
}

impl GroupArgs {
    pub fn key(&self) -> anyhow::Result<GroupingKey> {
        GroupingKey::new(&self.job, self.grouping.labels()).map_err(usage)
    }
}

#[derive(Args)]
pub struct GroupingArgs {
    /// A further label of the grouping key; can be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    grouping: Vec<(String, String)>,
}

impl GroupingArgs {
    pub fn labels(&self) -> Vec<(String, String)> {
        self.grouping.clone()
    }
}

#[derive(Args)]
pub struct QuietArgs {
    /// Print errors and warnings only
    #[arg(short, long, env = "METRICSJOB_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

#[derive(Args)]
pub struct OutputArgs {
    /// The form of the result on stdout
    #[arg(
        long,
        value_name = "FORM",
        env = "METRICSJOB_OUTPUT",
        default_value = "text"
    )]
    pub output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `--method`, which clap checks by [`Method`]'s own parser.
pub fn method(text: &str) -> Result<Method, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// `NAME=VALUE`; the value may be empty and may hold further `=`.
pub fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        Some(_) => Err("there is no name before the =".into()),
        None => Err("it has no =, the form is NAME=VALUE".into()),
    }
}
