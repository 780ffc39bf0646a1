//! Outbox: reports and notifications not delivered yet, with all that is needed to deliver them.
//!
//! An entry exists from the moment a report is produced until its gateway has it, so that a process killed in between
//! loses nothing. Entries of one group are delivered in the order of their ids.

use std::borrow::Cow;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use super::checksum::OUTBOX;
use super::outbox_rows::{misled, read, select, waiting};
use super::push_stats::{self, Attempts};
use super::{State, StateError};
use crate::key_column::KeyColumn;
use metricsjob_metrics::{GroupingKey, Push, unix_seconds};

use super::outbox_content::body;
pub use super::outbox_content::{Content, Notification};

/// A report or notification not delivered yet.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    pub id: i64,
    /// Its destination: a gateway's URL without credentials, or the whole name of one who is notified, which may be a
    /// secret.
    pub gateway: String,
    pub content: Content<'static>,
    /// The number of attempts.
    pub attempts: u64,
    /// True if the gateway refused it, and would do so again.
    pub is_rejected: bool,
    /// True if its group received something newer since it was rejected.
    pub is_overtaken: bool,
    /// The error of the last attempt.
    pub error: Option<String>,
}

/// Entries to which an operation applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    All,
    Rejected,
    Ids(&'a [i64]),
}

/// Work left at a gateway after a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// True if entries wait for it.
    pub is_anything_waiting: bool,
    /// True if it should get the statistics: it has not got them for a minute, or an attempt has failed since.
    pub are_stats_due: bool,
}

/// Number of entries in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxSize {
    /// Entries waiting to be delivered.
    pub waiting: u64,
    pub rejected: u64,
}

pub(super) const INSERT: &str =
    "INSERT INTO outbox (id, produced_at, gateway, method, grouping_key, body, runners_own, is_rejected, error,
                     checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, '',
                     row_checksum('outbox', ?1, ?2, ?3, ?4, ?5, ?6, 0, '', 0, 0, ?7))";

/// The next entry's id as SQLite would choose it. The checksum, which is inserted with the row, covers it.
pub(super) const NEXT_ID: &str = "SELECT max(
                     (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'),
                     (SELECT coalesce(max(id), 0) FROM outbox)) + 1";

pub(super) const WAITING_IDS: &str =
    "SELECT id FROM outbox WHERE gateway = ? AND grouping_key = ? AND is_rejected = 0 ORDER BY id";

pub(super) const DELETE: &str = "DELETE FROM outbox WHERE id = ?";

/// Entries that may be dropped for lack of space, in the order in which they are dropped.
pub(super) const TRIED: &str =
    "SELECT id FROM outbox WHERE attempts > 0 ORDER BY is_rejected DESC, id";

/// For a gateway: whether entries wait for it, whether it rejected some, and when it last got the statistics, unless
/// an attempt has failed since.
pub(super) const LEFT: &str = "SELECT
                 EXISTS (SELECT 1 FROM outbox WHERE gateway = ?1 AND is_rejected = 0),
                 EXISTS (SELECT 1 FROM outbox WHERE gateway = ?1 AND is_rejected = 1),
                 (SELECT reported_at FROM push_stats_reports
                     WHERE gateway = ?1 AND failed = (SELECT failed FROM push_attempts))";

/// Condition for the rejected entries of a group before an id.
const OVERTAKEN: &str = "gateway = ?1 AND grouping_key = ?2 AND id < ?3 AND is_rejected = 1";

impl State {
    /// Adds `push` once for each of `gateways`. Returns the ids.
    pub fn enqueue(&mut self, push: &Push, gateways: &[String]) -> Result<Vec<i64>, StateError> {
        // An attempt that was committed to a database that was then moved aside may have been carried over into this
        // one.
        let mut before: Option<Vec<i64>> = None;
        self.write(|transaction| {
            let are_there = before.as_ref().map(|ids| are_there(transaction, ids));
            if let Some(ids) = before.take_if(|_| matches!(are_there, Some(Ok(true)))) {
                return Ok(ids);
            }
            let content = Content::Push(Cow::Borrowed(push));
            let ids = enqueue(transaction, &content, gateways)?;
            before = Some(ids.clone());
            Ok(ids)
        })
    }

