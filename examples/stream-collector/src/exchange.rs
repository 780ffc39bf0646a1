//! A small exchange, so that the example runs by itself: random prices over WebSocket, and what goes wrong at real ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Symbols that are traded, each with its price.
const SYMBOLS: [(&str, f64); 3] = [
    ("BTC-USD", 60_000.0),
    ("ETH-USD", 3000.0),
    ("SOL-USD", 150.0),
];

/// Behaviour of the example's own exchange.
#[derive(Args, Clone)]
#[command(next_help_heading = "The example's own exchange")]
pub struct Exchange {
    /// Messages a second and symbol
    #[arg(long, value_name = "N", default_value = "10", value_parser = rate)]
    exchange_rate: f64,
    /// Part of the messages before which it drops the connection
    #[arg(long, value_name = "PART", default_value = "0.001", value_parser = part)]
    exchange_drops: f64,
    /// Part of the messages that are broken or errors
    #[arg(long, value_name = "PART", default_value = "0.01", value_parser = part)]
    exchange_broken: f64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    let rate = rate.filter(|rate| (0.01..=10_000.0).contains(rate));
    rate.ok_or_else(|| "must be a number from 0.01 to 10000".into())
}

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok();
    let part = part.filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "must be a number from 0 to 1".into())
}

#[derive(Deserialize)]
struct Subscription {
    op: String,
    symbol: String,
}

impl Exchange {
    /// Starts the exchange on a free port of the loopback address, and returns its URL.
    pub async fn start(self) -> anyhow::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.context("cannot start the exchange")?;
        let url = format!("ws://{}", listener.local_addr()?);
        let ids = Arc::new(AtomicU64::new(1));
        tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let (exchange, ids) = (self.clone(), Arc::clone(&ids));
                    tokio::spawn(async move {
                        if let Err(error) = exchange.serve(stream, &ids).await {
                            eprintln!("the exchange has lost a client: {error}");
                        }
                    });
                }
            }
        });
        Ok(url)
    }

    async fn serve(&self, stream: TcpStream, ids: &AtomicU64) -> anyhow::Result<()> {
        let mut socket = accept_async(stream).await?;
        let mut subscribed: Vec<(&str, f64)> = Vec::new();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / self.exchange_rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => match subscription(&text) {
                        Ok(symbol) => subscribed.push(symbol),
                        Err(error) => {
                            let error = json!({ "error": error }).to_string();
                            socket.send(Frame::text(error)).await?;
                        }
                    },
                    Some(Ok(Frame::Close(_))) | None => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                },
                _ = ticks.tick() => {
                    for (symbol, price) in &mut subscribed {
                        if rand::rng().random_bool(self.exchange_drops) {
                            // Without a word, as a broken network does.
                            return Ok(());
                        }
                        let text = self.message(symbol, price, ids);
                        socket.send(Frame::text(text)).await?;
                    }
                }
            }
        }
    }

    fn message(&self, symbol: &str, price: &mut f64, ids: &AtomicU64) -> String {
        let mut rng = rand::rng();
        *price *= rng.random_range(0.999..1.001);
        let price = (*price * 100.0).round() / 100.0;
        let is_broken = rng.random_bool(self.exchange_broken);
        if is_broken && rng.random_bool(0.5) {
            return json!({ "error": "internal error" }).to_string();
        }
        // Each good message has the next number, so that a reader can see whether one is missing.
        let id = if is_broken {
            0
        } else {
            ids.fetch_add(1, Relaxed)
        };
        let mut level = |side: f64| {
            let distance = rng.random_range(0.0..10.0);
            [price + side * distance, rng.random_range(0.01..2.0)]
        };
        let message = match id % 3 {
            0 => json!({ "channel": "ticker", "symbol": symbol, "id": id, "price": price }),
            1 => json!({
                "channel": "book", "symbol": symbol, "id": id,
                "bids": [level(-1.0), level(-1.0)], "asks": [level(1.0), level(1.0)],
            }),
            _ => json!({
                "channel": "trades", "symbol": symbol, "id": id,
                "price": price, "quantity": level(1.0)[1],
            }),
        };
        let mut text = message.to_string();
        if is_broken {
            text.truncate(text.len() / 2);
        }
        text
    }
}

fn subscription(text: &str) -> Result<(&'static str, f64), String> {
    let wanted: Subscription = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if wanted.op != "subscribe" {
        return Err(format!("unknown operation {:?}", wanted.op));
    }
    let known = SYMBOLS.iter().find(|(symbol, _)| *symbol == wanted.symbol);
    known
        .copied()
        .ok_or_else(|| format!("unknown symbol {:?}", wanted.symbol))
}
