//! How pushing went so far: what metricsjob reports of itself.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};

use super::outbox::{self, OutboxSize};
use super::{State, StateError};
use crate::metrics::unix_seconds;

/// Attempts to push, by their result, and the time that they took together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attempts {
    pub delivered: u64,
    pub rejected: u64,
    pub failed: u64,
    pub duration: Duration,
}

impl Attempts {
    pub fn total(&self) -> u64 {
        self.delivered + self.rejected + self.failed
    }
}

/// How pushing went so far, and what is left to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PushStats {
    pub attempts: Attempts,
    pub outbox: OutboxSize,
}

/// How often a gateway gets them while all goes well.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) const ADD: &str =
    "UPDATE push_attempts SET delivered = delivered + ?, rejected = rejected + ?,
                 failed = failed + ?, duration = duration + ?";

pub(super) const REPORTED: &str = "SELECT failed = (SELECT failed FROM push_attempts), reported_at FROM push_stats_reports WHERE gateway = ?";

impl State {
    /// The statistics, if `gateway` is to get them now: it has not got them for a minute, or an attempt
    /// has failed since. Others will then not do the same.
    pub fn due_push_stats(
        &mut self,
        gateway: &str,
        now: SystemTime,
    ) -> Result<Option<PushStats>, StateError> {
        let now = unix_seconds(now);
        self.with(|connection| {
            let reported: Option<(bool, f64)> = connection
                .prepare_cached(REPORTED)?
                .query_row([gateway], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            // A clock that was put back must not silence them.
            let is_recent = |at: f64| (0.0..INTERVAL.as_secs_f64()).contains(&(now - at));
            if reported.is_some_and(|(all_well, at)| all_well && is_recent(at)) {
                return Ok(None);
            }
            connection.execute(
                "INSERT INTO push_stats_reports (gateway, reported_at, failed)
                 SELECT ?, ?, failed FROM push_attempts WHERE true
                 ON CONFLICT DO UPDATE SET reported_at = excluded.reported_at, failed = excluded.failed",
                params![gateway, now],
            )?;
            Ok(Some(PushStats {
                attempts: select(connection)?,
                outbox: outbox::size(connection)?,
            }))
        })
    }
}

pub(super) fn add(connection: &Connection, attempts: &Attempts) -> rusqlite::Result<()> {
    if *attempts == Attempts::default() {
        return Ok(());
    }
    connection.prepare_cached(ADD)?.execute(params![
        attempts.delivered,
        attempts.rejected,
        attempts.failed,
        attempts.duration.as_secs_f64(),
    ])?;
    Ok(())
}

fn select(connection: &Connection) -> rusqlite::Result<Attempts> {
    connection.query_row(
        "SELECT delivered, rejected, failed, duration FROM push_attempts",
        [],
        |row| {
            Ok(Attempts {
                delivered: row.get(0)?,
                rejected: row.get(1)?,
                failed: row.get(2)?,
                duration: Duration::try_from_secs_f64(row.get(3)?).unwrap_or_default(),
            })
        },
    )
}
