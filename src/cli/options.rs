//! The options that several subcommands share.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, EnumValueParser, OsStringValueParser};
use clap::{ArgAction, Args, ValueEnum};
use reqwest::header::HeaderMap;

use super::connection_options::ConnectionArgs;
use super::destination_options::ToArgs;
use super::exit::usage;
use super::help::{GATEWAY, JOB, OUTPUT};
use super::setting::{Setting, Strictness, setting};
use super::{console, host_config};
use metricsjob::config::HostConfig;
use metricsjob::job::GatewayName;
use metricsjob::job::catalog::Catalog;
use metricsjob::push::{Destinations, Gateway, each_once};
use metricsjob_client::Connection;
use metricsjob_metrics::Method;
use metricsjob_state::dir::default_dir;

/// The variable with gateways.
const VARIABLE: &str = "METRICSJOB_GATEWAY";

#[derive(Args)]
pub struct GatewayArgs {
    /// URL of a Pushgateway, or `embedded` (repeatable) [default: embedded]
    ///
    /// The scheme defaults to `http://`. The URL may have a path prefix, and a user and password, which are
    /// never printed. `embedded` is the local gateway in the state directory. Each of several gateways
    /// (separated by commas or spaces in the variable) gets every report, even if the others fail. It wins over the
    /// `gateway` of job files. `outbox flush` delivers to all that have entries waiting, unless one is named on the command line.
    #[arg(
        long,
        value_name = "URL",
        env = "METRICSJOB_GATEWAY",
        hide_env_values = true,
        value_parser = setting(OsStringValueParser::new()),
        help_heading = GATEWAY
    )]
    gateway: Vec<Setting<OsString>>,

    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    state: StateArgs,
}

impl GatewayArgs {
    /// The gateways that the options name, each once; without any the embedded one.
    ///
    /// # Errors
    ///
    /// One of them is none, or cannot be reached as the options say.
    pub fn gateways(&self) -> anyhow::Result<Vec<Gateway>> {
        Ok(self.strict_targets()?.gateways)
    }

    /// The gateways that were given, each once.
    pub fn given(&self) -> anyhow::Result<Vec<Gateway>> {
        let (names, _) = self.names(Strictness::Strict)?;
        Ok(self.targets(names, Strictness::Strict)?.gateways)
    }

    /// The gateways that the run of a job that names `of_job` reports to. One that the environment names wrongly is warned
    /// about and left out; one that cannot be reached as the environment or a file says keeps its reports waiting in the
    /// outbox.
    pub fn targets_of_run(&self, of_job: &[GatewayName]) -> anyhow::Result<Targets> {
        let targets = if self.yields_to_jobs() && !of_job.is_empty() {
            self.targets(of_job.to_vec(), Strictness::Lenient)?
        } else {
            self.targets_of_host()?
        };
        for problem in &targets.left_out {
            console::warning(&format!("{problem}; nothing is pushed there"));
        }
        let is_http = |gateway: &Gateway| matches!(gateway, Gateway::Http(..));
        if let (Some(problem), false) = (
            &targets.connection.unusable,
            targets.gateways.iter().any(is_http),
        ) {
            Strictness::Lenient.settle(problem)?;
        }
        Ok(targets)
    }

    /// The gateways that runs of jobs report to that name none, without a word on those that are left out.
    fn targets_of_host(&self) -> anyhow::Result<Targets> {
        let (names, left_out) = self.names(Strictness::Lenient)?;
        let mut targets = Targets {
            left_out,
            ..self.targets(names, Strictness::Lenient)?
        };
        if targets.gateways.is_empty() && targets.left_out.is_empty() {
            targets.gateways.push(Gateway::Embedded(self.state_dir()));
            targets.is_default = true;
        }
        Ok(targets)
    }

