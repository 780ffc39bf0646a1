//! Grouping keys in columns: a JSON object, `job` first, then the labels by name.

use metricsjob_metrics::GroupingKey;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A grouping key as SQLite column.
pub struct KeyColumn<K>(pub K);

impl ToSql for KeyColumn<&GroupingKey> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match serde_json::to_string(self.0) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
        }
    }
}

impl FromSql for KeyColumn<GroupingKey> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let key = serde_json::from_str(value.as_str()?);
        key.map(KeyColumn)
            .map_err(|error| FromSqlError::Other(error.into()))
    }
}