    /// Returns the ids of the entries waiting for the group of `key` at `gateway`, in the order of delivery.
    pub fn waiting_ids(
        &mut self,
        gateway: &str,
        key: &GroupingKey,
    ) -> Result<Vec<i64>, StateError> {
        self.with(|connection| {
            connection
                .prepare_cached(WAITING_IDS)?
                .query_map(params![gateway, KeyColumn(key)], |row| row.get(0))?
                .collect()
        })
    }

    /// Returns the entries waiting for the group of `key` at `gateway`, in the order of delivery.
    pub fn waiting(
        &mut self,
        gateway: &str,
        key: &GroupingKey,
    ) -> Result<Vec<OutboxEntry>, StateError> {
        self.with(|connection| waiting(connection, gateway, key))
    }

    /// Returns the groups at `gateway` with waiting entries, in the order of their oldest.
    pub fn waiting_groups(&mut self, gateway: &str) -> Result<Vec<GroupingKey>, StateError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT grouping_key FROM outbox WHERE gateway = ? AND is_rejected = 0
                     GROUP BY grouping_key ORDER BY min(id)",
                )?
                .query_map([gateway], |row| {
                    Ok(row.get::<_, KeyColumn<GroupingKey>>(0)?.0)
                })?
                .collect()
        })
    }

    /// Returns the number of entries waiting for `gateway`.
    pub fn waiting_for(&mut self, gateway: &str) -> Result<u64, StateError> {
        self.with(|connection| {
            connection.query_row(
                "SELECT count(*) FROM outbox WHERE gateway = ? AND is_rejected = 0",
                [gateway],
                |row| row.get(0),
            )
        })
    }

    /// Returns the gateways with waiting entries, in the order of their oldest; with `rejected`, also those with
    /// rejected entries only.
    pub fn outbox_gateways(&mut self, rejected: bool) -> Result<Vec<String>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare(
                "SELECT gateway, min(id) FROM outbox WHERE ? OR NOT is_rejected
                 GROUP BY gateway ORDER BY min(id)",
            )?;
            let mut rows = select.query([rejected])?;
            let mut gateways = Vec::new();
            let mut check = connection.prepare("SELECT gateway FROM outbox WHERE id = ?")?;
            while let Some(row) = rows.next()? {
                let (gateway, id): (String, i64) = (row.get(0)?, row.get(1)?);
                // The gateways come from an index, which has no checksum.
                let entry: Option<String> = check.query_row([id], |row| row.get(0)).optional()?;
                if entry.as_ref() != Some(&gateway) {
                    return Err(misled(id));
                }
                gateways.push(gateway);
            }
            Ok(gateways)
        })
    }

    /// Removes the entries `ids`, which the group of `key` at `gateway` has received by `now`. Returns the work left
    /// there.
    pub fn delivered(
        &mut self,
        gateway: &str,
        key: &GroupingKey,
        ids: &[i64],
        attempts: &Attempts,
        now: SystemTime,
    ) -> Result<Left, StateError> {
        self.write(|transaction| {
            let mut delete = transaction.prepare_cached(DELETE)?;
            for id in ids {
                delete.execute([id])?;
            }
            drop(delete);
            push_stats::add(transaction, attempts)?;
            overtake(transaction, gateway, key, ids.iter().max().copied(), now)
        })
    }

    /// Replaces the entry `id` by `rest`, the families that the gateway rejected with `error` while its group
    /// received the others. Drops entries beyond `limit` as [`undelivered`](Self::undelivered) does. Returns the work
    /// left at the gateway, and the ids of dropped entries.
    pub fn rejected_in_part(
        &mut self,
        gateway: &str,
        id: i64,
        rest: &Push,
        error: &str,
        attempts: &Attempts,
        limit: u64,
    ) -> Result<(Left, Vec<i64>), StateError> {
        let now = SystemTime::now();
        self.write_sync(|transaction| {
            let changed = [
                ("method", "?1"),
                ("body", "?2"),
                ("runners_own", "''"),
                ("is_rejected", "1"),
                ("attempts", "attempts + 1"),
                ("error", "?3"),
            ];
            transaction.execute(
                &OUTBOX.update_sql(&changed, "id = ?4"),
                params![rest.method().name(), body(rest), error, id],
            )?;
            push_stats::add(transaction, attempts)?;
            let left = overtake(transaction, gateway, rest.key(), Some(id), now)?;
            Ok((left, enforce(transaction, limit)?))
        })
    }

    /// Marks the entry `id` as rejected by its gateway with `error`. Drops entries beyond `limit` as
    /// [`undelivered`](Self::undelivered) does, and returns their ids.
    pub fn rejected(
        &mut self,
        id: i64,
        error: &str,
        attempts: &Attempts,
        limit: u64,
    ) -> Result<Vec<i64>, StateError> {
        self.write_sync(|transaction| {
            let changed = [
                ("is_rejected", "1"),
                ("attempts", "attempts + 1"),
                ("error", "?1"),
            ];
            let update = OUTBOX.update_sql(&changed, "id = ?2");
            transaction.execute(&update, params![error, id])?;
            let dropped = enforce(transaction, limit)?;
            push_stats::add(transaction, attempts)?;
            Ok(dropped)
        })
    }

    /// Records that the delivery of the entries `ids` of the group of `key` at `gateway` failed with `error`, and
    /// syncs them to disk. Removes those that a newer one of them replaces.
    ///
    /// Drops entries of the whole outbox beyond `limit`, rejected ones first, then the oldest, except those that were
    /// never tried. Returns the ids of dropped entries.
    pub fn undelivered(
        &mut self,
        gateway: &str,
        key: &GroupingKey,
        ids: &[i64],
        error: &str,
        attempts: &Attempts,
        limit: u64,
    ) -> Result<Vec<i64>, StateError> {
        self.write_sync(|transaction| {
            remove_replaced(transaction, gateway, key, ids)?;
            let changed = [("attempts", "attempts + ?1"), ("error", "?2")];
            let update = OUTBOX.update_sql(&changed, "id = ?3");
            let mut update = transaction.prepare_cached(&update)?;
            for id in ids {
                update.execute(params![attempts.total(), error, id])?;
            }
            drop(update);
            let dropped = enforce(transaction, limit)?;
            push_stats::add(transaction, attempts)?;
            Ok(dropped)
        })
    }

    /// Returns the entry `id`.
    pub fn outbox_entry(&mut self, id: i64) -> Result<Option<OutboxEntry>, StateError> {
        self.with(|connection| {
            connection
                .query_row(&select("WHERE id = ?"), [id], read)
                .optional()
        })
    }

    /// Returns all entries, the oldest first.
    pub fn outbox(&mut self) -> Result<Vec<OutboxEntry>, StateError> {
        self.with(|connection| {
            connection
                .prepare(&select("ORDER BY id"))?
                .query_map([], read)?
                .collect()
        })
    }

    /// Returns the number of entries.
    pub fn outbox_size(&mut self) -> Result<OutboxSize, StateError> {
        self.with(|connection| size(connection))
    }

    /// Removes undelivered entries. Returns their number.
    pub fn drop_entries(&mut self, selection: Selection<'_>) -> Result<u64, StateError> {
        self.write_sync(|transaction| {
            let dropped = match selection {
                Selection::All => transaction.execute("DELETE FROM outbox", [])?,
                Selection::Rejected => {
                    transaction.execute("DELETE FROM outbox WHERE is_rejected", [])?
                }
                Selection::Ids(ids) => {
                    let mut delete = transaction.prepare_cached(DELETE)?;
                    let dropped = ids.iter().map(|id| delete.execute([id]));
                    dropped.sum::<rusqlite::Result<usize>>()?
                }
            };
            Ok(dropped as u64)
        })
    }

    /// Lets rejected entries of `gateway` wait again, except those whose group received something newer. Returns
    /// their number.
    pub fn requeue_rejected(&mut self, gateway: &str) -> Result<u64, StateError> {
        self.with_sync(|connection| {
            let rejected = "gateway = ?1 AND is_rejected = 1 AND NOT is_overtaken";
            let requeue = OUTBOX.update_sql(&[("is_rejected", "0")], rejected);
            let requeued = connection.execute(&requeue, [gateway])?;
            Ok(requeued as u64)
        })
    }
}

