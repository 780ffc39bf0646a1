//! `metricsjob serve`: run jobs by their schedules, and show their results.

use std::env;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use clap::builder::{BoolishValueParser, TypedValueParser};
use signal_hook::consts::SIGTERM;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};

use super::advice::cannot_start;
use super::aggregation_options::AggregationArgs;
use super::delivery_options::DeliveryArgs;
use super::destination_options::ToArgs;
use super::help::{GATEWAY, GROUPING, JOB, OUTPUT, SERVER, more};
use super::number::positive;
use super::options::{GatewayArgs, JobsArgs};
use super::setting::Strictness::Strict;
use super::web_options::{LogArgs, WebArgs};
use super::{exit, limit_heaps};
use metricsjob::config::HostConfig;
use metricsjob::job::duration::{parse, parse_positive};
use metricsjob::serve::http::{Parts, Permission, ServeApp, error, router};
use metricsjob::serve::late::{self, LateWatch};
use metricsjob::serve::{Periodic, Publication, Runner, Scheduler, window};
use metricsjob_client::Stop;
use metricsjob_gateway::Options;
use metricsjob_gateway::service::{Claim, Served, Service};
use metricsjob_state::group_writer::Sync;
use metricsjob_web::{Server, ServerMetrics, Settings, make_room};

const EXAMPLES: &str = "\
Examples:
  metricsjob serve --demo
  metricsjob serve --jobs-dir jobs --gateway http://pushgateway:9091
  metricsjob serve --web.listen-address :9464 --web.config.file web.yml
  curl -X POST http://127.0.0.1:9464/api/v1/jobs/dump/runs   # start a run";

/// Run jobs on their schedules, and show results over HTTP
///
/// For containers and hosts without cron. Jobs whose files have `schedule` or `every` run automatically; any job can
/// be started over HTTP. A run is the same as with `metricsjob run`, and its report goes to the gateway. /metrics has
/// the metrics of the jobs and of this server, / is a web page, and /api/v1/openapi.json describes the API.
///
/// SIGHUP reloads the job files. On SIGTERM it starts no more runs, waits for those in progress, and sends them
/// SIGTERM after --grace; a second SIGTERM is passed on at once.
#[derive(Args)]
#[command(
    mut_arg("listen_address", |arg| arg
        .default_value("127.0.0.1:9464")
        .env("METRICSJOB_SERVE_LISTEN")
        .hide_env_values(true)
        .value_delimiter(',')),
    after_help = more("serve", EXAMPLES), after_long_help = EXAMPLES
)]
pub struct ServeArgs {
    #[command(flatten)]
    jobs: JobsArgs,

    /// Run the demo jobs too
    #[arg(long, help_heading = JOB)]
    demo: bool,

    /// Maximum number of simultaneous runs; further ones wait
    #[arg(hide_short_help = true, long,
        value_name = "N",
        env = "METRICSJOB_CONCURRENCY",
        hide_env_values = true,
        default_value = "64",
        value_parser = positive::<u32>,
        help_heading = JOB
    )]
    concurrency: u32,

    /// How long a stopping server lets runs go on before it sends them SIGTERM
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_GRACE",
        hide_env_values = true,
        default_value = "5s",
        value_parser = parse,
        help_heading = JOB
    )]
    grace: Duration,

    /// Push the server's own metrics this often, and when it ends [default: never]
    ///
    /// For servers whose /metrics nobody can scrape. They replace the group of job `metricsjob` and this instance
    /// at each gateway. Reports of runs are pushed in any case.
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_SERVE_PUSH_INTERVAL",
        hide_env_values = true,
        value_parser = parse_positive,
        help_heading = GROUPING
    )]
    push_interval: Option<Duration>,

    /// Value of the `instance` label for --push-interval [default: the host name]
    #[arg(hide_short_help = true, long,
        value_name = "NAME",
        env = "METRICSJOB_PUSH_INSTANCE",
        hide_env_values = true,
        help_heading = GROUPING
    )]
    push_instance: Option<String>,

    #[command(flatten)]
    web: WebArgs,

    /// Allow anyone who can reach the server to start runs and reload
    ///
    /// Otherwise a server that listens on more than loopback addresses, or runs as root, allows that only if
    /// --web.config.file has users or client certificates. Pages of other sites are never allowed to.
    #[arg(hide_short_help = true, long = "web.enable-lifecycle", help_heading = SERVER)]
    enable_lifecycle: bool,

    #[command(flatten)]
    log: LogArgs,

    /// Log a line of metrics this often; 0 is never [default: 10s]
    ///
    /// The line has the message `metrics` and covers the time since the last one. The variables
    /// METRICS_INTERVAL_SECONDS (a number) and ENABLE_METRICS (true or false) set it too.
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = parse_window, help_heading = OUTPUT)]
    log_window: Option<Duration>,

    #[command(flatten)]
    delivery: DeliveryArgs,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    to: ToArgs,

    /// Serve the embedded gateway too, on this address
    ///
    /// It is the server of `metricsjob gateway` with its default options, --group.aggregate and this --web.config.file, so that one
    /// process is all that other jobs and Prometheus need.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "METRICSJOB_GATEWAY_LISTEN",
        hide_env_values = true,
        help_heading = GATEWAY
    )]
    gateway_listen: Option<String>,

    #[command(flatten)]
    aggregation: AggregationArgs,
}

