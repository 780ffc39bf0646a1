//! The groups on disk, while a gateway serves them from memory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::mem;
use std::path::{Path, PathBuf};

use prost::Message;
use rusqlite::{Connection, params};

use super::group_log::{Entries, Entry};
use super::groups::{Loaded, write_rows};
use super::{State, StateError};
use crate::store::Store;

/// The log is folded into the groups' rows when it is longer than this, in bytes, and than the groups
/// themselves twice: a longer one costs fewer writes, and more time at the next start.
const MIN_LOG_BYTES: u64 = 16 * 1024 * 1024;
const MAX_LOG_BYTES: u64 = 128 * 1024 * 1024;

/// How many rows of groups, and of the log, one transaction folds besides its own changes.
const FOLDED_GROUPS: usize = 512;
const FORGOTTEN_ROWS: i64 = 256;

/// Whether what is written survives a crash of the machine, or only one of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It is on the disk.
    Disk,
    /// The operating system has it.
    Os,
}

/// Writes what changes in the groups of a store, and at last all of them.
pub struct GroupWriter {
    dir: PathBuf,
    state: State,
    sync: Sync,
    /// The groups whose rows do not say what the log says.
    outdated: BTreeSet<u32>,
    log_bytes: u64,
    folding: Option<Folding>,
}

/// The log up to some row is being folded into the groups' rows.
struct Folding {
    /// The rows that are still to be written, the last first.
    slots: Vec<u32>,
    log_end: i64,
}

impl GroupWriter {
    /// For the groups that were `loaded` from `state`, the database in `dir`. Whoever writes them has to
    /// have them [locked](super::serving::lock_for_serving). Returns the store too.
    ///
    /// From now on a database that turns out to be corrupt is an error, and stays where it is.
    pub fn new(
        dir: &Path,
        mut state: State,
        loaded: Loaded,
        sync: Sync,
    ) -> Result<(GroupWriter, Store), StateError> {
        set_up(&mut state, sync)?;
        let writer = GroupWriter {
            dir: dir.to_owned(),
            state,
            sync,
            outdated: loaded.outdated,
            log_bytes: loaded.log_bytes,
            folding: None,
        };
        Ok((writer, loaded.store))
    }

    /// Writes `entries`, which led to what is in `store` now by changes of the groups in `slots`. What was
    /// written is safe, as [`Sync`] says, when this returns. If it fails, nothing was written, unless the
    /// caller does not take the changes back.
    pub fn write(
        &mut self,
        store: &Store,
        entries: Vec<Entry>,
        slots: &[u32],
    ) -> Result<(), StateError> {
        if !self.state.is_in_place() {
            self.begin_anew(store)?;
            // They are there, even if the caller takes them back.
            self.outdated.extend(slots);
        }
        let entries = Entries { entries }.encode_to_vec();
        if self.folding.is_none() && self.log_bytes >= log_limit(store) {
            self.begin_folding();
        }
        let step = self.folding.as_ref().map(Step::of);
        self.state.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            append(&transaction, &entries)?;
            if let Some(step) = &step {
                step.write(&transaction, store)?;
            }
            transaction.commit()
        })?;
        self.log_bytes += entries.len() as u64;
        self.outdated.extend(slots);
        if let Some(step) = step {
            self.took(&step);
        }
        Ok(())
    }

    /// Folds a part of the log into the groups' rows. Returns whether there is more to do.
    pub fn fold(&mut self, store: &Store) -> Result<bool, StateError> {
        if !self.state.is_in_place() {
            self.begin_anew(store)?;
        }
        if self.folding.is_none() {
            if self.log_bytes == 0 {
                return Ok(false);
            }
            self.begin_folding();
        }
        let step = self.folding.as_ref().map(Step::of);
        if let Some(step) = step {
            // The log says the same until this is on the disk.
            set_sync(&mut self.state, Sync::Os)?;
            let written = self.state.with(|connection| {
                let transaction = connection.unchecked_transaction()?;
                step.write(&transaction, store)?;
                transaction.commit()
            });
            // The next push is to be on the disk, even if this one failed.
            set_sync(&mut self.state, self.sync)?;
            written?;
            self.took(&step);
        }
        Ok(self.folding.is_some() || self.log_bytes > 0)
    }

    /// Whether no other process has moved the database aside. If one has, [`fold`](Self::fold) writes all
    /// groups to the one that took its place.
    pub fn is_in_place(&self) -> bool {
        self.state.is_in_place()
    }

    /// The size of the database, in bytes.
    pub fn database_bytes(&self) -> u64 {
        let log = self.state.log();
        let files = [&self.state.path, &log].map(|path| path.metadata());
        files.into_iter().flatten().map(|file| file.len()).sum()
    }

    fn begin_folding(&mut self) {
        let end = self.state.with(|connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM push_log", [], |row| {
                row.get(0)
            })
        });
        // If it fails, so will what follows, which tells.
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

    /// Another process has moved a corrupt database aside. The groups are here, so nothing of them is lost.
    fn begin_anew(&mut self, store: &Store) -> Result<(), StateError> {
        let mut state = State::open(&self.dir)?;
        set_up(&mut state, self.sync)?;
        let slots: Vec<u32> = store.groups().map(|(slot, _)| slot).collect();
        state.write(|transaction| {
            transaction.execute_batch("DELETE FROM groups; DELETE FROM push_log")?;
            write_rows(transaction, store, &slots)
        })?;
        self.state = state;
        self.outdated.clear();
        self.log_bytes = 0;
        self.folding = None;
        Ok(())
    }
}

/// How many bytes of the log are too many.
fn log_limit(store: &Store) -> u64 {
    (2 * store.bytes() as u64).clamp(MIN_LOG_BYTES, MAX_LOG_BYTES)
}

fn set_up(state: &mut State, sync: Sync) -> Result<(), StateError> {
    state.is_replaceable = false;
    set_sync(state, sync)
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

/// What one transaction folds.
struct Step {
    slots: Vec<u32>,
    log_end: i64,
    /// Whether nothing of the log is left, once it is written.
    is_last: Cell<bool>,
}

impl Step {
    fn of(folding: &Folding) -> Step {
        let first = folding.slots.len().saturating_sub(FOLDED_GROUPS);
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
