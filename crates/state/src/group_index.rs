//! The index of the groups' rows: which of them a push has to be checked against, without reading all.
//!
//! It leads to more groups rather than to fewer, as two series may have the same hash: those it leads to are read into a
//! store of their own, whose check says what is true. A serving gateway does not keep it up to date. Whoever writes
//! rows without it makes it stale, and the next push that needs it makes it anew.

use std::collections::BTreeSet;
use std::hash::Hasher;
#[expect(
    deprecated,
    reason = "the only hash of std that is the same in each process"
)]
use std::hash::SipHasher;

use rusqlite::{Connection, OptionalExtension, params};

use super::group_rows::{Loaded, forget_log, load, load_some, write_row, write_rows};
use crate::store::{Report, Store, StoredGroup, compared};
use metricsjob_metrics::{Family, GroupingKey, Kind, Method, Names};

/// The index, with the key of its hashes.
pub struct GroupIndex<'a> {
    connection: &'a Connection,
    keys: [u64; 2],
}

/// The groups that a change has to do with.
pub struct Part {
    pub loaded: Loaded,
    /// The row of each slot of the store.
    ids: Vec<u32>,
}

/// All that the index has of a group.
#[derive(Default)]
struct Entries {
    names: BTreeSet<(String, u8)>,
    hashes: BTreeSet<i64>,
}

