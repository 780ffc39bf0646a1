//! `metricsjob gateway`: serve the embedded gateway.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};
use url::{Host, Url};

use super::advice::cannot_start;
use super::aggregation_options::AggregationArgs;
use super::console::count;
use super::help::{LIMITS, SERVER, more};
use super::number::whole;
use super::options::{QuietArgs, StateArgs};
use super::setting::Strictness::Strict;
use super::web_options::{LogArgs, WebArgs};
use super::{connection_options::ConnectionArgs, console, exit, limit_heaps};
use metricsjob::job::duration::parse_positive;
use metricsjob::job::size::parse_size;
use metricsjob::push::{Gateway, GatewayClient};
use metricsjob_gateway::service::{Claim, Service};
use metricsjob_gateway::{Cors, MAX_SERIES, Options, PushLimits};
use metricsjob_metrics::Names;
use metricsjob_state::State;
use metricsjob_state::group_writer::Sync;
use metricsjob_state::serving::lock_groups;
use metricsjob_web::{Server, Settings};

const EXAMPLES: &str = "\
Examples:
  metricsjob gateway
  metricsjob gateway --web.listen-address :9091 --web.config.file web.yml
  metricsjob gateway --group.ttl 30d
  metricsjob gateway --group.aggregate 'job=\"web\" without (instance)'
  metricsjob gateway import http://old-pushgateway:9091

Scrape it with `honor_labels: true`, like a Pushgateway.";

/// Serve the embedded gateway: a Pushgateway that never loses an acknowledged push
///
/// It has the API, options and rules of the Prometheus Pushgateway and works with the same clients. A push is on disk
/// before it is acknowledged, and costs the same however many groups there are. Runs on this machine without
/// --gateway report to the same groups if they use the same state directory.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = more("gateway", EXAMPLES), after_long_help = EXAMPLES
)]
pub struct GatewayCommand {
    #[command(subcommand)]
    action: Option<GatewayAction>,

    #[command(flatten)]
    serve: GatewayServeArgs,
}

#[derive(Subcommand)]
enum GatewayAction {
    /// Copy the groups of a running Pushgateway
    Import(ImportArgs),
}

#[derive(Args)]
struct GatewayServeArgs {
    #[command(flatten)]
    web: WebArgs,

