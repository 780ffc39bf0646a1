//! Persistence of the groups that a gateway serves from memory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use rusqlite::{Connection, params};

use super::error::is_busy;
use super::group_log::{Entries, Entry};
use super::group_rows::{Loaded, write_rows};
use super::serving::{ServingLock, lock_for_serving};
use super::{Damage, State, StateError, damage};
use crate::store::Store;

/// The log is folded into the groups' rows once it exceeds twice their size, within these bounds in bytes. A longer
/// log saves writes, and delays the next start.
const MIN_LOG_BYTES: u64 = 48 * 1024 * 1024;
const MAX_LOG_BYTES: u64 = 192 * 1024 * 1024;

/// Most groups' rows, bytes of them, and log rows that one transaction folds besides its own changes.
const FOLDED_GROUPS: usize = 512;
const FOLDED_BYTES: usize = 16 * 1024 * 1024;
const FORGOTTEN_ROWS: i64 = 256;

/// Longest wait of a change for other processes that write to the database, during which scrapes wait too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Durability of writes: whether they survive a crash of the machine, or only of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Synced to disk.
    Disk,
    /// Handed to the operating system.
    Os,
}

/// Writer of a store's changes to the log, and from there to the groups' rows.
pub struct GroupWriter {
    lock: Arc<ServingLock>,
    state: State,
    sync: Sync,
    /// Slots of the groups whose rows are older than the log.
    outdated: BTreeSet<u32>,
    log_bytes: u64,
    folding: Option<Folding>,
    /// The fate of the groups, once the directory is gone.
    rescue: Option<String>,
}

/// A folding in progress of the log up to some row into the groups' rows.
struct Folding {
    /// Slots of the rows still to be written, the next one last.
    slots: Vec<u32>,
    log_end: i64,
}

impl GroupWriter {
    /// Creates the writer of the groups that were `loaded` from `state`, the database in the directory of `lock`, and
    /// returns it with their store.
    ///
    /// From now on a database that turns out to be corrupt is replaced by one with the groups in memory.
    pub fn new(
        lock: Arc<ServingLock>,
        mut state: State,
        loaded: Loaded,
        sync: Sync,
    ) -> Result<(GroupWriter, Store), StateError> {
        set_up(&mut state, sync)?;
        let writer = GroupWriter {
            lock,
            state,
            sync,
            outdated: loaded.outdated,
            log_bytes: loaded.log_bytes,
            folding: None,
            rescue: None,
        };
        Ok((writer, loaded.store))
    }

    /// Appends `entries` to the log in one transaction, durable as [`Sync`] says.
    ///
    /// `store` must already reflect them; `slots` are the groups they changed. On error the caller must undo the
    /// changes in `store`.
    pub fn write(
        &mut self,
        store: &Store,
        entries: Vec<Entry>,
        slots: &[u32],
    ) -> Result<(), StateError> {
        self.stay(store)?;
        if !self.state.is_in_place() {
            self.begin_anew(store)?;
            // They are in the new database, even if the caller undoes the changes.
            self.outdated.extend(slots);
        }
        let entries = Entries { entries }.encode_to_vec();
        if self.folding.is_none() && self.log_bytes >= log_limit(store) {
            self.begin_folding();
        }
        let step = self
            .folding
            .as_ref()
            .map(|folding| Step::of(folding, store));
        let written = self.append(store, &entries, step.as_ref());
        match (written, step) {
            (Ok(()), Some(step)) => self.took(&step),
            (Ok(()), None) => {}
            // The groups are in memory, and the rest of it is carried over.
            (Err(StateError::Corrupt { source, .. }), _) => {
                self.replace(store, &source)?;
                self.append(store, &entries, None)?;
            }
            // An error of the folding must not block changes.
            (Err(StateError::Database { source, .. }), Some(_)) if !is_busy(&source) => {
                self.append(store, &entries, None)?;
            }
            (Err(error), _) => return Err(error),
        }
        self.log_bytes += entries.len() as u64;
        self.outdated.extend(slots);
        Ok(())
    }

    /// Checks whether changes can be written again after a failure, without waiting for other processes.
    pub fn probe(&mut self, store: &Store) -> Result<(), StateError> {
        set_patience(&mut self.state, Duration::ZERO)?;
        let written = self.write(store, Vec::new(), &[]);
        set_patience(&mut self.state, PATIENCE)?;
        written
    }

