//! The groups' rows, and the log of later changes: read into a store, and written from one.
//!
//! Each group is a row. A gateway that serves them holds them in memory and only logs what changes, see
//! [`group_log`](super::group_log), until it writes the rows anew. A reader of the rows has to do again
//! what is in the log.

use std::collections::BTreeSet;
use std::hash::RandomState;

use prost::Message;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, ffi, params};

use super::group_log::Entries;
use super::ttl_comment;
use crate::key_column::KeyColumn;
use crate::store::{RenderedPush, Store, StoredGroup};
use metricsjob_metrics::{Family, GroupingKey, Names, protobuf, text};

/// The groups as they are in the database.
#[derive(Default)]
pub struct Loaded {
    pub store: Store,
    /// The slots whose rows are not up to date, because the log has later changes.
    pub outdated: BTreeSet<u32>,
    /// The last row of the log, and how many bytes all have.
    pub log_end: i64,
    pub log_bytes: u64,
    /// Problems with rows that could not be read in spite of a right checksum, for a person to read.
    pub problems: Vec<String>,
}

/// Reads the rows, and does again what is in the log. Names may be any UTF-8: whether pushes may have
/// such is up to the gateway that took them.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let has_log = "SELECT EXISTS (SELECT 1 FROM push_log)";
    let has_log: bool = connection.query_row(has_log, [], |row| row.get(0))?;
    let mut rows = connection.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let slot = row.get(0)?;
        take_row(row, slot, has_log, &mut loaded)?;
    }
    let mut rows =
        connection.prepare_cached("SELECT id, entries, checksum FROM push_log ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        loaded.log_end = row.get(0)?;
        let entries = row.get_ref(1)?.as_blob()?;
        if row.get::<_, u32>(2)? != crc32fast::hash(entries) {
            let row = loaded.log_end;
            return Err(corrupt(format!(
                "the checksum of row {row} of the log is wrong"
            )));
        }
        loaded.log_bytes += entries.len() as u64;
        Entries::decode(entries)
            .map_err(|error| corrupt(format!("row {} of the log: {error}", loaded.log_end)))?
            .replay(&mut loaded)?;
    }
    Ok(loaded)
}

const SELECT: &str = "SELECT id, grouping_key, push_time, push_failure_time, exposition, natives, checksum FROM groups";

/// Reads the rows with these ids, each into the slot of its place among them; `None` if one is not there. There is no
/// log.
pub(super) fn load_some(
    connection: &Connection,
    ids: &[u32],
    hasher: RandomState,
) -> rusqlite::Result<Option<Store>> {
    let mut loaded = Loaded {
        store: Store::with_hasher(hasher),
        ..Loaded::default()
    };
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    for (slot, id) in (0..).zip(ids) {
        let mut rows = select.query([id])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        take_row(row, slot, false, &mut loaded)?;
    }
    Ok(Some(loaded.store))
}

/// Puts the group of a row into the slot.
fn take_row(row: &Row<'_>, slot: u32, has_log: bool, loaded: &mut Loaded) -> rusqlite::Result<()> {
    let id: u32 = row.get(0)?;
    let hasher = loaded.store.hasher();
    let KeyColumn(key) = row.get(1)?;
    let times = [row.get(2)?, row.get(3)?];
    let exposition = row.get_ref(4)?.as_str()?;
    let natives = row.get_ref(5)?.as_blob()?;
    let expected: Option<u32> = row.get(6)?;
    // That of a row is missing where the end of the row is.
    if expected != Some(checksum(&key, times, exposition, natives)) {
        return Err(corrupt(format!("the checksum of group {id} is wrong")));
    }
    let report = families(exposition, natives).and_then(|families| {
        RenderedPush::stored(&key, families, &hasher).map_err(|rejection| rejection.to_string())
    });
    match report.map(|report| report.with_ttl(ttl_comment::read(exposition))) {
        Ok(report) => {
            let group = key.to_string();
            let is_first = loaded.store.restore(slot, report, times, key);
            // One that was deleted and made again can be in another slot than before. Until all rows are
            // folded, both can be there; the log has the deletion and what was pushed since.
            if !is_first && has_log {
                loaded.outdated.insert(slot);
            } else if !is_first {
                return Err(corrupt(format!("the group {{{group}}} stands twice")));
            }
        }
        // It is as it was written, so another version may be able to read it.
        Err(problem) => {
            loaded.store.set_aside(slot);
            loaded.problems.push(format!("group {{{key}}}: {problem}"));
        }
    }
    Ok(())
}

