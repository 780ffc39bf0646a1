//! Records of SQLite's file format: a header with the type of each value, then the values.

use rusqlite::types::Value;

use crate::checksum::{Kind, Table};

/// Decodes a varint of one to nine bytes at the start of `bytes`. Returns value and length.
pub fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((((value << 8) | u64::from(*byte)) as i64, 9));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value as i64, index + 1));
        }
    }
    None
}

/// Decodes the values of a record; `None` if it is malformed, or has surplus bytes.
pub fn decode(payload: &[u8]) -> Option<Vec<Value>> {
    let (header, first) = varint(payload)?;
    let header = usize::try_from(header).ok()?;
    let mut types = payload.get(first..header)?;
    let mut content = &payload[header..];
    let mut values = Vec::new();
    while !types.is_empty() {
        let (serial, length) = varint(types)?;
        types = &types[length..];
        let length = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((serial - 12) / 2).ok()?,
            _ => return None,
        };
        let (bytes, rest) = content.split_at_checked(length)?;
        content = rest;
        values.push(match serial {
            0 => Value::Null,
            8 | 9 => Value::Integer(serial - 8),
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_bits(integer(bytes) as u64)),
            blob if blob % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    content.is_empty().then_some(values)
}

/// Decodes a signed big-endian integer.
fn integer(bytes: &[u8]) -> i64 {
    let sign = bytes.first().map_or(0, |byte| i64::from(byte & 0x80 != 0));
    let shift = |value: i64, byte: &u8| (value << 8) | i64::from(*byte);
    bytes.iter().fold(-sign, shift)
}

/// A row of one of our tables.
pub struct Row {
    pub values: Vec<Value>,
    pub checksum: Value,
}

/// Converts `record` to a row of `table` with the id `rowid`; `None` if it cannot be one.
///
/// `is_old` is true for a version before checksums. Columns that were added later are then missing.
pub fn row(table: &Table, rowid: Option<i64>, record: &[Value], is_old: bool) -> Option<Row> {
    let mut values = record.to_vec();
    let mut checksum = Value::Null;
    let has_checksum = !is_old || matches!(table.name, "groups" | "push_log");
    if has_checksum {
        checksum = values.pop()?;
    }
    if table.has_rowid {
        // The record has NULL in place of the rowid.
        *values.first_mut().filter(|id| **id == Value::Null)? = Value::Integer(rowid?);
    }
    let missing = table.columns.get(values.len()..)?;
    if !(missing.is_empty() || (is_old && table.name == "outbox" && values.len() >= 8)) {
        return None;
    }
    values.extend(missing.iter().map(|(_, kind)| match kind {
        Kind::Text => Value::Text(String::new()),
        _ => Value::Integer(0),
    }));
    for ((_, kind), value) in table.columns.iter().zip(&mut values) {
        match (kind, &value) {
            (Kind::Real, Value::Integer(integer)) => *value = Value::Real(*integer as f64),
            (Kind::Integer, Value::Integer(_))
            | (Kind::Real, Value::Real(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Blob, Value::Blob(_))
            | (_, Value::Null) => {}
            _ => return None,
        }
    }
    Some(Row { values, checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        assert_eq!(varint(&[0x7f]), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00]), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9]), Some((-1, 9)));
        assert_eq!(varint(&[0x80; 8]), None);
    }

    #[test]
    fn records() {
        let record = [6, 0, 1, 2, 9, 15, 0xff, 0xfe, 0xff, b'a'];
        let integer = Value::Integer;
        let expected = [
            Value::Null,
            integer(-1),
            integer(-257),
            integer(1),
            Value::Text("a".into()),
        ];
        assert_eq!(decode(&record).unwrap(), expected);
        for length in 0..record.len() {
            assert!(decode(&record[..length]).is_none(), "{length}");
        }
        assert!(decode(&[2, 10]).is_none(), "a type that is not in use");
        assert!(decode(&[2, 15, 0xff]).is_none(), "no text");
    }
}