/// Makes ids of new entries begin with the milliseconds since the epoch at `now`. A process that is delivering
/// entries of the previous database will remove them by id, and must not hit new ones.
pub(super) fn begin_at(connection: &mut Connection, now: SystemTime) -> rusqlite::Result<()> {
    let first = (unix_seconds(now).max(0.0) * 1e3) as i64;
    super::in_transaction(connection, |transaction| {
        transaction.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'", [])?;
        let begin = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)";
        transaction.execute(begin, [first]).map(drop)
    })
}

/// Marks rejected entries of a group at `gateway` as overtaken by `newest`, the newest entry that it received by `now`.
/// Returns the work left there.
fn overtake(
    connection: &Connection,
    gateway: &str,
    key: &GroupingKey,
    newest: Option<i64>,
    now: SystemTime,
) -> rusqlite::Result<Left> {
    let (is_anything_waiting, is_anything_rejected, reported_at) = connection
        .prepare_cached(LEFT)?
        .query_row([gateway], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let (Some(newest), true) = (newest, is_anything_rejected) {
        let overtake = OUTBOX.update_sql(&[("is_overtaken", "1")], OVERTAKEN);
        connection.execute(&overtake, params![gateway, KeyColumn(key), newest])?;
    }
    Ok(Left {
        is_anything_waiting,
        are_stats_due: push_stats::is_due(reported_at, now),
    })
}

/// Adds `content` once for each of `gateways`. Returns the ids.
pub(super) fn enqueue(
    connection: &Connection,
    content: &Content<'_>,
    gateways: &[String],
) -> rusqlite::Result<Vec<i64>> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let mut ids = Vec::with_capacity(gateways.len());
    for gateway in gateways {
        let id: i64 = connection
            .prepare_cached(NEXT_ID)?
            .query_row([], |row| row.get(0))?;
        insert.execute(params![
            id,
            unix_seconds(content.produced_at()),
            gateway,
            content.method(),
            KeyColumn(content.key()),
            content.body(),
            content.runners_own(),
        ])?;
        ids.push(id);
    }
    Ok(ids)
}