/// How long requests in flight have when the server ends.
const REQUEST_GRACE: Duration = Duration::from_secs(5);

/// How many files a run may have open: pipes of its signals and output, its process, its lock, the file of its metrics,
/// and what it takes to start it.
const FILES_OF_A_RUN: u64 = 16;

const LOG_WINDOW: Duration = Duration::from_secs(10);

/// A heap for each thread would keep what it has freed, and each run has one.
const HEAPS: i32 = 2;

pub fn main(args: ServeArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let catalog = args.jobs.catalog(config)?;
    let log_window = args.log_window()?;
    let delivery = args.delivery.policy(false, Strict)?;
    let state_dir = args.gateway.state_dir();
    let flags = args.flags(&state_dir);
    args.log.install();
    limit_heaps(HEAPS);
    let claim = args.gateway_listen.as_ref().map(|_| Claim::on(&state_dir));
    let claim = claim.transpose()?;
    let server = Server::bind(&args.web.settings());
    let mut server = server.map_err(|error| cannot_start(error, "--web.listen-address"))?;
    server.refuse_by(error);
    let gateway_server = args.gateway_server()?;
    let gateway_options = Options {
        aggregation: args.aggregation.rules()?,
        ..Options::default()
    };
    // Connections may take all that was allowed for them.
    let further = match &gateway_server {
        Some(_) => args.web.settings().max_connections as u64,
        None => 0,
    };
    make_room(u64::from(args.concurrency) * FILES_OF_A_RUN + further);
    let is_cut_short = Arc::new(AtomicBool::new(false));
    let stop = Stop::when({
        let is_cut_short = Arc::clone(&is_cut_short);
        move || is_cut_short.load(Relaxed)
    });
    let destinations = args.gateway.destinations(&args.to)?;
    let runner = Runner::new(destinations, delivery, state_dir, stop.clone());
    let scheduler = Scheduler::new(runner, args.concurrency.try_into()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the threads that serve")?;
    // Before any run that they would end, and before any client is served.
    let mut signals = {
        let _context = runtime.enter();
        ServeSignals::catch()?
    };
    let gateway_is_lost = Arc::new(Notify::new());
    let gateway = match (claim, gateway_server) {
        (Some(claim), Some(server)) => {
            let lost = Arc::clone(&gateway_is_lost);
            Some(GatewayPart::start(
                claim,
                server,
                gateway_options,
                &runtime,
                lost,
            )?)
        }
        _ => None,
    };
    let http = ServerMetrics::new("serve");
    let app = ServeApp::new(Parts {
        scheduler: Arc::clone(&scheduler),
        catalog,
        with_demos: args.demo,
        read_timeout: args.web.settings().read_timeout,
        permission: Permission {
            is_allowed: args.enable_lifecycle,
            is_loopback: server.is_loopback(),
            is_root: nix::unistd::geteuid().is_root(),
        },
        flags,
        http: Arc::clone(&http),
        runtime: runtime.handle().clone(),
    });
    app.reload()?;
    let threads = Threads::start(&args, &app, log_window, &stop)?;
    let end = ServeEnd {
        grace: args.grace,
        signals: &mut signals,
        gateway_is_lost: &gateway_is_lost,
        is_cut_short: &is_cut_short,
    };
    let reason = serve(&runtime, server, &app, http, end);
    runtime.spawn(async move {
        let signal = signals.next_ending().await;
        tracing::info!(signal, "what is left is not waited for");
        is_cut_short.store(true, Relaxed);
    });
    threads.end();
    // After the reports of the last runs.
    let served = gateway.and_then(|gateway| gateway.end(&runtime));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(served) = served {
        served.end();
    }
    tracing::info!("the server has ended");
    if reason == GATEWAY_LOST {
        anyhow::bail!("the embedded gateway has ended (see the log): start the server again");
    }
    Ok(exit::SUCCESS)
}

/// Why the server ends, where it is not a signal.
const GATEWAY_LOST: &str = "the embedded gateway has ended";

/// The embedded gateway, served beside.
struct GatewayPart {
    serving: JoinHandle<Served>,
    end: Arc<Notify>,
}

impl GatewayPart {
    /// Serves it. `is_lost` is notified where it ends by itself: to run jobs whose reports go nowhere would be of
    /// little use, and a supervisor can start the server again.
    fn start(
        claim: Claim,
        server: Server,
        options: Options,
        runtime: &Runtime,
        is_lost: Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let handle = runtime.handle().clone();
        let service = Service::open(claim, options, Sync::Disk, handle)?;
        for address in server.addresses() {
            tracing::info!(%address, "the embedded gateway is served too");
        }
        let end = Arc::new(Notify::new());
        let (ended, lost) = (Arc::clone(&end), service.lost());
        let shutdown = async move {
            tokio::select! {
                () = ended.notified() => {}
                () = lost.notified() => is_lost.notify_one(),
            }
        };
        Ok(GatewayPart {
            serving: runtime.spawn(service.serve(server, shutdown)),
            end,
        })
    }

    fn end(self, runtime: &Runtime) -> Option<Served> {
        self.end.notify_one();
        runtime.block_on(self.serving).ok()
    }
}

/// How it ends.
struct ServeEnd<'a> {
    grace: Duration,
    signals: &'a mut ServeSignals,
    gateway_is_lost: &'a Notify,
    /// Set once the end was requested twice.
    is_cut_short: &'a AtomicBool,
}

