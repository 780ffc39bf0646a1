//! The options that several subcommands share.

use std::env;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::connection_options::{ConnectionArgs, GATEWAY};
use super::exit::usage;
use crate::client::redacted;
use crate::job::catalog::Catalog;
use crate::metrics::{GroupingKey, Method};
use crate::push::{Connection, Gateway, GatewayUrlError};
use crate::state::dir::default_dir;

#[derive(Args)]
pub struct GatewayArgs {
    /// Where reports go: a Pushgateway's URL, or `embedded`; can be given several times
    ///
    /// `http://` is assumed where no scheme is given. The URL can hold a path prefix, and a user and
    /// password, which are never printed. `embedded` is the local gateway in the state directory. Of
    /// several gateways (in the variable with blanks between them) each gets every report, whatever
    /// becomes of the others. Without any it is `embedded`; for `outbox flush` it is all that reports wait
    /// for.
    #[arg(
        long,
        value_name = "URL",
        env = "METRICSJOB_GATEWAY",
        hide_env_values = true,
        help_heading = GATEWAY
    )]
    gateway: Vec<String>,

    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    state: StateArgs,
}

impl GatewayArgs {
    /// The gateways that the options name, each once; without any the embedded one.
    pub fn gateways(&self) -> anyhow::Result<Vec<Gateway>> {
        match self.given()? {
            none if none.is_empty() => Ok(vec![Gateway::Embedded(self.state_dir())]),
            given => Ok(given),
        }
    }

    /// The gateways that were given, each once.
    pub fn given(&self) -> anyhow::Result<Vec<Gateway>> {
        let connection = self.connection.connection()?;
        let mut gateways: Vec<Gateway> = Vec::new();
        for text in self.gateway.iter().flat_map(|given| parts(given)) {
            let gateway = match Gateway::parse(text, self.state_dir(), connection.clone()) {
                Ok(gateway) => gateway,
                Err(error) => return Err(usage(self.told_whole(text, error))),
            };
            if !gateways
                .iter()
                .any(|known| known.to_string() == gateway.to_string())
            {
                gateways.push(gateway);
            }
        }
        Ok(gateways)
    }

    /// `error` is about `part`. If that is only a part of what was given, the blank in it may have been meant
    /// for a password, of which nothing must be shown.
    fn told_whole(&self, part: &str, error: GatewayUrlError) -> anyhow::Error {
        if self.gateway.iter().any(|given| given.trim() == part) {
            return error.into();
        }
        let given = self.gateway.iter().find(|given| given.contains(part));
        let given = redacted(given.map_or("", |given| given.trim()));
        anyhow::anyhow!(
            "gateway {given:?} has blanks in it, and not each part is a gateway (a blank in a password is %20)"
        )
    }

    /// The one gateway that the options name.
    pub fn gateway(&self) -> anyhow::Result<Gateway> {
        let mut gateways = self.gateways()?;
        match (gateways.pop(), gateways.is_empty()) {
            (Some(gateway), true) => Ok(gateway),
            _ => Err(usage(anyhow::anyhow!(
                "several gateways are given, and this is about one: name it with --gateway"
            ))),
        }
    }

    /// How gateways are reached that were not named: nothing secret is shown to them.
    pub fn unnamed_connection(&self) -> anyhow::Result<Connection> {
        let connection = self.connection.connection()?;
        let secret = match &connection.authorization {
            Some(authorization) => authorization.source(),
            None if !connection.headers.is_empty() => "--header",
            None => return Ok(connection),
        };
        Err(usage(anyhow::anyhow!(
            "{secret} is for a gateway: name it with --gateway, others must not see it"
        )))
    }

    /// Takes out `--format openmetrics`, see [`ConnectionArgs::take_openmetrics`].
    pub fn take_openmetrics(&mut self) -> bool {
        self.connection.take_openmetrics()
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

/// What is between the blanks, which no URL has; an empty text stays one.
fn parts(given: &str) -> Vec<&str> {
    let parts: Vec<&str> = given.split_whitespace().collect();
    match parts.is_empty() {
        true => vec![given],
        false => parts,
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
