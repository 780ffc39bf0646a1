//! The embedded gateway's groups: on disk, and what a push does to them while no gateway serves them.
//!
//! Each group is a row. A gateway that serves them holds them in memory and only logs what changes, see
//! [`group_log`](super::group_log), until it writes the rows anew. Whoever reads the rows has to do again
//! what is in the log.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use prost::Message;
use rusqlite::{Connection, ffi, params};

use super::group_log::Entries;
use super::{State, StateError};
use crate::metrics::{Family, Group, GroupingKey, Method, Names, protobuf, text, unix_seconds};
use crate::store::{Rejection, Report, Store, StoredGroup};

/// Why the embedded gateway did not take a push.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The group is marked as failed and nothing else has changed.
    #[error("the embedded gateway refused the push: {0}")]
    Rejected(Rejection),
    /// Nothing has changed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The groups as they are in the database.
#[derive(Default)]
pub struct Loaded {
    pub store: Store,
    /// The slots whose rows are not up to date, because the log goes on from there.
    pub outdated: BTreeSet<u32>,
    /// The last row of the log, and how many bytes all have.
    pub log_end: i64,
    pub log_bytes: u64,
    /// What could not be read in spite of a right checksum, for a person to read.
    pub problems: Vec<String>,
}

/// What became of the groups of another gateway.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub imported: usize,
    /// Those that have a newer push here.
    pub kept: usize,
    /// Why others could not be taken, for a person to read.
    pub refused: Vec<String>,
}

impl State {
    /// Does what a Pushgateway does with a push of `families` to the group of `key` at `now`, see
    /// [`Store::push`]. The caller has locked the groups, see
    /// [`lock_groups`](crate::state::serving::lock_groups).
    ///
    /// # Errors
    ///
    /// [`PushError::Rejected`] if the push is inconsistent, by itself or with the other groups.
    pub fn push(
        &mut self,
        key: &GroupingKey,
        method: Method,
        families: &[Family],
        now: SystemTime,
    ) -> Result<(), PushError> {
        self.write_sync(|transaction| {
            let mut loaded = load(transaction)?;
            let store = &mut loaded.store;
            let report = Report::new(key, families.to_vec(), Names::Legacy, &store.hasher());
            let pushed = store.push(key, method, report, unix_seconds(now));
            if let Some(undo) = &pushed.undo {
                loaded.outdated.insert(undo.slot());
            }
            write_rows(transaction, &loaded.store, &loaded.outdated)?;
            forget_log(transaction, loaded.log_end)?;
            Ok(pushed.result)
        })?
        .map_err(PushError::Rejected)
    }

    /// Deletes the group with exactly this key. Returns whether there was one. The caller has locked the
    /// groups.
    pub fn delete(&mut self, key: &GroupingKey) -> Result<bool, StateError> {
        self.write_sync(|transaction| {
            let mut loaded = load(transaction)?;
            let undo = loaded.store.delete(key);
            loaded.outdated.extend(undo.iter().map(|undo| undo.slot()));
            write_rows(transaction, &loaded.store, &loaded.outdated)?;
            forget_log(transaction, loaded.log_end)?;
            Ok(undo.is_some())
        })
    }

    /// Takes over the groups of another gateway with their push times, those excepted that were pushed to
    /// here since. The caller has locked the groups.
    pub fn import(&mut self, groups: Vec<Group>) -> Result<Imported, StateError> {
        self.write_sync(|transaction| {
            let mut loaded = load(transaction)?;
            let mut imported = Imported::default();
            for group in &groups {
                let key = &group.key;
                let known = loaded.store.group_of(key);
                if known.is_some_and(|known| known.push_time > group.push_time) {
                    imported.kept += 1;
                    continue;
                }
                let hasher = loaded.store.hasher();
                let report = Report::new(key, group.families.clone(), Names::Utf8, &hasher);
                let pushed = loaded.store.push(key, Method::Put, report, group.push_time);
                match (pushed.result, pushed.undo) {
                    (Ok(()), Some(undo)) => {
                        let (time, failure) = (group.push_time, group.push_failure_time);
                        loaded.store.set_times(undo.slot(), time, failure);
                        loaded.outdated.insert(undo.slot());
                        imported.imported += 1;
                    }
                    (Err(rejection), undo) => {
                        undo.into_iter().for_each(|undo| loaded.store.undo(undo));
                        imported
                            .refused
                            .push(format!("group {{{key}}}: {rejection}"));
                    }
                    (Ok(()), None) => {}
                }
            }
            write_rows(transaction, &loaded.store, &loaded.outdated)?;
            forget_log(transaction, loaded.log_end)?;
            Ok(imported)
        })
    }

