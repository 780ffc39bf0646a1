//! Right checksums for rows that a test has written itself.

use metricsjob_metrics::GroupingKey;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

/// Gives all rows of `database` the checksums of what is in them now.
pub fn stamp(database: &Connection) {
    register(database);
    for table in ["runs", "outbox", "counters"] {
        let columns =
            format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'checksum'");
        let mut columns = database.prepare(&columns).unwrap();
        let columns = columns.query_map([], |row| row.get(0)).unwrap();
        let columns: Vec<String> = columns.map(Result::unwrap).collect();
        let columns = columns.join(", ");
        let stamp = format!("UPDATE {table} SET checksum = row_checksum('{table}', {columns})");
        database.execute(&stamp, []).unwrap();
    }
}

/// Gives the groups that a test has changed the checksums that they need.
pub fn stamp_groups(database: &Connection) {
    let select =
        "SELECT id, grouping_key, push_time, push_failure_time, exposition, natives FROM groups";
    let mut groups = database.prepare(select).unwrap();
    let mut groups = groups.query([]).unwrap();
    while let Some(row) = groups.next().unwrap() {
        let key: String = row.get(1).unwrap();
        let key: GroupingKey = serde_json::from_str(&key).unwrap();
        let [push, failure]: [f64; 2] = [2, 3].map(|column| row.get(column).unwrap());
        let (text, natives): (String, Vec<u8>) = (row.get(4).unwrap(), row.get(5).unwrap());
        let mut bytes = key.to_string().into_bytes();
        bytes.extend([push.to_le_bytes(), failure.to_le_bytes()].concat());
        bytes.extend(text.into_bytes());
        bytes.extend(natives);
        let id: i64 = row.get(0).unwrap();
        let stamp = "UPDATE groups SET checksum = ?1 WHERE id = ?2";
        let changed = database.execute(stamp, (crc32fast::hash(&bytes), id));
        assert_eq!(changed.unwrap(), 1);
    }
}

/// Makes the function known that our program has its checksums from.
fn register(database: &Connection) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let checksum = |context: &rusqlite::functions::Context<'_>| {
        let mut bytes = Vec::new();
        for index in 0..context.len() {
            let (tag, value) = match context.get_raw(index) {
                ValueRef::Text(table) if index == 0 => (b't', table.to_vec()),
                ValueRef::Null => (b'n', Vec::new()),
                ValueRef::Integer(value) => (b'i', value.to_le_bytes().to_vec()),
                ValueRef::Real(value) => (b'r', value.to_le_bytes().to_vec()),
                ValueRef::Text(value) => (b's', value.to_vec()),
                ValueRef::Blob(value) => (b'b', value.to_vec()),
            };
            bytes.push(tag);
            bytes.extend((value.len() as u64).to_le_bytes());
            bytes.extend(value);
        }
        Ok(crc32fast::hash(&bytes))
    };
    database
        .create_scalar_function("row_checksum", -1, flags, checksum)
        .unwrap();
}
