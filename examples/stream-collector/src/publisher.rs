//! From the buffer to Redis, or to stdout.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use crate::feed::Message;
use crate::metrics::{ErrorType, Metrics};
use crate::waits::Waits;

/// Entries that a stream keeps, about.
const LENGTH: usize = 100_000;

pub struct Publisher {
    /// `None` for stdout.
    redis: Option<redis::Client>,
    connection: Option<MultiplexedConnection>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    pub fn new(redis: Option<redis::Client>, metrics: Arc<Metrics>) -> Self {
        Publisher {
            redis,
            connection: None,
            metrics,
        }
    }

    /// Publishes each message, in order, and tries again as long as it takes: what is read meanwhile waits in the buffer.
    pub async fn run(mut self, mut buffered: Receiver<Message>) {
        while let Some(message) = buffered.recv().await {
            let stream = format!("market:{}", message.channel);
            let mut waits = Waits::new();
            loop {
                let start = Instant::now();
                let Err(error) = self.publish(&stream, &message).await else {
                    let took = start.elapsed();
                    self.metrics.published(&stream, &message.symbol, took);
                    break;
                };
                // A connection on which something failed is not used again.
                self.connection = None;
                self.metrics.error(ErrorType::Publish);
                let wait = waits.next();
                eprintln!("publishing again in {wait:?}: {error:#}");
                self.metrics.buffered(buffered.len() + 1);
                sleep(wait).await;
            }
            self.metrics.buffered(buffered.len());
        }
    }

    async fn publish(&mut self, stream: &str, message: &Message) -> anyhow::Result<()> {
        let Some(redis) = &self.redis else {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{stream} {}", message.text)?;
            return Ok(());
        };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(redis.get_multiplexed_async_connection().await?),
        };
        let mut add = redis::cmd("XADD");
        add.arg(stream).arg("MAXLEN").arg("~").arg(LENGTH).arg("*");
        add.arg("symbol").arg(&message.symbol);
        add.arg("data").arg(&message.text);
        let () = add.query_async(connection).await?;
        Ok(())
    }
}
