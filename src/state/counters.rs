//! Counters that go on over runs, where a Pushgateway by itself would show those of the last one.

use rusqlite::types::Type;
use rusqlite::{Connection, Error::FromSqlConversionFailure, params};

use super::{State, StateError};
use crate::metrics::{GroupingKey, Labels};

pub(super) const ADD: &str =
    "INSERT INTO counters (grouping_key, name, labels, value) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET value = value + excluded.value";

pub(super) const SELECT: &str =
    "SELECT name, labels, value FROM counters WHERE grouping_key = ? ORDER BY name, labels";

/// A counter of a group, or by how much it went up.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    pub name: String,
    /// Without those of the grouping key.
    pub labels: Labels,
    pub value: f64,
}

impl State {
    /// The counters of `key`, sorted by name and labels.
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
        add.execute(params![key, counter.name, labels, counter.value])?;
    }
    Ok(())
}

pub(super) fn select(connection: &Connection, key: &GroupingKey) -> rusqlite::Result<Vec<Counter>> {
    connection
        .prepare_cached(SELECT)?
        .query_map([key], |row| {
            let labels: String = row.get(1)?;
            Ok(Counter {
                name: row.get(0)?,
                labels: serde_json::from_str(&labels)
                    .map_err(|error| FromSqlConversionFailure(1, Type::Text, error.into()))?,
                value: row.get(2)?,
            })
        })?
        .collect()
}