/// Serves until a signal or the loss of its gateway ends it and all runs are over. Returns why.
fn serve(
    runtime: &Runtime,
    server: Server,
    app: &Arc<ServeApp>,
    http: Arc<ServerMetrics>,
    end: ServeEnd<'_>,
) -> &'static str {
    let ServeEnd {
        grace,
        signals,
        gateway_is_lost,
        is_cut_short,
    } = end;
    let mut reason = "";
    runtime.block_on(async {
        let shutdown = async {
            reason = signals.wait_for_end(app, gateway_is_lost).await;
            let scheduler = Arc::clone(&app.scheduler);
            let ended = spawn_blocking(move || scheduler.end(grace));
            tokio::pin!(ended);
            loop {
                tokio::select! {
                    _ = &mut ended => return,
                    signal = signals.next_ending() => {
                        tracing::info!(signal, "the signal is passed on to what runs");
                        app.scheduler.state().tell_all(SIGTERM);
                        is_cut_short.store(true, Relaxed);
                    }
                }
            }
        };
        let router = router(Arc::clone(app));
        server.serve(router, http, shutdown, REQUEST_GRACE).await;
    });
    reason
}

/// The signals that the server gets.
struct ServeSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl ServeSignals {
    fn catch() -> io::Result<Self> {
        Ok(ServeSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal that asks for the end, and returns its name.
    async fn next_ending(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for a reason to end the server, and returns it. Until then, each SIGHUP has the job files read again.
    async fn wait_for_end(
        &mut self,
        app: &Arc<ServeApp>,
        gateway_is_lost: &Notify,
    ) -> &'static str {
        loop {
            let reason = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                () = gateway_is_lost.notified() => GATEWAY_LOST,
                _ = self.hangup.recv() => "",
            };
            if !reason.is_empty() {
                tracing::info!(reason, "ending");
                return reason;
            }
            let app = Arc::clone(app);
            // A failure is logged, and changes nothing.
            let _ = spawn_blocking(move || app.reload()).await;
        }
    }
}

/// Threads that run besides serving.
struct Threads {
    scheduler: thread::JoinHandle<()>,
    app: Arc<ServeApp>,
    publications: Vec<Periodic>,
    window: Option<Periodic>,
    late: Periodic,
}

impl Threads {
    fn start(
        args: &ServeArgs,
        app: &Arc<ServeApp>,
        log_window: Option<Duration>,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let failed = "could not start a thread";
        app.scheduler.deliver_everywhere().context(failed)?;
        let scheduler = Arc::clone(&app.scheduler);
        let watch = thread::Builder::new().name("schedule".into());
        let mut publications = Vec::new();
        if let Some(interval) = args.push_interval {
            let instance = args.push_instance.clone().unwrap_or_else(host);
            let each = Publication::to_each_gateway(&app.scheduler, instance, stop);
            for mut publication in each.map_err(exit::usage)? {
                let app = Arc::clone(app);
                let push = move || publication.push(&app.scheduler, app.own_families());
                publications.push(Periodic::start("publish", interval, push).context(failed)?);
            }
        }
        let window = match log_window {
            Some(interval) => {
                let scheduler = Arc::clone(&app.scheduler);
                let log = move || {
                    // The reader of the log may be slow: the state must be free by then.
                    let ended = scheduler.state().window.reset();
                    window::log(&ended);
                };
                Some(Periodic::start("window", interval, log).context(failed)?)
            }
            None => None,
        };
        let (for_late, mut watch_late) =
            (Arc::clone(&app.scheduler), LateWatch::new(&app.scheduler));
        let late = move || watch_late.look(&for_late, SystemTime::now());
        Ok(Threads {
            app: Arc::clone(app),
            late: Periodic::start("late", late::INTERVAL, late).context(failed)?,
            scheduler: watch.spawn(move || scheduler.watch()).context(failed)?,
            publications,
            window,
        })
    }