    /// Path of the metrics
    #[arg(hide_short_help = true, long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics",
        help_heading = SERVER
    )]
    telemetry_path: String,

    /// URL by which clients reach the gateway: sets its path and a host name to accept
    #[arg(hide_short_help = true, long = "web.external-url",
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        help_heading = SERVER
    )]
    external_url: String,

    /// Path prefix of all routes [default: the path of --web.external-url]
    #[arg(hide_short_help = true, long = "web.route-prefix",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true,
        help_heading = SERVER
    )]
    route_prefix: String,

    /// Origin whose pages may read the API, `*` for all (repeatable)
    ///
    /// They can never change anything. Unlike a Pushgateway, no other origin is allowed by default.
    #[arg(hide_short_help = true, long = "web.cors.origin", value_name = "ORIGIN", help_heading = SERVER)]
    cors_origins: Vec<String>,

    /// Allow a PUT or POST to /-/quit to end the gateway
    #[arg(hide_short_help = true, long = "web.enable-lifecycle", help_heading = SERVER)]
    enable_lifecycle: bool,

    /// Allow requests that delete groups by selectors, or all groups
    ///
    /// That is DELETE /api/v1/groups?match[]=SELECTOR, and PUT /api/v1/admin/wipe.
    #[arg(hide_short_help = true, long = "web.enable-admin-api", help_heading = SERVER)]
    enable_admin_api: bool,

    /// Answer inconsistent pushes with 202 instead of 400
    ///
    /// They are still rejected, because they would break every scrape; unlike in a Pushgateway the check costs
    /// hardly anything.
    #[arg(hide_short_help = true, long = "push.disable-consistency-check", help_heading = LIMITS)]
    disable_consistency_check: bool,

    /// Allow any UTF-8 in metric and label names
    ///
    /// The text format has such names in quotes: `{"my.metric","my.label"="value"} 1`. In a path, a label name
    /// can be escaped: `U__`, then `_HEX_` for a character's code point and `__` for an underscore, so
    /// /metrics/job/j/U__my_2e_label/value is the group of my.label="value". A scrape shows the names as they
    /// are to clients that accept `escaping=allow-utf-8`, as Prometheus 3 does, and to others with underscores
    /// instead: my_metric. If several names become the same, only one is shown.
    #[arg(hide_short_help = true, long = "push.enable-utf8-names", help_heading = LIMITS)]
    enable_utf8_names: bool,

    /// Maximum size of a push, decompressed
    #[arg(hide_short_help = true, long = "push.max-body-size", value_name = "SIZE", default_value = "32MiB", value_parser = parse_size, help_heading = LIMITS)]
    max_body_size: usize,

    /// Maximum total size of pushes being received; others get 503
    #[arg(hide_short_help = true, long = "push.max-pending-size", value_name = "SIZE", default_value = "256MiB", value_parser = parse_size, help_heading = LIMITS)]
    max_pending_size: usize,

    /// Maximum number of series in a push (a summary or histogram is one); larger ones get 413
    #[arg(hide_short_help = true, long = "push.max-series",
        value_name = "COUNT",
        value_parser = whole::<usize>,
        default_value_t = PushLimits::default().series,
        help_heading = LIMITS
    )]
    max_push_series: usize,

    /// Maximum number of labels of a series or a grouping key
    #[arg(hide_short_help = true, long = "push.max-labels",
        value_name = "COUNT",
        value_parser = whole::<usize>,
        default_value_t = 128,
        help_heading = LIMITS
    )]
    max_labels: usize,

    /// Maximum size of a label value
    #[arg(hide_short_help = true, long = "push.max-label-value-size", value_name = "SIZE", default_value = "64KiB", value_parser = parse_size, help_heading = LIMITS)]
    max_label_value_size: usize,

    /// Maximum size of a metric or label name
    #[arg(hide_short_help = true, long = "push.max-name-size", value_name = "SIZE", default_value = "1KiB", value_parser = parse_size, help_heading = LIMITS)]
    max_name_size: usize,

    /// Delete groups that got no push for this long [default: never]
    ///
    /// A push with the header `Pushgateway-TTL: 36h` (--ttl of run, exec and push) sets another time for its group.
    #[arg(long = "group.ttl", value_name = "DURATION", value_parser = parse_positive, help_heading = LIMITS)]
    ttl: Option<Duration>,

    #[command(flatten)]
    aggregation: AggregationArgs,

    /// Maximum number of series in all groups, counting two push times for each; more get 507
    #[arg(hide_short_help = true, long = "storage.max-series",
        value_name = "COUNT",
        value_parser = whole::<usize>,
        default_value_t = MAX_SERIES,
        help_heading = LIMITS
    )]
    max_series: usize,

    /// Acknowledge a push once it is on disk, or once the operating system has it
    ///
    /// With `os`, a push survives a crash of the gateway but not of the machine.
    #[arg(hide_short_help = true, long = "storage.sync",
        value_name = "WHERE",
        value_enum,
        default_value = "disk",
        help_heading = LIMITS
    )]
    sync: SyncTo,

    /// Accepted for compatibility with the Pushgateway, without effect
    #[arg(long = "persistence.file", value_name = "FILE", hide = true)]
    persistence_file: Option<String>,

    #[arg(long = "persistence.interval", value_name = "DURATION", hide = true)]
    persistence_interval: Option<String>,

    #[arg(long = "web.local-assets", value_name = "DIR", hide = true)]
    local_assets: Option<String>,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum SyncTo {
    Disk,
    Os,
}

const IMPORT_EXAMPLES: &str = "\
Example:
  metricsjob gateway import http://127.0.0.1:9091";

/// Copy the groups of a running Pushgateway
///
/// The groups keep the times of their last pushes. A group that has had a newer push here is left alone. Native
/// histograms lose what a Pushgateway does not show: all but count and sum before version 1.8, classic buckets and
/// exemplars since. No gateway may be serving the state directory meanwhile.
#[derive(Args)]
#[command(after_help = more("gateway import", IMPORT_EXAMPLES), after_long_help = IMPORT_EXAMPLES)]
struct ImportArgs {
    /// URL of the Pushgateway
    #[arg(value_name = "URL")]
    from: String,