    /// The gateways that runs report to, those that `of_jobs` name included.
    ///
    /// # Errors
    ///
    /// One is named wrongly on the command line; elsewhere, only if `strictness` makes that wrong usage.
    pub fn all_targets(
        &self,
        of_jobs: Vec<GatewayName>,
        strictness: Strictness,
    ) -> anyhow::Result<Targets> {
        let mut targets = match strictness {
            Strictness::Strict => self.strict_targets()?,
            Strictness::Lenient => self.targets_of_host()?,
        };
        if self.yields_to_jobs() {
            let of_jobs = self.targets(of_jobs, strictness)?;
            let all = targets.gateways.into_iter().chain(of_jobs.gateways);
            targets.gateways = each_once(all);
        }
        Ok(targets)
    }

    /// Where the runs of a server report to, besides what `to` names.
    pub fn destinations(&self, to: &ToArgs) -> anyhow::Result<Destinations> {
        let state_dir = self.state_dir();
        let targets = self.strict_targets()?;
        Ok(Destinations {
            gateways: targets.gateways,
            is_default: targets.is_default,
            targets: to.named(Strictness::Strict)?,
            state_dir,
            connection: targets.connection,
            yields_gateways: self.yields_to_jobs(),
            yields_targets: to.yields_to_jobs(),
        })
    }

    /// Returns true if the gateways that a job names count: neither the command line nor the environment has any.
    fn yields_to_jobs(&self) -> bool {
        let is_lent = host_config::is_lent(VARIABLE);
        let is_of_config = |given: &Setting<OsString>| is_lent && !given.is_typed();
        self.gateway.iter().all(is_of_config)
    }

    fn targets(&self, names: Vec<GatewayName>, strictness: Strictness) -> anyhow::Result<Targets> {
        let connection = self.connection.connection(strictness)?;
        let gateways = names.into_iter();
        let gateways =
            gateways.map(|name| Gateway::new(name, self.state_dir(), connection.clone()));
        Ok(Targets {
            gateways: each_once(gateways),
            is_default: false,
            left_out: Vec::new(),
            connection,
        })
    }

    /// The names that were given, and the problems of those that cannot be parsed.
    fn names(&self, strictness: Strictness) -> anyhow::Result<(Vec<GatewayName>, Vec<String>)> {
        let (mut names, mut left_out) = (Vec::new(), Vec::new());
        for given in &self.gateway {
            match parse(given) {
                Ok(parsed) => names.extend(parsed),
                Err(error) if given.is_typed() || strictness == Strictness::Strict => {
                    return Err(usage(error));
                }
                Err(error) => {
                    let origin = host_config::origin(VARIABLE);
                    left_out.push(format!("{origin}: {error}"));
                }
            }
        }
        Ok((names, left_out))
    }

    /// The gateways of [`gateways`](Self::gateways), and how they are reached.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn strict_targets(&self) -> anyhow::Result<Targets> {
        let (names, _) = self.names(Strictness::Strict)?;
        let mut targets = self.targets(names, Strictness::Strict)?;
        if targets.gateways.is_empty() {
            targets.gateways.push(Gateway::Embedded(self.state_dir()));
            targets.is_default = true;
        }
        Ok(targets)
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

    /// Returns true if the command line names a gateway.
    pub fn is_typed(&self) -> bool {
        self.gateway.iter().any(Setting::is_typed)
    }