    /// Delivers and pushes the remaining reports and metrics, and waits for that.
    fn end(self) {
        // It does not panic: the scheduler is restarted after a panic.
        let _ = self.scheduler.join();
        self.app.scheduler.runner().deliverer().end();
        Periodic::end(self.publications);
        Periodic::end(self.window.into_iter().chain([self.late]));
    }
}

impl ServeArgs {
    /// How often the window is logged; `None` for never.
    fn log_window(&self) -> anyhow::Result<Option<Duration>> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let window = match (self.log_window, variable("ENABLE_METRICS")) {
            (Some(window), _) => window,
            (None, Some(text)) if !is_true("ENABLE_METRICS", &text)? => Duration::ZERO,
            (None, _) => match variable("METRICS_INTERVAL_SECONDS") {
                Some(text) => seconds(&text).ok_or_else(|| {
                    exit::usage(anyhow::anyhow!(
                        "METRICS_INTERVAL_SECONDS {text:?} is not a number of seconds, for example 10"
                    ))
                })?,
                None => LOG_WINDOW,
            },
        };
        Ok((!window.is_zero()).then_some(window))
    }

    /// The gateway's listener, bound like the others.
    fn gateway_server(&self) -> anyhow::Result<Option<Server>> {
        let Some(address) = &self.gateway_listen else {
            return Ok(None);
        };
        let settings = Settings {
            listen_addresses: vec![address.clone()],
            systemd_socket: false,
            ..self.web.settings()
        };
        let server = Server::bind(&settings);
        Ok(Some(server.map_err(|error| {
            cannot_start(error, "--gateway-listen")
        })?))
    }

    /// Options as the page shows them.
    fn flags(&self, state_dir: &std::path::Path) -> Vec<(String, String)> {
        let settings = self.web.settings();
        let config = settings.config_file.unwrap_or_default();
        let interval = self.push_interval.map(humantime::format_duration);
        let [log_format, log_level] = self.log.flags();
        let flags: [_; 11] = [
            ("concurrency", self.concurrency.to_string()),
            ("demo", self.demo.to_string()),
            ("grace", humantime::format_duration(self.grace).to_string()),
            (
                "gateway-listen",
                self.gateway_listen.clone().unwrap_or_default(),
            ),
            log_format,
            log_level,
            (
                "push-interval",
                interval
                    .map(|interval| interval.to_string())
                    .unwrap_or_default(),
            ),
            ("state-dir", state_dir.display().to_string()),
            ("web.config.file", config.display().to_string()),
            ("web.enable-lifecycle", self.enable_lifecycle.to_string()),
            ("web.listen-address", settings.listen_addresses.join(", ")),
        ];
        flags.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// A duration, or a number of seconds.
fn parse_window(text: &str) -> Result<Duration, String> {
    seconds(text).map_or_else(|| parse(text), Ok)
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

fn is_true(name: &str, text: &str) -> anyhow::Result<bool> {
    let parser = BoolishValueParser::new();
    let value = parser.parse_ref(&clap::Command::default(), None, text.trim().as_ref());
    value.map_err(|_| exit::usage(anyhow::anyhow!("{name} {text:?} is neither true nor false")))
}

fn host() -> String {
    metricsjob_client::host::name().unwrap_or_else(|| "localhost".into())
}