fn are_there(connection: &Connection, ids: &[i64]) -> rusqlite::Result<bool> {
    let mut select = connection.prepare("SELECT 1 FROM outbox WHERE id = ?")?;
    for id in ids {
        if !select.exists([id])? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn size(connection: &Connection) -> rusqlite::Result<OutboxSize> {
    connection.query_row(
        "SELECT count(*) FILTER (WHERE NOT is_rejected), count(*) FILTER (WHERE is_rejected) FROM outbox",
        [],
        |row| {
            Ok(OutboxSize {
                waiting: row.get(0)?,
                rejected: row.get(1)?,
            })
        },
    )
}

/// Removes entries of a group that were tried before and are replaced by a newer one in `ids`. An entry that was not
/// tried may be of another process, which is waiting for its result.
fn remove_replaced(
    connection: &Connection,
    gateway: &str,
    key: &GroupingKey,
    ids: &[i64],
) -> rusqlite::Result<()> {
    if ids.len() < 2 {
        return Ok(());
    }
    let mut entries = waiting(connection, gateway, key)?;
    entries.retain(|entry| ids.contains(&entry.id));
    for (index, older) in entries.iter().enumerate() {
        let mut newer = entries[index + 1..].iter();
        if older.attempts > 0 && newer.any(|newer| newer.content.replaces(&older.content)) {
            connection.execute(DELETE, [older.id])?;
        }
    }
    Ok(())
}

/// Drops entries beyond `limit`, and returns their ids. Those that were never tried stay: their process is about to
/// try.
fn enforce(connection: &Connection, limit: u64) -> rusqlite::Result<Vec<i64>> {
    let size = size(connection)?;
    let excess = (size.waiting + size.rejected).saturating_sub(limit);
    if excess == 0 {
        return Ok(Vec::new());
    }
    connection
        .prepare(&format!(
            "DELETE FROM outbox WHERE id IN ({TRIED} LIMIT ?) RETURNING id"
        ))?
        .query_map([excess], |row| row.get(0))?
        .collect()
}