    /// How gateways are reached that were not named: nothing secret is shown to them.
    ///
    /// # Errors
    ///
    /// There is a secret, and `is_none_named`: it is for nobody.
    pub fn unnamed_connection(&self, is_none_named: bool) -> anyhow::Result<Connection> {
        let connection = self.connection.connection(Strictness::Strict)?;
        let secret = match &connection.authorization {
            Some(authorization) if is_none_named => authorization.source(),
            None if is_none_named && !connection.headers.is_empty() => "--header",
            _ => {
                return Ok(Connection {
                    authorization: None,
                    headers: HeaderMap::new(),
                    ..connection
                });
            }
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

    /// The command that shows the groups at `gateway`.
    pub fn status_command(&self, gateway: &Gateway) -> String {
        format!("metricsjob status{}", self.gateway_options(gateway))
    }

    /// The options, each with a blank before it, by which another command is about `gateway`.
    pub fn gateway_options(&self, gateway: &Gateway) -> String {
        match gateway {
            Gateway::Http(url, _) => format!(" --gateway {url}"),
            Gateway::Embedded(dir) => {
                let by_name = match self.gateway.as_slice() {
                    [] => "",
                    _ => " --gateway embedded",
                };
                match &self.state.state_dir {
                    Some(_) => format!("{by_name} --state-dir {}", dir.display()),
                    None => by_name.to_owned(),
                }
            }
        }
    }
}

/// Where a run reports to.
pub struct Targets {
    pub gateways: Vec<Gateway>,
    /// True if the only one is the embedded gateway because none was named.
    pub is_default: bool,
    /// Gateways that the environment or a config file names and that are none, each with its place and the reason.
    pub left_out: Vec<String>,
    /// How those behind a URL are reached.
    pub connection: Connection,
}

/// The gateways in one value of the option.
fn parse(given: &Setting<OsString>) -> anyhow::Result<Vec<GatewayName>> {
    let given = given.get(Strictness::Strict)?;
    let given = given.and_then(|given| given.to_str());
    let given = given.ok_or_else(|| anyhow::anyhow!("the gateway is not UTF-8"))?;
    Ok(GatewayName::parse_all(given)?)
}

#[derive(Args)]
pub struct StateArgs {
    /// Directory of the local database
    ///
    /// It holds the history, the outbox and the embedded gateway. Default: $STATE_DIRECTORY (set by
    /// systemd), $XDG_STATE_HOME/metricsjob, ~/.local/state/metricsjob, or /var/lib/metricsjob if there is no
    /// home directory.
    #[arg(long, value_name = "DIR", env = "METRICSJOB_STATE_DIR", hide_env_values = true, help_heading = GATEWAY)]
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
    /// Directory of job files to search first
    ///
    /// The search continues in ./jobs, $XDG_CONFIG_HOME/metricsjob/jobs (else ~/.config/metricsjob/jobs) and
    /// /etc/metricsjob/jobs. The first file with the job's name wins.
    #[arg(long, value_name = "DIR", env = "METRICSJOB_JOBS_DIR", hide_env_values = true, help_heading = JOB)]
    jobs_dir: Option<PathBuf>,
}

impl JobsArgs {
    /// The jobs, to whose definitions `config` has the defaults.
    pub fn catalog(&self, config: &HostConfig) -> anyhow::Result<Catalog> {
        let mut dir = self.jobs_dir.clone();
        if host_config::is_lent("METRICSJOB_JOBS_DIR") {
            // A host can be configured before it has any job.
            dir = dir.filter(|dir| dir.is_dir());
        }
        Catalog::new(dir, |name| env::var_os(name), config.defaults.clone()).map_err(usage)
    }
}

#[derive(Args)]
pub struct QuietArgs {
    /// Print only errors and warnings
    #[arg(
        short,
        long,
        env = "METRICSJOB_QUIET",
        hide_env_values = true,
        action = ArgAction::SetTrue,
        value_parser = setting(BoolishValueParser::new()),
        help_heading = OUTPUT
    )]
    quiet: Setting<bool>,
}

impl QuietArgs {
    pub fn get(&self, strictness: Strictness) -> anyhow::Result<bool> {
        self.quiet.get_or(false, strictness)
    }
}

#[derive(Args)]
pub struct OutputArgs {
    /// Format of the result
    #[arg(
        long,
        value_name = "FORMAT",
        env = "METRICSJOB_OUTPUT",
        hide_env_values = true,
        default_value = "text",
        value_parser = setting(EnumValueParser::<Output>::new()),
        help_heading = OUTPUT
    )]
    output: Setting<Output>,
}

impl OutputArgs {
    pub fn get(&self, strictness: Strictness) -> anyhow::Result<Output> {
        self.output.get_or(Output::Text, strictness)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
