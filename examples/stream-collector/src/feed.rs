//! The WebSocket client.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::metrics::{ErrorType, Metrics};
use crate::waits::Waits;

/// A connection without a message for so long is thought to be dead.
const SILENCE: Duration = Duration::from_secs(30);

/// Message of the exchange, which is published as it came.
pub struct Message {
    pub channel: &'static str,
    pub symbol: String,
    pub text: String,
}

/// Messages as the exchange sends them. What is not read here is for those who read the stream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Incoming {
    Market(Market),
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "channel", rename_all = "lowercase")]
enum Market {
    Ticker {
        symbol: String,
        #[serde(rename = "price")]
        _price: f64,
    },
    Book {
        symbol: String,
        #[serde(rename = "bids")]
        _bids: Vec<[f64; 2]>,
        #[serde(rename = "asks")]
        _asks: Vec<[f64; 2]>,
    },
    Trades {
        symbol: String,
        #[serde(rename = "price")]
        _price: f64,
        #[serde(rename = "quantity")]
        _quantity: f64,
    },
}

impl Market {
    fn into_message(self, text: String) -> Message {
        let (channel, symbol) = match self {
            Market::Ticker { symbol, .. } => ("ticker", symbol),
            Market::Book { symbol, .. } => ("book", symbol),
            Market::Trades { symbol, .. } => ("trades", symbol),
        };
        Message {
            channel,
            symbol,
            text,
        }
    }
}

/// Reads messages into `buffer`, and connects again whenever a connection ends. It ends if nobody reads the buffer.
pub async fn run(url: &str, symbols: &[String], buffer: Sender<Message>, metrics: &Metrics) {
    let mut waits = Waits::new();
    loop {
        let result = session(url, symbols, &buffer, metrics, &mut waits).await;
        if buffer.is_closed() {
            return;
        }
        let wait = waits.next();
        if let Err(error) = result {
            metrics.error(ErrorType::Api);
            eprintln!("connecting again in {wait:?}: {error:#}");
        }
        sleep(wait).await;
        metrics.reconnect();
    }
}

/// One connection, until the exchange closes it.
async fn session(
    url: &str,
    symbols: &[String],
    buffer: &Sender<Message>,
    metrics: &Metrics,
    waits: &mut Waits,
) -> anyhow::Result<()> {
    let connected = timeout(SILENCE, connect_async(url)).await;
    let (mut socket, _) = connected.context("no response")??;
    for symbol in symbols {
        let subscription = serde_json::json!({ "op": "subscribe", "symbol": symbol });
        socket.send(Frame::text(subscription.to_string())).await?;
    }
    loop {
        let frame = timeout(SILENCE, socket.next()).await;
        let text = match frame.context("no message for a long time")? {
            Some(Ok(Frame::Text(text))) => text,
            // Pings are answered by the library.
            Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {
                continue;
            }
            Some(Ok(Frame::Close(_))) | None => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        };
        match serde_json::from_str(&text) {
            Ok(Incoming::Market(market)) => {
                let message = market.into_message(text.to_string());
                // Anything else would be a label that the exchange chooses.
                if !symbols.contains(&message.symbol) {
                    metrics.error(ErrorType::Parse);
                    continue;
                }
                metrics.received(message.channel, &message.symbol, message.text.len());
                // The connection is good.
                *waits = Waits::new();
                if buffer.send(message).await.is_err() {
                    bail!("nothing is published any more");
                }
                metrics.buffered(buffer.max_capacity() - buffer.capacity());
            }
            Ok(Incoming::Error { error }) => {
                metrics.error(ErrorType::Api);
                eprintln!("the exchange says: {error:?}");
            }
            Err(_) => metrics.error(ErrorType::Parse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_right_and_wrong() {
        let channel = |text: &str| match serde_json::from_str(text) {
            Ok(Incoming::Market(market)) => market.into_message(String::new()).channel,
            Ok(Incoming::Error { .. }) => "error",
            Err(_) => "broken",
        };
        for (text, expected) in [
            (
                r#"{"channel":"ticker","symbol":"A","price":1.5,"new":[]}"#,
                "ticker",
            ),
            (
                r#"{"channel":"book","symbol":"A","bids":[[1,2]],"asks":[]}"#,
                "book",
            ),
            (
                r#"{"channel":"trades","symbol":"A","price":1,"quantity":2}"#,
                "trades",
            ),
            (r#"{"error":"unknown symbol"}"#, "error"),
            (r#"{"channel":"candles","symbol":"A"}"#, "broken"),
            (r#"{"channel":"ticker","symbol":"A","price":"1"}"#, "broken"),
            (r#"{"channel":"ticker","price":1}"#, "broken"),
            (r#"{"channel":"ticker","symbol":"#, "broken"),
            ("", "broken"),
            ("[]", "broken"),
        ] {
            assert_eq!(channel(text), expected, "{text}");
        }
    }
}
