//! A collector of market data: from an exchange's WebSocket into Redis streams, with metrics for Prometheus and a log of what
//! happened in the last seconds. `README.md` says what to look at.

mod exchange;
mod feed;
mod metrics;
mod publisher;
mod waits;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use metricsjob_http::MetricsHandler;
use metricsjob_instruments::window::WindowLog;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use exchange::Exchange;
use metrics::Metrics;
use publisher::Publisher;

/// Messages that may wait for Redis. While so many do, none are read.
const BUFFER: usize = 1000;

/// Time for what is still to be published at the end.
const END: Duration = Duration::from_secs(3);

/// Collects market data into Redis streams, and counts it at /metrics.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on [default: 127.0.0.1:8083]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Port to listen on, without --listen
    #[arg(long, env = "METRICS_PORT", default_value_t = 8083)]
    metrics_port: u16,
    /// Seconds from one line of the window log to the next; 0 for none
    #[arg(long, env = "METRICS_INTERVAL_SECONDS", default_value = "10", value_parser = seconds)]
    metrics_interval_seconds: Duration,
    /// Write the window log
    #[arg(long, env, default_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    enable_metrics: bool,
    /// Respond at /metrics
    #[arg(long, env, default_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    enable_prometheus_metrics: bool,
    /// URL of the Redis to publish to; without it, messages go to stdout
    #[arg(long, value_name = "URL", value_parser = redis)]
    redis: Option<redis::Client>,
    /// URL of the exchange (ws://…); without it, the example has one of its own
    #[arg(long, value_name = "URL")]
    exchange: Option<String>,
    /// Symbols to collect
    #[arg(long, value_delimiter = ',', default_value = "BTC-USD,ETH-USD")]
    symbols: Vec<String>,
    #[command(flatten)]
    own_exchange: Exchange,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "must be a number of seconds".into())
}

fn redis(url: &str) -> Result<redis::Client, String> {
    redis::Client::open(url).map_err(|error| error.to_string())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // 1. One collector for Prometheus and for the window log.
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry)?);
    let interval = if args.enable_metrics {
        args.metrics_interval_seconds
    } else {
        Duration::ZERO
    };
    let window_log = WindowLog::start(metrics.events(), interval)?;
    // 2. The server.
    let address = (Ipv4Addr::LOCALHOST, args.metrics_port);
    let address = args.listen.unwrap_or_else(|| address.into());
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let end = end()?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut app = Router::new().route("/healthz", get(async || "ok"));
    if args.enable_prometheus_metrics {
        app = app.route_service("/metrics", MetricsHandler::new(&registry));
    }
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    // 3. From the exchange into the buffer, and from there to Redis.
    let exchange = match args.exchange {
        Some(url) => url,
        None => args.own_exchange.start().await?,
    };
    let (buffer, buffered) = mpsc::channel(BUFFER);
    let publisher = Publisher::new(args.redis, Arc::clone(&metrics));
    let publisher = tokio::spawn(publisher.run(buffered));
    tokio::select! {
        () = feed::run(&exchange, &args.symbols, buffer, &metrics) => {}
        () = end => {}
    }
    // 4. The end: the feed and its end of the buffer are gone, so that the publisher ends when the buffer is empty.
    let is_published = tokio::time::timeout(END, publisher).await;
    if is_published.is_err() {
        eprintln!("messages in the buffer are lost");
    }
    server.abort();
    // Logs the last window.
    drop(window_log);
    Ok(())
}

/// Begins to listen for SIGTERM and SIGINT, and returns a future that waits for one of them.
fn end() -> std::io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