    fn append(
        &mut self,
        store: &Store,
        entries: &[u8],
        step: Option<&Step>,
    ) -> Result<(), StateError> {
        self.state.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            append(&transaction, entries)?;
            if let Some(step) = step {
                step.write(&transaction, store)?;
            }
            transaction.commit()
        })
    }

    /// Folds a part of the log into the groups' rows. Returns true if there is more to do. Does not wait for other
    /// processes that write to the database.
    pub fn fold(&mut self, store: &Store) -> Result<bool, StateError> {
        self.stay(store)?;
        if !self.state.is_in_place() {
            self.begin_anew(store)?;
        }
        if self.folding.is_none() {
            if self.is_folded() {
                return Ok(false);
            }
            self.begin_folding();
        }
        let step = self
            .folding
            .as_ref()
            .map(|folding| Step::of(folding, store));
        if let Some(step) = step {
            // The log has these changes until the step is on disk.
            set_sync(&mut self.state, Sync::Os)?;
            set_patience(&mut self.state, Duration::ZERO)?;
            let written = self.state.with(|connection| {
                let transaction = connection.unchecked_transaction()?;
                step.write(&transaction, store)?;
                transaction.commit()
            });
            if written.is_ok() {
                self.took(&step);
            }
            if self.folding.is_none()
                && self.is_folded()
                && let Err(error) = self.state.give_back(None)
            {
                tracing::debug!(err = %error, "free space was not given back");
            }
            // The next push must be synced, even if this step failed.
            set_sync(&mut self.state, self.sync)?;
            set_patience(&mut self.state, PATIENCE)?;
            match written {
                Ok(()) => {}
                Err(StateError::Corrupt { source, .. }) => self.replace(store, &source)?,
                Err(error) => return Err(error),
            }
        }
        Ok(self.folding.is_some() || !self.is_folded())
    }

    fn is_folded(&self) -> bool {
        self.log_bytes == 0 && self.outdated.is_empty()
    }

    /// Returns true if no other process has moved the database or its directory. Otherwise [`fold`](Self::fold)
    /// writes all groups to the new one.
    pub fn is_in_place(&self) -> bool {
        self.state.is_in_place() && self.lock.is_in_place()
    }

    /// Makes sure that no other process can serve the groups. If the directory is gone, and with it the lock, other
    /// processes no longer find this one: the groups are then merged into the new directory, without overwriting what
    /// others pushed there, and this and all later calls fail.
    fn stay(&mut self, store: &Store) -> Result<(), StateError> {
        if self.rescue.is_none() && !self.lock.is_in_place() {
            self.rescue = Some(match rescue(self.lock.dir(), store) {
                Ok(rescue) => rescue,
                Err(error) => format!("its groups could not be brought into a new one: {error}"),
            });
        }
        match &self.rescue {
            None => Ok(()),
            Some(rescue) => Err(StateError::Displaced {
                dir: self.lock.dir().to_owned(),
                rescue: rescue.clone(),
            }),
        }
    }

    /// Returns the size of the database with its log, in bytes.
    pub fn database_bytes(&self) -> u64 {
        self.state.file_bytes()
    }

    fn begin_folding(&mut self) {
        let end = self.state.with(|connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM push_log", [], |row| {
                row.get(0)
            })
        });
        // On error the next statement fails too, and reports it.
        if let Ok(log_end) = end {
            self.folding = Some(Folding {
                slots: mem::take(&mut self.outdated).into_iter().rev().collect(),
                log_end,
            });
            self.log_bytes = 0;
        }
    }

    fn took(&mut self, step: &Step) {
        let Some(folding) = &mut self.folding else {
            return;
        };
        folding
            .slots
            .truncate(folding.slots.len() - step.slots.len());
        if step.is_last.get() {
            self.folding = None;
        }
    }

    /// Opens the new database after another process moved the old one, and writes the groups in memory to it.
    fn begin_anew(&mut self, store: &Store) -> Result<(), StateError> {
        let state = State::open(self.lock.dir())?;
        self.go_on_with(state, store)
    }

    /// Replaces the database, which is corrupt by `error`, by a new one with the groups in memory.
    fn replace(&mut self, store: &Store, error: &rusqlite::Error) -> Result<(), StateError> {
        let state = damage::replace(&self.state, error)?;
        self.go_on_with(state, store)
    }

    /// Takes the damage of a database that was replaced, if there was one since the last call.
    pub fn take_damage(&mut self) -> Option<Damage> {
        self.state.damage.take()
    }

    /// Writes all groups to `state`, which replaces the current one.
    fn go_on_with(&mut self, mut state: State, store: &Store) -> Result<(), StateError> {
        set_up(&mut state, self.sync)?;
        let slots: Vec<u32> = store.groups().map(|(slot, _)| slot).collect();
        state.write(|transaction| {
            transaction.execute_batch("DELETE FROM groups; DELETE FROM push_log")?;
            write_rows(transaction, store, &slots)
        })?;
        state.damage = state.damage.take().or(self.state.damage.take());
        self.state = state;
        self.outdated.clear();
        self.log_bytes = 0;
        self.folding = None;
        Ok(())
    }
}

