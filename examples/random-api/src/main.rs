//! An API whose responses are OK, Normal or Error at random, and that counts them.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use clap::Parser;
use metricsjob_http::Manager;
use prometheus::IntCounter;
use rand::seq::IndexedRandom;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Responds with OK, Normal or Error, and counts them at /metrics.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Counters of the API. Clones share them.
#[derive(Clone)]
struct Counters {
    requests: IntCounter,
    errors: IntCounter,
}

impl Counters {
    fn new(manager: &Manager) -> prometheus::Result<Self> {
        let requests = IntCounter::new("request_count_total", "Requests that were answered.")?;
        let errors = IntCounter::new("request_error_count_total", "Requests answered by Error.")?;
        Ok(Counters {
            requests: manager.register(requests)?,
            errors: manager.register(errors)?,
        })
    }
}

async fn answer(State(counters): State<Counters>) -> &'static str {
    let answer = *["OK", "Normal", "Error"]
        .choose(&mut rand::rng())
        .expect("there are three");
    counters.requests.inc();
    if answer == "Error" {
        counters.errors.inc();
    }
    answer
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // 1. A registry, and the metrics in it.
    let manager = Manager::builder().build()?;
    let counters = Counters::new(&manager)?;
    // 2. The API, and the metrics beside it.
    let app = Router::new()
        .route("/", get(answer))
        .with_state(counters)
        .route_service("/metrics", manager.handler());
    // 3. The server.
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let end = end()?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(end)
        .await?;
    Ok(())
}