    /// All groups, sorted by key.
    pub fn groups(&mut self) -> Result<Vec<Group>, StateError> {
        let groups = self.load_groups()?.store.snapshot().sorted();
        Ok(groups.iter().map(|group| group.to_group()).collect())
    }

    /// Opens the database in `dir` for a gateway, with all groups.
    ///
    /// # Errors
    ///
    /// [`StateError::NotServed`] if it is corrupt: as long as it stays where it is, no gateway begins anew.
    pub fn open_to_serve(dir: &Path) -> Result<(State, Loaded), StateError> {
        State::open_whole(dir).map_err(|error| match error {
            StateError::Corrupt { path, source } => StateError::NotServed { path, source },
            error => error,
        })
    }

    fn open_whole(dir: &Path) -> Result<(State, Loaded), StateError> {
        if let Some(mut state) = State::open_existing(dir)? {
            let verdict: String = state.with(|connection| {
                connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            })?;
            if verdict != "ok" {
                return Err(StateError::of(&state.path, None, corrupt(verdict)));
            }
        }
        let mut state = State::open(dir)?;
        state.is_replaceable = false;
        let loaded = state.load_groups()?;
        Ok((state, loaded))
    }

    fn load_groups(&mut self) -> Result<Loaded, StateError> {
        self.with(|connection| {
            // One snapshot for both tables.
            let transaction = connection.transaction()?;
            load(&transaction)
        })
    }
}

