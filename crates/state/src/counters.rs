//! Counters accumulated over runs; a Pushgateway by itself would show the increments of the last one.

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Error::FromSqlConversionFailure, Row, params};

use super::group_rows::corrupt;
use super::{State, StateError};
use crate::key_column::KeyColumn;
use metricsjob_metrics::{GroupingKey, Labels};

pub(super) const ADD: &str = "INSERT INTO counters (grouping_key, name, labels, value, checksum)
         VALUES (?1, ?2, ?3, ?4, row_checksum('counters', ?1, ?2, ?3, ?4))
         ON CONFLICT DO UPDATE SET value = value + excluded.value,
             checksum = iif(checksum IS row_checksum('counters', grouping_key, name, labels, value),
                 row_checksum('counters', grouping_key, name, labels, value + excluded.value), -1)";

pub(super) const SELECT: &str =
    "SELECT name, labels, value, checksum IS row_checksum('counters', grouping_key, name, labels, value)
         FROM counters WHERE grouping_key = ? ORDER BY name, labels";

/// A counter of a group, or an increment of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    pub name: String,
    /// Labels besides those of the grouping key.
    pub labels: Labels,
    pub value: f64,
}

impl State {
    /// Returns the counters of `key`, sorted by name and labels.
    pub fn counters(&mut self, key: &GroupingKey) -> Result<Vec<Counter>, StateError> {
        self.with(|connection| select(connection, key))
    }
}

/// Adds `increments` to the counters of `key`.
pub(super) fn add(
    connection: &Connection,
    key: &GroupingKey,
    increments: &[Counter],
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(ADD)?;
    for counter in increments {
        let labels = serde_json::to_string(&counter.labels)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        add.execute(params![KeyColumn(key), counter.name, labels, counter.value])?;
    }
    Ok(())
}

pub(super) fn select(connection: &Connection, key: &GroupingKey) -> rusqlite::Result<Vec<Counter>> {
    connection
        .prepare_cached(SELECT)?
        .query_map([KeyColumn(key)], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Counter> {
    let name: String = row.get(0)?;
    if !row.get::<_, bool>(3)? {
        return Err(corrupt(format!(
            "the checksum of the counter {name} is wrong"
        )));
    }
    let labels: String = row.get(1)?;
    Ok(Counter {
        name,
        labels: serde_json::from_str(&labels)
            .map_err(|error| FromSqlConversionFailure(1, Type::Text, error.into()))?,
        value: row.get(2)?,
    })
}

/// Deletes counters that cannot be read. Returns their number.
pub(super) fn drop_unreadable(connection: &Connection) -> rusqlite::Result<u64> {
    let mut delete = connection
        .prepare("DELETE FROM counters WHERE grouping_key = ? AND name = ? AND labels = ?")?;
    let keys = unreadable(connection)?;
    let dropped = keys.iter().map(|key| delete.execute(key.each_ref()));
    Ok(dropped.sum::<rusqlite::Result<usize>>()? as u64)
}

/// Returns grouping key, name and labels of counters that cannot be read or have a wrong checksum.
pub(super) fn unreadable(connection: &Connection) -> rusqlite::Result<Vec<[Value; 3]>> {
    let mut select = connection.prepare(
        "SELECT name, labels, value, checksum IS row_checksum('counters', grouping_key, name, labels, value),
             grouping_key FROM counters",
    )?;
    let mut rows = select.query([])?;
    let mut unreadable = Vec::new();
    while let Some(row) = rows.next()? {
        let is_key = row.get::<_, KeyColumn<GroupingKey>>(4).is_ok();
        if !is_key || read(row).is_err() {
            unreadable.push([row.get(4)?, row.get(0)?, row.get(1)?]);
        }
    }
    Ok(unreadable)
}
