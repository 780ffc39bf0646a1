//! Index of the groups' rows: a push finds by it the groups that it could collide with, without reading all.
//!
//! It may lead to a group too many, since series can have the same hash, but not to one too few: the groups are read
//! into a store, whose check decides. Triggers make the index stale with each change of a row, also by versions that
//! do not know it. Pushes and deletions without a serving gateway keep it up to date; after all other changes the next
//! of them makes it anew.

use std::collections::BTreeSet;
use std::hash::RandomState;

use rusqlite::{Connection, ToSql, params};

use super::group_rows::{corrupt, forget_log, load, load_some, write_row, write_rows};
use crate::store::{FamilyView, RenderedPush, Store, StoredGroup, compared};
use metricsjob_metrics::{GroupingKey, Kind};

/// Version of what is in the index. One of another version is stale.
const VERSION: i64 = 1;

/// Hash that leads to the ids below the largest that no row has. Series have none below 0.
const FREE: i64 = -1;

/// The up-to-date index of a database.
pub struct GroupIndex<'a> {
    connection: &'a Connection,
}

/// The groups that a change has to do with.
pub struct Candidates {
    pub store: Store,
    /// The id of each slot's row.
    ids: Vec<u32>,
}

/// All that leads to one group.
#[derive(Default)]
struct IndexEntries {
    hashes: BTreeSet<i64>,
    names: BTreeSet<(String, u8)>,
}

impl<'a> GroupIndex<'a> {
    /// Opens the index and makes it anew if it is stale. What a gateway has logged is folded into the rows first.
    pub fn open(connection: &'a Connection) -> rusqlite::Result<Self> {
        let index = GroupIndex { connection };
        if !index.is_current()? {
            index.make()?;
        }
        Ok(index)
    }

    fn is_current(&self) -> rusqlite::Result<bool> {
        let is_current = "SELECT EXISTS (SELECT 1 FROM group_index WHERE version = ?)
                          AND NOT EXISTS (SELECT 1 FROM push_log)";
        let mut is_current = self.connection.prepare_cached(is_current)?;
        is_current.query_row([VERSION], |row| row.get(0))
    }

    fn make(&self) -> rusqlite::Result<()> {
        let loaded = load(self.connection)?;
        write_rows(self.connection, &loaded.store, &loaded.outdated)?;
        forget_log(self.connection, loaded.log_end)?;
        self.connection
            .execute_batch("DELETE FROM group_series; DELETE FROM group_names")?;
        for (id, group) in loaded.store.groups() {
            self.change(id, &IndexEntries::default(), &IndexEntries::of(Some(group)))?;
        }
        let free = "INSERT INTO group_series (hash, slot)
            WITH RECURSIVE ids (id) AS
                (SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id < (SELECT max(id) FROM groups))
            SELECT ?, id FROM ids WHERE NOT EXISTS (SELECT 1 FROM groups WHERE groups.id = ids.id)";
        self.connection.execute(free, [FREE])?;
        self.set_current()
    }

    fn set_current(&self) -> rusqlite::Result<()> {
        self.execute("DELETE FROM group_index", &[])?;
        self.execute("INSERT INTO group_index (version) VALUES (?)", &[&VERSION])
    }

    /// Reads the group of `key`, and those that `report` could collide with, into a store with this hasher.
    pub fn candidates(
        &self,
        key: &GroupingKey,
        report: Option<&RenderedPush>,
        hasher: &RandomState,
    ) -> rusqlite::Result<Candidates> {
        let read = || -> rusqlite::Result<Option<Candidates>> {
            let ids: Vec<u32> = self.ids(key, report)?.into_iter().collect();
            let loaded = load_some(self.connection, &ids, hasher.clone())?;
            Ok(loaded.map(|store| Candidates { store, ids }))
        };
        if let Some(part) = read()? {
            return Ok(part);
        }
        self.make()?;
        read()?.ok_or_else(|| corrupt("the index leads to a group that is none".into()))
    }

    fn ids(
        &self,
        key: &GroupingKey,
        report: Option<&RenderedPush>,
    ) -> rusqlite::Result<BTreeSet<u32>> {
        let of_hash = |hash: i64, ids: &mut BTreeSet<u32>| -> rusqlite::Result<()> {
            let select = "SELECT slot FROM group_series WHERE hash = ?";
            let mut select = self.connection.prepare_cached(select)?;
            for id in select.query_map([hash], |row| row.get(0))? {
                ids.insert(id?);
            }
            Ok(())
        };
        let mut own = BTreeSet::new();
        of_hash(key_hash(key), &mut own)?;
        let mut ids = own.clone();
        for family in report.iter().flat_map(|report| report.families()) {
            for hash in hashes(&family) {
                of_hash(hash, &mut ids)?;
            }
            for (name, kind) in colliding(&family.meta.name, family.meta.kind) {
                let select =
                    "SELECT slot FROM group_names WHERE name = ? AND kind = ? ORDER BY slot DESC";
                let mut select = self.connection.prepare_cached(select)?;
                let mut rows = select.query(params![name, kind as u8])?;
                // One that is not replaced is enough.
                while let Some(row) = rows.next()? {
                    let id = row.get(0)?;
                    ids.insert(id);
                    if !own.contains(&id) {
                        break;
                    }
                }
            }
        }
        Ok(ids)
    }

