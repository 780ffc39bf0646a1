//! Statistics of pushing, which metricsjob reports about itself.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, params};

use super::{State, StateError};
use metricsjob_metrics::unix_seconds;

/// Attempts to push by result, and their total duration.
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

/// Interval at which a gateway gets the statistics while nothing fails.
const INTERVAL: Duration = Duration::from_secs(60);

/// Returns true if the statistics are due at a gateway that last got them at `reported_at`; `None` if it never did,
/// or an attempt has failed since.
pub(super) fn is_due(reported_at: Option<f64>, now: SystemTime) -> bool {
    // A clock that was set back must not suppress them.
    let is_recent = |at: f64| (0.0..INTERVAL.as_secs_f64()).contains(&(unix_seconds(now) - at));
    !reported_at.is_some_and(is_recent)
}

pub(super) const ADD: &str =
    "UPDATE push_attempts SET delivered = delivered + ?, rejected = rejected + ?,
                 failed = failed + ?, duration = duration + ?";

impl State {
    /// Returns the statistics.
    pub fn push_attempts(&mut self) -> Result<Attempts, StateError> {
        self.with(|connection| select(connection))
    }

    /// Returns the statistics, and records that `gateway` gets them at `now`.
    pub fn push_stats(&mut self, gateway: &str, now: SystemTime) -> Result<Attempts, StateError> {
        let now = unix_seconds(now);
        self.with(|connection| {
            connection.execute(
                "INSERT INTO push_stats_reports (gateway, reported_at, failed)
                 SELECT ?, ?, failed FROM push_attempts WHERE true
                 ON CONFLICT DO UPDATE SET reported_at = excluded.reported_at, failed = excluded.failed",
                params![gateway, now],
            )?;
            select(connection)
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
