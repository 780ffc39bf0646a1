//! Right checksums for rows that a test has written itself.

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