/// Merges the groups of `store` into the database in `dir`. Returns the result in words.
fn rescue(dir: &Path, store: &Store) -> Result<String, StateError> {
    let Some(_lock) = lock_for_serving(dir)? else {
        return Ok("another process has its groups now, and those of this one are lost".into());
    };
    let groups = store.groups().map(|(_, group)| group.to_group()).collect();
    let imported = State::open(dir)?.import(groups)?;
    Ok(match imported.refused.as_slice() {
        [] => "its groups were brought into the new one".into(),
        [first, ..] => format!(
            "its groups were brought into the new one, but for {}: {first}",
            imported.refused.len()
        ),
    })
}

/// Returns the size of the log, in bytes, at which folding begins.
fn log_limit(store: &Store) -> u64 {
    (2 * store.bytes() as u64).clamp(MIN_LOG_BYTES, MAX_LOG_BYTES)
}

fn set_up(state: &mut State, sync: Sync) -> Result<(), StateError> {
    state.is_replaceable = false;
    set_patience(state, PATIENCE)?;
    set_sync(state, sync)
}

/// Sets the longest wait for other processes that write to the database.
fn set_patience(state: &mut State, patience: Duration) -> Result<(), StateError> {
    state.with(|connection| connection.busy_timeout(patience))
}

fn set_sync(state: &mut State, sync: Sync) -> Result<(), StateError> {
    let pragma = match sync {
        Sync::Disk => "PRAGMA synchronous = FULL",
        Sync::Os => "PRAGMA synchronous = NORMAL",
    };
    state.with(|connection| connection.execute_batch(pragma))
}

fn append(connection: &Connection, entries: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO push_log (entries, checksum) VALUES (?, ?)")?
        .execute(params![entries, crc32fast::hash(entries)])
        .map(drop)
}

/// Part of a folding that one transaction does.
struct Step {
    slots: Vec<u32>,
    log_end: i64,
    /// True once it was written and nothing of the log is left.
    is_last: Cell<bool>,
}

impl Step {
    fn of(folding: &Folding, store: &Store) -> Step {
        let mut bytes = 0;
        let slots = folding.slots.iter().rev().take(FOLDED_GROUPS);
        let few = slots.take_while(|slot| {
            let is_first = bytes == 0;
            bytes += 1 + store.group(**slot).map_or(0, |group| group.bytes());
            is_first || bytes <= FOLDED_BYTES
        });
        let first = folding.slots.len() - few.count();
        Step {
            slots: folding.slots[first..].to_vec(),
            log_end: folding.log_end,
            is_last: Cell::new(false),
        }
    }

    fn write(&self, connection: &Connection, store: &Store) -> rusqlite::Result<()> {
        if !self.slots.is_empty() {
            return write_rows(connection, store, self.slots.iter().rev());
        }
        let forgotten = connection
            .prepare_cached(
                "DELETE FROM push_log WHERE id IN
                 (SELECT id FROM push_log WHERE id <= ? ORDER BY id LIMIT ?)",
            )?
            .execute(params![self.log_end, FORGOTTEN_ROWS])?;
        self.is_last.set((forgotten as i64) < FORGOTTEN_ROWS);
        Ok(())
    }
}
