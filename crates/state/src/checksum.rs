//! Checksums of rows, which tell written rows from what damage left behind.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::group_rows;

/// Type of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Real,
    Text,
    Blob,
}

/// A table with a checksum in each row's last column.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    /// The columns before the checksum, in the order of the table.
    pub columns: &'static [(&'static str, Kind)],
    /// True if the first column is the rowid, which SQLite does not store in the record.
    pub has_rowid: bool,
}

pub(super) const OUTBOX: Table = Table {
    name: "outbox",
    columns: &[
        ("id", Kind::Integer),
        ("produced_at", Kind::Real),
        ("gateway", Kind::Text),
        ("method", Kind::Text),
        ("grouping_key", Kind::Text),
        ("body", Kind::Text),
        ("is_rejected", Kind::Integer),
        ("error", Kind::Text),
        ("attempts", Kind::Integer),
        ("is_overtaken", Kind::Integer),
        ("runners_own", Kind::Text),
    ],
    has_rowid: true,
};

pub(super) const COUNTERS: Table = Table {
    name: "counters",
    columns: &[
        ("grouping_key", Kind::Text),
        ("name", Kind::Text),
        ("labels", Kind::Text),
        ("value", Kind::Real),
    ],
    has_rowid: false,
};

pub(super) const RUNS: Table = Table {
    name: "runs",
    columns: &[
        ("id", Kind::Integer),
        ("run_id", Kind::Text),
        ("name", Kind::Text),
        ("job", Kind::Text),
        ("grouping_key", Kind::Text),
        ("started_at", Kind::Real),
        ("ended_at", Kind::Real),
        ("duration", Kind::Real),
        ("outcome", Kind::Text),
        ("exit_code", Kind::Integer),
        ("failure", Kind::Text),
        ("attempts", Kind::Integer),
        ("cpu_user", Kind::Real),
        ("cpu_system", Kind::Real),
        ("max_rss", Kind::Integer),
        ("metrics", Kind::Text),
        ("tail", Kind::Text),
    ],
    has_rowid: true,
};

pub(super) const GROUPS: Table = Table {
    name: "groups",
    columns: &[
        ("id", Kind::Integer),
        ("grouping_key", Kind::Text),
        ("push_time", Kind::Real),
        ("push_failure_time", Kind::Real),
        ("exposition", Kind::Text),
        ("natives", Kind::Blob),
    ],
    has_rowid: true,
};

pub(super) const PUSH_LOG: Table = Table {
    name: "push_log",
    columns: &[("id", Kind::Integer), ("entries", Kind::Blob)],
    has_rowid: true,
};

impl Table {
    /// Returns the SQL call that computes a row's checksum, with the expressions of `changed` in place of those
    /// columns.
    fn call(&self, changed: &[(&str, &str)]) -> String {
        let mut call = format!("row_checksum('{}'", self.name);
        for (column, _) in self.columns {
            let new = changed.iter().find(|(name, _)| name == column);
            call += ", ";
            call += new.map_or(*column, |(_, value)| value);
        }
        call + ")"
    }

    /// Returns an SQL condition that holds for rows with a right checksum.
    pub fn is_right_sql(&self) -> String {
        format!("checksum IS {}", self.call(&[]))
    }

    /// Returns an SQL statement that sets columns to expressions in the rows for which `condition` holds. A row with
    /// a wrong checksum is left alone, as it would get a right one.
    pub fn update_sql(&self, changed: &[(&str, &str)], condition: &str) -> String {
        let mut update = format!("UPDATE {} SET ", self.name);
        for (column, value) in changed {
            update += &format!("{column} = {value}, ");
        }
        let (new, is_right) = (self.call(changed), self.is_right_sql());
        update + &format!("checksum = {new} WHERE {condition} AND {is_right}")
    }

    /// Computes the checksum of a row. Groups and their log have checksums of other kinds.
    pub fn checksum(&self, values: &[Value]) -> u32 {
        checksum(self.name.as_bytes(), values.iter().map(ValueRef::from))
    }

    /// Returns true if `checksum` is right for a row with these values.
    pub fn is_right(&self, values: &[Value], checksum: &Value) -> bool {
        let found = match (self.name, values) {
            ("groups", values) => group_rows::checksum_of(values),
            ("push_log", [_, Value::Blob(entries)]) => Some(crc32fast::hash(entries)),
            ("push_log", _) => None,
            _ => Some(self.checksum(values)),
        };
        found.is_some_and(|found| *checksum == Value::Integer(found.into()))
    }
}

/// Computes the CRC-32 of the table's name and of each value's type, length and bytes. The sign of zero is left out,
/// because SQLite does not keep it.
fn checksum<'a>(table: &[u8], values: impl Iterator<Item = ValueRef<'a>>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut add = |tag: u8, bytes: &[u8]| {
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&head);
        hasher.update(bytes);
    };
    add(b't', table);
    for value in values {
        match value {
            ValueRef::Null => add(b'n', &[]),
            ValueRef::Integer(value) => add(b'i', &value.to_le_bytes()),
            ValueRef::Real(value) => add(b'r', &(value + 0.0).to_le_bytes()),
            ValueRef::Text(value) => add(b's', value),
            ValueRef::Blob(value) => add(b'b', value),
        }
    }
    hasher.finalize()
}

/// Registers the SQL function `row_checksum(TABLE, VALUE…)`.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("row_checksum", -1, flags, |context| {
        if context.is_empty() {
            return Err(Error::InvalidParameterCount(0, 1));
        }
        let table = context.get_raw(0).as_bytes().unwrap_or_default();
        let values = (1..context.len()).map(|index| context.get_raw(index));
        Ok(checksum(table, values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_length_and_place_count() {
        let text = |text: &str| Value::Text(text.into());
        let rows = [
            vec![Value::Integer(1)],
            vec![Value::Real(1.0)],
            vec![text("1")],
            vec![Value::Blob(b"1".into())],
            vec![Value::Null],
            vec![text("1"), text("")],
            vec![text(""), text("1")],
        ];
        for (index, row) in rows.iter().enumerate() {
            for other in &rows[..index] {
                assert_ne!(
                    RUNS.checksum(row),
                    RUNS.checksum(other),
                    "{row:?} {other:?}"
                );
            }
            assert_ne!(RUNS.checksum(row), OUTBOX.checksum(row));
        }
        let zeros = [0.0, -0.0].map(|zero| RUNS.checksum(&[Value::Real(zero)]));
        assert_eq!(zeros[0], zeros[1]);
    }
}