impl<'a> GroupIndex<'a> {
    /// The index in a database, which is made anew if it is stale. The log is folded first.
    pub fn open(connection: &'a Connection) -> rusqlite::Result<Self> {
        let has_log = "SELECT EXISTS (SELECT 1 FROM push_log)";
        let has_log: bool = connection.query_row(has_log, [], |row| row.get(0))?;
        let keys = connection
            .prepare_cached("SELECT key_0, key_1 FROM group_index")?
            .query_row([], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?]))
            .optional()?;
        match keys {
            Some(keys) if !has_log => Ok(GroupIndex {
                connection,
                keys: keys.map(i64::cast_unsigned),
            }),
            _ => GroupIndex::make(connection),
        }
    }

    fn make(connection: &'a Connection) -> rusqlite::Result<Self> {
        let loaded = load(connection)?;
        write_rows(connection, &loaded.store, &loaded.outdated)?;
        forget_log(connection, loaded.log_end)?;
        connection.execute_batch(
            "DELETE FROM group_index; DELETE FROM group_series; DELETE FROM group_names",
        )?;
        let keys: [u64; 2] = rand::random();
        let [first, second] = keys.map(u64::cast_signed);
        let insert = "INSERT INTO group_index (key_0, key_1) VALUES (?, ?)";
        connection.execute(insert, [first, second])?;
        let index = GroupIndex { connection, keys };
        for (slot, group) in loaded.store.groups() {
            index.change(slot, None, Some(group))?;
        }
        Ok(index)
    }

    /// Reads the groups that a push of `families` to the group of `key` could collide with, and that group.
    pub fn part(&self, key: &GroupingKey, families: &[Family]) -> rusqlite::Result<Part> {
        let mut ids = BTreeSet::new();
        let mut by_hash = self
            .connection
            .prepare_cached("SELECT slot FROM group_series WHERE hash = ?")?;
        let mut of_hash = |hash: i64| -> rusqlite::Result<()> {
            for slot in by_hash.query_map([hash], |row| row.get(0))? {
                ids.insert(slot?);
            }
            Ok(())
        };
        of_hash(self.key_hash(key))?;
        let mut alone = Store::new();
        let report = Report::new(key, families.to_vec(), Names::Legacy, &alone.hasher());
        let pushed = alone.push(key, Method::Put, report, 0.0);
        // One that is refused by itself is not checked against others.
        let pushed = pushed.undo.and_then(|undo| alone.group(undo.slot()));
        let entries = pushed.map_or_else(Entries::default, |group| self.entries(group));
        for hash in &entries.hashes {
            of_hash(*hash)?;
        }
        let own = ids.clone();
        let mut by_name = self.connection.prepare_cached(
            "SELECT slot FROM group_names WHERE name = ? AND kind = ? ORDER BY slot DESC",
        )?;
        for name in entries.names.iter().flat_map(|(name, _)| related(name)) {
            for kind in Kind::ALL {
                // The one of the push may be among them, so that one more counts.
                let mut slots = by_name.query(params![name, kind as u8])?;
                while let Some(row) = slots.next()? {
                    let slot: u32 = row.get(0)?;
                    ids.insert(slot);
                    if !own.contains(&slot) {
                        break;
                    }
                }
            }
        }
        let ids: Vec<u32> = ids.into_iter().collect();
        Ok(Part {
            loaded: load_some(self.connection, &ids)?,
            ids,
        })
    }

    /// Writes what is in a slot of the part now, in place of `old`.
    pub fn write(&self, part: &Part, slot: u32, old: Option<&StoredGroup>) -> rusqlite::Result<()> {
        let id = match part.ids.get(slot as usize) {
            Some(id) => *id,
            None => {
                let free = "SELECT coalesce(max(id) + 1, 0) FROM groups";
                self.connection.query_row(free, [], |row| row.get(0))?
            }
        };
        let new = part.loaded.store.group(slot).map(|group| &**group);
        write_row(self.connection, id, new)?;
        self.change(id, old, new)
    }

    fn change(
        &self,
        slot: u32,
        old: Option<&StoredGroup>,
        new: Option<&StoredGroup>,
    ) -> rusqlite::Result<()> {
        let entries = |group: Option<&StoredGroup>| {
            group.map_or_else(Entries::default, |group| self.entries(group))
        };
        let (old, new) = (entries(old), entries(new));
        let prepare = |sql| self.connection.prepare_cached(sql);
        let mut delete = prepare("DELETE FROM group_series WHERE hash = ? AND slot = ?")?;
        for hash in old.hashes.difference(&new.hashes) {
            delete.execute(params![hash, slot])?;
        }
        let mut insert = prepare("INSERT OR IGNORE INTO group_series (hash, slot) VALUES (?, ?)")?;
        for hash in new.hashes.difference(&old.hashes) {
            insert.execute(params![hash, slot])?;
        }
        let mut delete =
            prepare("DELETE FROM group_names WHERE name = ? AND kind = ? AND slot = ?")?;
        for (name, kind) in old.names.difference(&new.names) {
            delete.execute(params![name, kind, slot])?;
        }
        let mut insert =
            prepare("INSERT OR IGNORE INTO group_names (name, kind, slot) VALUES (?, ?, ?)")?;
        for (name, kind) in new.names.difference(&old.names) {
            insert.execute(params![name, kind, slot])?;
        }
        Ok(())
    }

    fn entries(&self, group: &StoredGroup) -> Entries {
        let mut entries = Entries::default();
        entries.hashes.insert(self.key_hash(&group.key));
        for family in group.families() {
            let name = &*family.meta.name;
            entries.names.insert((name.into(), family.meta.kind as u8));
            let hashes = family
                .labels()
                .map(|labels| self.hash([name, &*compared(labels)].into_iter()));
            entries.hashes.extend(hashes);
        }
        entries
    }

    /// The hash of what tells the group's push times from others: empty labels are the same as none.
    fn key_hash(&self, key: &GroupingKey) -> i64 {
        let labels = key.labels().iter();
        let labels = labels.filter(|(_, value)| !value.is_empty());
        let labels = labels.flat_map(|(name, value)| [name, value]);
        self.hash(["", key.job()].into_iter().chain(labels))
    }

    #[expect(deprecated, reason = "see its import")]
    fn hash<'t>(&self, texts: impl Iterator<Item = &'t str>) -> i64 {
        let mut hasher = SipHasher::new_with_keys(self.keys[0], self.keys[1]);
        for text in texts {
            hasher.write(&(text.len() as u64).to_le_bytes());
            hasher.write(text.as_bytes());
        }
        hasher.finish().cast_signed()
    }
}

/// Makes the index stale: rows are written without it.
pub fn make_stale(connection: &Connection) -> rusqlite::Result<()> {
    let stale = "DELETE FROM group_index";
    connection.prepare_cached(stale)?.execute([]).map(drop)
}

/// The names that a family of this name can collide with.
fn related(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    for suffix in ["_sum", "_count", "_bucket"] {
        names.extend(name.strip_suffix(suffix).map(str::to_owned));
        names.push(format!("{name}{suffix}"));
    }
    names
}
