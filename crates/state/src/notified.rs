//! Jobs with notifications: the state of each as its last notification left it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::history::last_end;
use super::outbox_content::{Content, Notification};
use super::{State, StateError, outbox};
use crate::key_column::KeyColumn;
use metricsjob_metrics::GroupingKey;
use std::borrow::Cow;

/// Knowledge of those who are notified of a job. All zero where nothing is wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notified {
    /// Number of runs in a row that did not go as they should, up to the last one.
    pub bad_runs: u64,
    /// The kind of the last one's problem; empty if it had none.
    pub problem: String,
    /// Deadline for which the job was late when they were notified of it, in seconds since the epoch.
    pub late_for: f64,
}

/// A notification, and its destination as the outbox names it.
pub type Addressed = (String, Notification);

/// Most rows that are kept: a label that is new with each run must not make the table grow for ever.
const MAX_ROWS: u32 = 1000;

pub(super) const SELECT: &str =
    "SELECT bad_runs, problem, late_for FROM notified WHERE name = ? AND grouping_key = ?";

pub(super) const UPSERT: &str =
    "INSERT OR REPLACE INTO notified (name, grouping_key, bad_runs, problem, late_for, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const PRUNE: &str = "DELETE FROM notified WHERE changed_at <
         (SELECT changed_at FROM notified ORDER BY changed_at DESC LIMIT 1 OFFSET ?)";

pub(super) fn read(
    connection: &Connection,
    name: &str,
    key: &GroupingKey,
) -> rusqlite::Result<Notified> {
    let mut select = connection.prepare_cached(SELECT)?;
    let found = select.query_row(params![name, KeyColumn(key)], of_row);
    Ok(found.optional()?.unwrap_or_default())
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Notified> {
    Ok(Notified {
        bad_runs: row.get(0)?,
        problem: row.get(1)?,
        late_for: row.get(2)?,
    })
}

/// Stores `notified` in place of the job's row, as of `now`, in seconds since the epoch.
pub(super) fn write(
    connection: &Connection,
    (name, key): (&str, &GroupingKey),
    notified: &Notified,
    now: f64,
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(UPSERT)?;
    upsert.execute(params![
        name,
        KeyColumn(key),
        notified.bad_runs,
        notified.problem,
        notified.late_for,
        now
    ])?;
    connection.execute(PRUNE, [MAX_ROWS])?;
    Ok(())
}

/// Adds notifications to the outbox. Returns their ids.
pub(super) fn enqueue(
    connection: &Connection,
    notifications: &[Addressed],
) -> rusqlite::Result<Vec<i64>> {
    let mut ids = Vec::with_capacity(notifications.len());
    for (destination, notification) in notifications {
        let content = Content::Notification(Cow::Borrowed(notification));
        ids.extend(outbox::enqueue(
            connection,
            &content,
            std::slice::from_ref(destination),
        )?);
    }
    Ok(ids)
}

impl State {
    /// Returns what those who are notified of the job know of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn notified(&mut self, name: &str, key: &GroupingKey) -> Result<Notified, StateError> {
        self.with(|connection| read(connection, name, key))
    }

    /// Enqueues `notifications` that the job is late for `deadline`, which follows from its last run of the outcome
    /// `success` at `last_success`, all in seconds since the epoch; unless that was done already, the last run went wrong, or
    /// a newer success is recorded. Returns whether it did.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn notify_late(
        &mut self,
        (name, key): (&str, &GroupingKey),
        success: &str,
        last_success: f64,
        deadline: f64,
        notifications: &[Addressed],
    ) -> Result<bool, StateError> {
        self.write(|transaction| {
            let known = read(transaction, name, key)?;
            let is_known = known.late_for >= deadline || known.bad_runs > 0;
            if is_known || last_end(transaction, name, key, success)? != Some(last_success) {
                return Ok(false);
            }
            let late = Notified {
                late_for: deadline,
                ..known
            };
            write(transaction, (name, key), &late, deadline)?;
            enqueue(transaction, notifications)?;
            Ok(true)
        })
    }
}
