//! A monitored API of users.
//!
//! - `main`: the command line, and how the parts are put together; `server`: connections and their timeouts.
//! - `api`: the endpoints; `users`: the data behind them; `metrics`: what is counted.

mod api;
mod metrics;
mod server;
mod users;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use metricsjob_http::{AccessRecord, Manager};
use serde_json::json;
use tokio::net::TcpListener;

use api::Api;
use metrics::Metrics;

/// Serves users below /api/v1, and metrics at /metrics. The access log is on stdout.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,

    /// Maximum time for a request to arrive and be worked on
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    read_timeout: Duration,

    /// Maximum time for a response to be sent
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,

    /// Maximum time between two requests of a connection
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,
}

/// Writes a line of the access log.
fn log_access(record: &AccessRecord) {
    let line = json!({
        "time": jiff::Timestamp::now().to_string(),
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "duration_seconds": record.duration.as_secs_f64(),
        "size": record.response_bytes,
        "client": record.client,
        "user_agent": record.user_agent,
    });
    // A log that nobody reads any more is no reason to end.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let manager = Manager::builder().build()?;
    let metrics = Metrics::new(&manager, log_access)?;
    let api = Api::start(metrics);
    let app = api::router(&Arc::new(api), manager.handler());
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let end = server::end()?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let limits = server::Limits {
        read: args.read_timeout,
        write: args.write_timeout,
        idle: args.idle_timeout,
        grace: Duration::from_secs(30),
    };
    server::serve(listener, app, limits, end).await;
    Ok(())
}