/// Reads the rows, and does again what is in the log. Names may be any UTF-8: whether pushes may have
/// such is up to the gateway that took them.
fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let hasher = loaded.store.hasher();
    let has_log = "SELECT EXISTS (SELECT 1 FROM push_log)";
    let has_log: bool = connection.query_row(has_log, [], |row| row.get(0))?;
    let mut rows = connection.prepare_cached(
        "SELECT id, grouping_key, push_time, push_failure_time, exposition, natives, checksum
         FROM groups ORDER BY id",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let slot: u32 = row.get(0)?;
        let key: GroupingKey = row.get(1)?;
        let times = [row.get(2)?, row.get(3)?];
        let exposition = row.get_ref(4)?.as_str()?;
        let natives = row.get_ref(5)?.as_blob()?;
        let expected: Option<u32> = row.get(6)?;
        let found = checksum(&key, times, exposition, natives);
        if expected.is_some_and(|expected| expected != found) {
            return Err(corrupt(format!("the checksum of group {slot} is wrong")));
        }
        let report = families(exposition, natives).and_then(|families| {
            Report::new(&key, families, Names::Utf8, &hasher)
                .map_err(|rejection| rejection.to_string())
        });
        match report {
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
    let mut replace = connection.prepare_cached(
        "INSERT OR REPLACE INTO groups
         (id, grouping_key, push_time, push_failure_time, exposition, natives, checksum)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM groups WHERE id = ?")?;
    for slot in slots {
        let Some(group) = store.group(*slot) else {
            delete.execute([slot])?;
            continue;
        };
        let StoredGroup {
            key,
            push_time,
            push_failure_time,
            ..
        } = &**group;
        let (exposition, natives) = (group.exposition(), group.natives());
        let checksum = checksum(key, [*push_time, *push_failure_time], &exposition, &natives);
        replace.execute(params![
            slot,
            key,
            push_time,
            push_failure_time,
            exposition,
            natives,
            checksum
        ])?;
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

/// What SQLite itself would say of a broken database.
pub(super) fn corrupt(problem: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(problem))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::metrics::Kind;

    struct Gateway {
        state: State,
        _dir: tempfile::TempDir,
    }

    impl Gateway {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = State::open(dir.path()).unwrap();
            Gateway { state, _dir: dir }
        }

        fn push_at(
            &mut self,
            labels: &[(&str, &str)],
            method: Method,
            body: &str,
            at: u64,
        ) -> Result<(), PushError> {
            let families = text::parse(body.as_bytes()).unwrap();
            self.state.push(
                &key(labels),
                method,
                &families,
                UNIX_EPOCH + Duration::from_secs(at),
            )
        }

        fn rejected(&mut self, labels: &[(&str, &str)], body: &str) -> Rejection {
            match self.push_at(labels, Method::Post, body, 99) {
                Err(PushError::Rejected(rejection)) => rejection,
                other => panic!("not rejected: {other:?}"),
            }
        }

        fn post(&mut self, labels: &[(&str, &str)], body: &str) {
            self.push_at(labels, Method::Post, body, 10).unwrap();
        }

        fn names(&mut self) -> Vec<String> {
            let groups = self.state.groups().unwrap();
            let families = groups.iter().flat_map(|group| &group.families);
            families.map(|family| family.name.clone()).collect()
        }
    }

    fn key(labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        GroupingKey::new("j", labels).unwrap()
    }

    #[test]
    fn the_keys_labels_overwrite_and_instance_is_added() {
        let mut gateway = Gateway::new();
        gateway.post(&[("db", "x")], "m{db=\"y\",job=\"k\",z=\"1\"} 1\n");
        let group = &gateway.state.groups().unwrap()[0];
        let labels = &group.families[0].metrics[0].labels;
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(
            pairs,
            [("db", "x"), ("instance", ""), ("job", "j"), ("z", "1")]
        );
    }

    #[test]
    fn times_of_success_and_failure() {
        let mut gateway = Gateway::new();
        gateway.push_at(&[], Method::Put, "a 1\n", 10).unwrap();
        gateway.post(&[("l", "other")], "b 1\n");
        let times = |gateway: &mut Gateway| {
            let group = gateway.state.groups().unwrap().remove(0);
            (group.push_time, group.push_failure_time)
        };
        assert_eq!(times(&mut gateway), (10.0, 0.0));
        gateway.rejected(&[], "# TYPE b counter\nb 1\na 2\n");
        assert_eq!(times(&mut gateway), (10.0, 99.0));
        assert_eq!(gateway.names(), ["a", "b"]);
    }

    #[test]
    fn a_rejected_push_makes_the_group() {
        let mut gateway = Gateway::new();
        gateway.rejected(&[], "a{__x=\"\"} 1\n");
        let groups = gateway.state.groups().unwrap();
        assert_eq!(
            (groups[0].push_time, groups[0].push_failure_time),
            (0.0, 99.0)
        );
    }

    #[test]
    fn the_type_may_change_in_one_group_only() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "# TYPE a gauge\na 1\n");
        gateway.post(&[], "# TYPE a counter\na 1\n");
        gateway.post(&[("l", "1")], "# TYPE a counter\na 1\n");
        let rejection = gateway.rejected(&[], "a 1\n");
        assert!(
            matches!(
                rejection,
                Rejection::Kind {
                    pushed: Kind::Untyped,
                    ..
                }
            ),
            "{rejection}"
        );
    }

    #[test]
    fn a_series_stands_in_one_group() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "a{l=\"1\"} 1\n");
        let rejection = gateway.rejected(&[("l", "1")], "a 1\n");
        assert_eq!(
            rejection.to_string(),
            r#"the series a{instance="",job="j",l="1"} stands already in the group {job="j"}"#
        );
        // An empty instance in the key is the one that a series without instance gets.
        gateway.rejected(&[("instance", "")], "a{l=\"1\"} 1\n");
        gateway.state.delete(&key(&[])).unwrap();
        gateway.post(&[("l", "1")], "a 1\n");
    }

    #[test]
    fn suffixes_collide_over_groups_in_both_directions() {
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
        let summary = "# TYPE h summary\nh_sum 1\nh_count 1\n";
        for (first, second, collides) in [
            (histogram, "h_bucket 1\n", true),
            ("h_count 1\n", histogram, true),
            (summary, "h_sum 1\n", true),
            ("h_sum 1\n", summary, true),
            (summary, "h_bucket 1\n", false),
            ("h_bucket 1\n", summary, false),
            ("h_total 1\n", histogram, false),
        ] {
            let mut gateway = Gateway::new();
            gateway.post(&[("l", "1")], first);
            let second = gateway.push_at(&[("l", "2")], Method::Put, second, 10);
            assert_eq!(second.is_err(), collides, "{first} {second:?}");
        }
    }

    #[test]
    fn empty_bodies() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "a 1\n");
        gateway.push_at(&[], Method::Post, "", 20).unwrap();
        assert_eq!(gateway.names(), ["a"]);
        gateway.push_at(&[], Method::Put, "", 30).unwrap();
        assert!(gateway.names().is_empty());
        assert_eq!(gateway.state.groups().unwrap()[0].push_time, 30.0);
    }

    #[test]
    fn the_gateways_own_times_cannot_be_pushed() {
        let mut gateway = Gateway::new();
        gateway.post(
            &[],
            "# TYPE push_time_seconds counter\npush_time_seconds 1\na 1\n",
        );
        assert_eq!(gateway.names(), ["a"]);
    }
}
