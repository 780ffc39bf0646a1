//! Rows of the outbox, and detection of damaged ones.

use std::borrow::Cow;

use rusqlite::types::Type;
use rusqlite::{Connection, Error::FromSqlConversionFailure, Row, params};

use super::checksum::OUTBOX;
use super::group_rows::corrupt;
use super::outbox::{DELETE, OutboxEntry};
use super::outbox_content::{Content, NOTIFY, Notification};
use super::ttl_comment;
use crate::key_column::KeyColumn;
use metricsjob_metrics::{GroupingKey, Push, system_time, text};

const COLUMNS: &str = "id, gateway, method, grouping_key, body, produced_at, attempts, is_rejected, is_overtaken, error,
                       runners_own";

/// Returns a statement that selects the columns of [`read`].
pub(super) fn select(rows: &str) -> String {
    format!(
        "SELECT {COLUMNS}, {} FROM outbox {rows}",
        OUTBOX.is_right_sql()
    )
}

/// Returns the entries waiting for the group of `key` at `gateway`, in the order of delivery.
pub(super) fn waiting(
    connection: &Connection,
    gateway: &str,
    key: &GroupingKey,
) -> rusqlite::Result<Vec<OutboxEntry>> {
    let waiting = "WHERE gateway = ? AND grouping_key = ? AND is_rejected = 0 ORDER BY id";
    connection
        .prepare_cached(&select(waiting))?
        .query_map(params![gateway, KeyColumn(key)], |row| {
            let entry = read(row)?;
            // The index that led here has no checksum.
            if entry.gateway != gateway || entry.content.key() != key || entry.is_rejected {
                return Err(misled(entry.id));
            }
            Ok(entry)
        })?
        .collect()
}

/// Error for an index that leads to the entry `id`, which does not match.
pub(super) fn misled(id: i64) -> rusqlite::Error {
    corrupt(format!(
        "an index leads to the undelivered report {id}, which is another's"
    ))
}

/// Deletes entries that cannot be read. Returns their number.
pub(super) fn drop_unreadable(connection: &Connection) -> rusqlite::Result<u64> {
    let mut delete = connection.prepare_cached(DELETE)?;
    let ids = unreadable(connection)?;
    let dropped = ids.iter().map(|id| delete.execute([id]));
    Ok(dropped.sum::<rusqlite::Result<usize>>()? as u64)
}

/// Returns the ids of entries that cannot be read or have a wrong checksum.
pub(super) fn unreadable(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut select = connection.prepare(&select(""))?;
    let ids = select.query_map([], |row| Ok((read(row).is_err(), row.get(0)?)))?;
    ids.filter_map(|row| match row {
        Ok((is_unreadable, id)) => is_unreadable.then_some(Ok(id)),
        Err(error) => Some(Err(error)),
    })
    .collect()
}

/// Reads an entry. A wrong checksum is an error, since the whole database is then damaged.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    if !row.get::<_, bool>(11)? {
        let id: i64 = row.get(0)?;
        return Err(corrupt(format!(
            "the checksum of the undelivered report {id} is wrong"
        )));
    }
    let (method, body): (String, String) = (row.get(2)?, row.get(4)?);
    let unreadable = |column, error: Box<dyn std::error::Error + Send + Sync>| {
        FromSqlConversionFailure(column, Type::Text, error)
    };
    let key = row.get::<_, KeyColumn<GroupingKey>>(3)?.0;
    let produced_at = system_time(row.get(5)?);
    let content = if method == NOTIFY {
        Content::Notification(Cow::Owned(Notification {
            key,
            json: body,
            produced_at,
        }))
    } else {
        let families = text::parse(body.as_bytes()).map_err(|error| unreadable(4, error.into()))?;
        let method = method
            .parse()
            .map_err(|error| unreadable(2, Box::new(error)))?;
        let runners_own: String = row.get(10)?;
        let runners_own = runners_own.split(' ').map(str::to_owned);
        let runners_own = runners_own.filter(|name| !name.is_empty());
        let push = Push::checked_before(key, method, families, produced_at);
        Content::Push(Cow::Owned(
            push.with_runners_own(runners_own)
                .with_ttl(ttl_comment::read(&body)),
        ))
    };
    let error: String = row.get(9)?;
    Ok(OutboxEntry {
        id: row.get(0)?,
        gateway: row.get(1)?,
        content,
        attempts: row.get(6)?,
        is_rejected: row.get(7)?,
        is_overtaken: row.get(8)?,
        error: (!error.is_empty()).then_some(error),
    })
}