    /// Maximum size of the Pushgateway's response
    #[arg(help_heading = LIMITS, hide_short_help = true, long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    max_answer_size: usize,

    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    quiet: QuietArgs,
}

/// A heap for each thread would keep what it has freed, of which a scrape or a large push leaves much.
const HEAPS: i32 = 2;

pub fn main(args: GatewayCommand) -> anyhow::Result<u8> {
    match args.action {
        Some(GatewayAction::Import(args)) => import(args),
        None => serve(args.serve),
    }
}

fn serve(args: GatewayServeArgs) -> anyhow::Result<u8> {
    let options = args.options()?;
    args.log.install();
    let dir = args.state.dir();
    limit_heaps(HEAPS);

    let claim = Claim::on(&dir)?;
    let server = Server::bind(&args.settings()?);
    let server = server.map_err(|error| cannot_start(error, "--web.listen-address"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the threads that serve")?;
    let sync = match args.sync {
        SyncTo::Disk => Sync::Disk,
        SyncTo::Os => Sync::Os,
    };
    let service = Service::open(claim, options, sync, runtime.handle().clone())?;
    for (name, given) in [
        ("--persistence.file", &args.persistence_file),
        ("--persistence.interval", &args.persistence_interval),
    ] {
        if given.is_some() {
            warn!(
                option = name,
                "option without effect: each push is kept in the state database"
            );
        }
    }
    let (served, has_lost) = runtime.block_on(async {
        let (is_lost, shutdown) = ending(service.quit(), service.lost())?;
        let served = service.serve(server, shutdown).await;
        anyhow::Ok((served, is_lost.load(Relaxed)))
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.end();
    if has_lost {
        anyhow::bail!(
            "the state directory {} was removed or replaced (see the log): start the gateway again",
            dir.display()
        );
    }
    Ok(exit::SUCCESS)
}

/// Waits for a signal, a request to end, or the loss of the state directory, and notes which of them it was.
fn ending(
    quit: Arc<Notify>,
    lost: Arc<Notify>,
) -> anyhow::Result<(Arc<AtomicBool>, impl Future<Output = ()>)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let is_lost = Arc::new(AtomicBool::new(false));
    let noted = is_lost.clone();
    let end = async move {
        let why = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = quit.notified() => "/-/quit",
            () = lost.notified() => {
                noted.store(true, Relaxed);
                "the state directory has gone"
            }
        };
        info!(reason = why, "ending");
    };
    Ok((is_lost, end))
}

impl GatewayServeArgs {
    fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings {
            external_url: external(&self.external_url)?,
            ..self.web.settings()
        })
    }

    fn options(&self) -> anyhow::Result<Options> {
        let prefix = match self.route_prefix.as_str() {
            "" => external(&self.external_url)?.map_or(String::new(), |url| url.path().to_owned()),
            given => given.to_owned(),
        };
        let prefix = prefix.trim_matches('/');
        let telemetry_path = self.telemetry_path.trim_end_matches('/');
        if !telemetry_path.starts_with('/') {
            return Err(exit::usage(anyhow::anyhow!(
                "--web.telemetry-path {:?} cannot be the path of the metrics: it must start with a slash and have more behind it, for example /metrics",
                self.telemetry_path
            )));
        }
        Ok(Options {
            route_prefix: match prefix {
                "" => String::new(),
                prefix => format!("/{prefix}"),
            },
            telemetry_path: telemetry_path.to_owned(),
            enable_admin_api: self.enable_admin_api,
            enable_lifecycle: self.enable_lifecycle,
            disable_consistency_check: self.disable_consistency_check,
            ttl: self.ttl,
            aggregation: self.aggregation.rules()?,
            max_series: self.max_series,
            limits: PushLimits {
                body: self.max_body_size,
                pending: self.max_pending_size,
                labels: self.max_labels,
                label_value: self.max_label_value_size,
                name: self.max_name_size,
                series: self.max_push_series,
                names: if self.enable_utf8_names {
                    Names::Utf8
                } else {
                    Names::Legacy
                },
                read_timeout: self.web.settings().read_timeout,
            },
            cors: Cors::parse(&self.cors_origins)
                .map_err(|problem| exit::usage(anyhow::anyhow!(problem)))?,
            flags: self.flags(),
        })
    }

    /// Options as the API shows them.
    fn flags(&self) -> Vec<(String, String)> {
        let web = self.web.settings();
        let config = web.config_file.unwrap_or_default();
        let hosts: Vec<String> = web.allowed_hosts.iter().map(Host::to_string).collect();
        let ttl = self
            .ttl
            .map(|ttl| humantime::format_duration(ttl).to_string());
        let sync = match self.sync {
            SyncTo::Disk => "disk",
            SyncTo::Os => "os",
        };
        let [log_format, log_level] = self.log.flags();
        let persistence = |given: &Option<String>| given.clone().unwrap_or_default();
        let flags: [(&str, String); 26] = [
            self.aggregation.flag(),
            ("group.ttl", ttl.unwrap_or_default()),
            log_format,
            log_level,
            ("persistence.file", persistence(&self.persistence_file)),
            (
                "persistence.interval",
                persistence(&self.persistence_interval),
            ),
            (
                "push.disable-consistency-check",
                self.disable_consistency_check.to_string(),
            ),
            ("push.enable-utf8-names", self.enable_utf8_names.to_string()),
            ("push.max-body-size", self.max_body_size.to_string()),
            (
                "push.max-label-value-size",
                self.max_label_value_size.to_string(),
            ),
            ("push.max-labels", self.max_labels.to_string()),
            ("push.max-name-size", self.max_name_size.to_string()),
            ("push.max-pending-size", self.max_pending_size.to_string()),
            ("push.max-series", self.max_push_series.to_string()),
            ("storage.max-series", self.max_series.to_string()),
            ("storage.sync", sync.to_owned()),
            ("web.allowed-hosts", hosts.join(",")),
            ("web.config.file", config.display().to_string()),
            ("web.cors.origin", self.cors_origins.join(",")),
            ("web.enable-admin-api", self.enable_admin_api.to_string()),
            ("web.enable-lifecycle", self.enable_lifecycle.to_string()),
            ("web.external-url", self.external_url.clone()),
            ("web.listen-address", web.listen_addresses.join(",")),
            ("web.route-prefix", self.route_prefix.clone()),
            ("web.systemd-socket", web.systemd_socket.to_string()),
            ("web.telemetry-path", self.telemetry_path.clone()),
        ];
        flags.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// The URL under which the gateway is reached from outside.
fn external(url: &str) -> anyhow::Result<Option<Url>> {
    if url.is_empty() {
        return Ok(None);
    }
    match Url::parse(url) {
        Ok(url) if url.has_host() => Ok(Some(url)),
        _ => Err(exit::usage(anyhow::anyhow!(
            "--web.external-url {url:?} is not a URL (for example https://metrics.example/pushgateway)"
        ))),
    }
}

fn import(args: ImportArgs) -> anyhow::Result<u8> {
    let dir = args.state.dir();
    let connection = args.connection.connection(Strict)?;
    let quiet = args.quiet.get(Strict)?;
    let from = Gateway::parse(&args.from, dir.clone(), connection).map_err(exit::usage)?;
    if matches!(from, Gateway::Embedded(_)) {
        let problem = "\"embedded\" is where the groups go: give the URL of another gateway";
        return Err(exit::usage(anyhow::anyhow!(problem)));
    }
    let groups = GatewayClient::new(&from).groups(args.max_answer_size)?;
    let mut state = State::open(&dir)?;
    let Some(_lock) = lock_groups(&dir)? else {
        anyhow::bail!(
            "a gateway serves the state directory {}: end it, import, and start it again",
            dir.display()
        );
    };
    let imported = state.import(groups)?;
    for problem in &imported.refused {
        console::warning(&format!("not imported: {problem}"));
    }
    if !quiet {
        let kept = match imported.kept {
            0 => String::new(),
            n => format!("; {} newer here", count(n as u64, "one is", "are")),
        };
        let groups = count(imported.imported as u64, "a group", "groups");
        console::result(&format!("imported {groups} from {from}{kept}\n"))?;
    }
    if imported.refused.is_empty() {
        Ok(exit::SUCCESS)
    } else {
        Ok(exit::UNAVAILABLE)
    }
}