    /// Writes the group in this slot of the candidates, in place of `old`.
    pub fn write(
        &self,
        candidates: &Candidates,
        slot: u32,
        old: Option<&StoredGroup>,
    ) -> rusqlite::Result<()> {
        let id = match candidates.ids.get(slot as usize) {
            Some(id) => *id,
            None => self.free_id()?,
        };
        let new = candidates.store.group(slot).map(|group| &**group);
        write_row(self.connection, id, new)?;
        self.change(id, &IndexEntries::of(old), &IndexEntries::of(new))?;
        self.set_current()
    }

    /// The lowest id that no row has: the store of a gateway has a slot for each up to the largest.
    fn free_id(&self) -> rusqlite::Result<u32> {
        let free = "SELECT coalesce(
            (SELECT slot FROM group_series WHERE hash = ?
                AND NOT EXISTS (SELECT 1 FROM groups WHERE id = slot) LIMIT 1),
            (SELECT max(id) + 1 FROM groups), 0)";
        let mut free = self.connection.prepare_cached(free)?;
        free.query_row([FREE], |row| row.get(0))
    }

    fn change(&self, id: u32, old: &IndexEntries, new: &IndexEntries) -> rusqlite::Result<()> {
        for hash in old.hashes.difference(&new.hashes) {
            let delete = "DELETE FROM group_series WHERE hash = ? AND slot = ?";
            self.execute(delete, params![hash, id])?;
        }
        for hash in new.hashes.difference(&old.hashes) {
            let insert = "INSERT OR IGNORE INTO group_series (hash, slot) VALUES (?, ?)";
            self.execute(insert, params![hash, id])?;
        }
        for (name, kind) in old.names.difference(&new.names) {
            let delete = "DELETE FROM group_names WHERE name = ? AND kind = ? AND slot = ?";
            self.execute(delete, params![name, kind, id])?;
        }
        for (name, kind) in new.names.difference(&old.names) {
            let insert = "INSERT OR IGNORE INTO group_names (name, kind, slot) VALUES (?, ?, ?)";
            self.execute(insert, params![name, kind, id])?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str, params: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(params).map(drop)
    }
}

/// Returns false if a current index does not lead to exactly the groups of `store`, which are all. A stale one is not
/// looked at, because the next push makes it anew.
pub fn agrees(connection: &Connection, store: &Store) -> rusqlite::Result<bool> {
    if !(GroupIndex { connection }).is_current()? {
        return Ok(true);
    }
    let (mut hashes, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (id, group) in store.groups() {
        let entries = IndexEntries::of(Some(group));
        hashes.extend(entries.hashes.into_iter().map(|hash| (hash, id)));
        let of_group = entries.names.into_iter();
        names.extend(of_group.map(|(name, kind)| (name, kind, id)));
    }
    let mut select = connection.prepare("SELECT hash, slot FROM group_series WHERE hash <> ?")?;
    let found = select.query_map([FREE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let has_hashes = found.collect::<rusqlite::Result<BTreeSet<_>>>()? == hashes;
    let mut select = connection.prepare("SELECT name, kind, slot FROM group_names")?;
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(has_hashes && found.collect::<rusqlite::Result<BTreeSet<_>>>()? == names)
}

impl IndexEntries {
    /// IndexEntries of a row's group; of no row, that its id is free.
    fn of(group: Option<&StoredGroup>) -> IndexEntries {
        let mut entries = IndexEntries::default();
        let Some(group) = group else {
            entries.hashes.insert(FREE);
            return entries;
        };
        entries.hashes.insert(key_hash(&group.key));
        for family in group.families() {
            entries.hashes.extend(hashes(&family));
            let (name, kind) = (family.meta.name.to_string(), family.meta.kind);
            entries.names.insert((name, kind as u8));
        }
        entries
    }
}

/// The hash of what tells a group's push times from others: empty labels are the same as none.
fn key_hash(key: &GroupingKey) -> i64 {
    let labels = key.labels().iter();
    let labels = labels.filter(|(_, value)| !value.is_empty());
    let labels = labels.flat_map(|(name, value)| [name, value]);
    hash(["", key.job()].into_iter().chain(labels))
}

fn hashes(family: &FamilyView<'_>) -> impl Iterator<Item = i64> {
    let labels = family.labels();
    labels.map(|labels| hash([&*family.meta.name, &*compared(labels)].into_iter()))
}

fn hash<'t>(texts: impl Iterator<Item = &'t str>) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

/// The families of other groups that one with this name and kind does not go with.
fn colliding(name: &str, kind: Kind) -> Vec<(String, Kind)> {
    let others = Kind::ALL.into_iter().filter(|other| *other != kind);
    let mut all: Vec<_> = others.map(|other| (name.to_owned(), other)).collect();
    for base_kind in [Kind::Summary, Kind::Histogram] {
        let suffixes = base_kind.suffixes().iter();
        let bases = suffixes.filter_map(|suffix| name.strip_suffix(suffix));
        all.extend(bases.map(|base| (base.to_owned(), base_kind)));
    }
    for suffix in kind.suffixes() {
        all.extend(Kind::ALL.map(|kind| (format!("{name}{suffix}"), kind)));
    }
    all
}
