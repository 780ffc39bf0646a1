//! An exporter: metrics of the machine, of a business and of services elsewhere, measured in the background and exposed over
//! HTTP. `README.md` says what to look at.

mod business;
mod machine;
mod services;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use clap::Parser;
use metricsjob_http::MetricsHandler;
use metricsjob_instruments::{AppInfo, Uptime};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// Measures a machine, a business and external services, and exposes that at /custom-metrics.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Factor of all intervals, such as 0.01 for a test
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = scale)]
    every_scale: f64,
}

fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok();
    let factor = factor.filter(|factor| (1e-4..=1e4).contains(factor));
    factor.ok_or_else(|| "must be a number from 0.0001 to 10000".into())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let registry = Registry::new();
    // 1. Collectors that come with the library.
    let labels = [("environment", "example")];
    let info = AppInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), &labels)?;
    registry.register(Box::new(info))?;
    registry.register(Box::new(Uptime::new()?))?;
    // 2. Gauges and counters that are set in the background, each group at its own interval.
    let every = |seconds: f64| Duration::from_secs_f64(seconds * args.every_scale);
    let mut machine = machine::Machine::new(&registry)?;
    tokio::spawn(periodically(every(10.0), move || machine.measure()));
    let business = business::Business::new(&registry)?;
    tokio::spawn(periodically(every(30.0), move || business.measure()));
    let services = services::Services::new(&registry)?;
    tokio::spawn(periodically(every(20.0), move || services.measure()));
    let connections = services::Connections::new(&registry)?;
    tokio::spawn(periodically(every(1.0), move || connections.change()));
    // 3. The server.
    let app = Router::new()
        .route_service("/custom-metrics", MetricsHandler::new(&registry))
        .route("/health", get(async || "ok\n"));
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let end = end()?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(end)
        .await?;
    Ok(())
}

/// Measures now and at each interval. Measuring takes no time to speak of, so that it can do without a thread of its own.
async fn periodically(every: Duration, mut measure: impl FnMut()) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        measure();
    }
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