/// Reads the families of a row.
fn families(exposition: &str, natives: &[u8]) -> Result<Vec<Family>, String> {
    let limits = text::Limits::default();
    let families = text::parse_names(exposition.as_bytes(), &limits, Names::Utf8);
    let mut families = families.map_err(|error| error.to_string())?;
    let natives = protobuf::decode_again(natives).map_err(|error| error.to_string())?;
    let mut others = Vec::new();
    for native in natives {
        // They are sorted, as a group has them.
        match families.binary_search_by(|family| family.name.cmp(&native.name)) {
            Ok(at) => families[at] = native,
            Err(_) => others.push(native),
        }
    }
    families.extend(others);
    Ok(families)
}

/// Brings the rows of these slots up to date.
pub(super) fn write_rows<'a>(
    connection: &Connection,
    store: &Store,
    slots: impl IntoIterator<Item = &'a u32>,
) -> rusqlite::Result<()> {
    for slot in slots {
        write_row(connection, *slot, store.group(*slot).map(|group| &**group))?;
    }
    Ok(())
}

/// Writes the row with this id, or deletes it.
pub(super) fn write_row(
    connection: &Connection,
    id: u32,
    group: Option<&StoredGroup>,
) -> rusqlite::Result<()> {
    let Some(group) = group else {
        let mut delete = connection.prepare_cached("DELETE FROM groups WHERE id = ?")?;
        return delete.execute([id]).map(drop);
    };
    let mut replace = connection.prepare_cached(
        "INSERT OR REPLACE INTO groups
         (id, grouping_key, push_time, push_failure_time, exposition, natives, checksum)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let StoredGroup {
        key,
        push_time,
        push_failure_time,
        ttl,
        ..
    } = group;
    let exposition = ttl_comment::line(*ttl) + &group.exposition();
    let natives = group.natives();
    let checksum = checksum(key, [*push_time, *push_failure_time], &exposition, &natives);
    replace
        .execute(params![
            id,
            KeyColumn(key),
            push_time,
            push_failure_time,
            exposition,
            natives,
            checksum
        ])
        .map(drop)
}

/// Adds the checksums that rows of older versions do not have.
pub(super) fn add_checksums(connection: &Connection) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT id, grouping_key, push_time, push_failure_time, exposition, natives
         FROM groups WHERE checksum IS NULL",
    )?;
    let values = |row: &Row<'_>| (0..6).map(|index| row.get(index)).collect();
    let rows = select.query_map([], values)?;
    let rows: Vec<Vec<Value>> = rows.collect::<rusqlite::Result<_>>()?;
    let mut update = connection.prepare("UPDATE groups SET checksum = ? WHERE id = ?")?;
    for row in rows {
        let checksum = checksum_of(&row).ok_or_else(|| corrupt("a group's key is none".into()))?;
        update.execute(params![checksum, row[0]])?;
    }
    Ok(())
}

/// Removes the rows of the log up to `end`: the groups' rows say the same.
pub(super) fn forget_log(connection: &Connection, end: i64) -> rusqlite::Result<()> {
    let mut forget = connection.prepare_cached("DELETE FROM push_log WHERE id <= ?")?;
    forget.execute([end]).map(drop)
}

fn checksum(key: &GroupingKey, times: [f64; 2], exposition: &str, natives: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.to_string().as_bytes());
    for time in times {
        hasher.update(&time.to_le_bytes());
    }
    hasher.update(exposition.as_bytes());
    hasher.update(natives);
    hasher.finalize()
}

/// The checksum of a row with these values, in the order of the table's columns; `None` if they can be none.
pub(super) fn checksum_of(values: &[Value]) -> Option<u32> {
    match values {
        [
            Value::Integer(_),
            Value::Text(key),
            Value::Real(push_time),
            Value::Real(failure_time),
            Value::Text(exposition),
            Value::Blob(natives),
        ] => {
            let key = serde_json::from_str(key).ok()?;
            Some(checksum(
                &key,
                [*push_time, *failure_time],
                exposition,
                natives,
            ))
        }
        _ => None,
    }
}

/// Error as SQLite itself returns it for a broken database.
pub(super) fn corrupt(problem: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(problem))
}
