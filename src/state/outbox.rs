//! Pushes that were not delivered, kept with all that is needed to deliver them later.

use std::time::SystemTime;

use rusqlite::params;

use super::{State, StateError};
use crate::metrics::{GroupingKey, Method, unix_seconds};

/// A push that was not delivered.
#[derive(Debug, Clone)]
pub struct OutboxEntry<'a> {
    /// When the report was produced.
    pub produced_at: SystemTime,
    /// The gateway it was meant for, without credentials.
    pub gateway: &'a str,
    pub method: Method,
    pub key: &'a GroupingKey,
    /// The report in text format 0.0.4.
    pub body: &'a str,
    /// Whether the gateway refused it, and would do so again.
    pub is_rejected: bool,
    /// Why it was not delivered.
    pub error: &'a str,
}

impl State {
    /// Keeps `entry` and returns its id.
    pub fn keep(&mut self, entry: &OutboxEntry<'_>) -> Result<i64, StateError> {
        self.with_sync(|connection| {
            connection.execute(
                "INSERT INTO outbox (produced_at, gateway, method, grouping_key, body, is_rejected, error)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![
                    unix_seconds(entry.produced_at),
                    entry.gateway,
                    entry.method.name(),
                    entry.key,
                    entry.body,
                    entry.is_rejected,
                    entry.error,
                ],
            )?;
            Ok(connection.last_insert_rowid())
        })
    }
}
