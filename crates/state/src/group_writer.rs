//! The groups on disk, while a gateway serves them from memory.

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

/// The log is folded into the groups' rows when it is longer than this, in bytes, and than the groups
/// themselves twice: a longer one costs fewer writes, and more time at the next start.
const MIN_LOG_BYTES: u64 = 48 * 1024 * 1024;
const MAX_LOG_BYTES: u64 = 192 * 1024 * 1024;

/// How many rows of groups, and of the log, one transaction folds besides its own changes.
const FOLDED_GROUPS: usize = 512;
const FOLDED_BYTES: usize = 16 * 1024 * 1024;
const FORGOTTEN_ROWS: i64 = 256;

/// How long a change waits for other processes that write to the database, and scrapes wait for the change.
const PATIENCE: Duration = Duration::from_secs(5);

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
    lock: Arc<ServingLock>,
    state: State,
    sync: Sync,
    /// The groups whose rows do not say what the log says.
    outdated: BTreeSet<u32>,
    log_bytes: u64,
    folding: Option<Folding>,
    /// What became of the groups when the directory had gone.
    rescue: Option<String>,
}

/// The log up to some row is being folded into the groups' rows.
struct Folding {
    /// The rows that are still to be written, the last first.
    slots: Vec<u32>,
    log_end: i64,
}

impl GroupWriter {
    /// For the groups that were `loaded` from `state`, the database in the directory of `lock`. Returns the
    /// store too.
    ///
    /// A database that turns out to be corrupt is replaced from now on too, with the groups as they are in memory.
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

    /// Writes `entries`, which led to what is in `store` now by changes of the groups in `slots`. What was
    /// written is safe, as [`Sync`] says, when this returns. If it fails, the caller has to take the changes
    /// back.
    pub fn write(
        &mut self,
        store: &Store,
        entries: Vec<Entry>,
        slots: &[u32],
    ) -> Result<(), StateError> {
        self.stay(store)?;
        if !self.state.is_in_place() {
            self.begin_anew(store)?;
            // They are there, even if the caller takes them back.
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
            // The groups are here, and what others have in it is carried over.
            (Err(StateError::Corrupt { source, .. }), _) => {
                self.replace(store, &source)?;
                self.append(store, &entries, None)?;
            }
            // What cannot be folded must not hold up others.
            (Err(StateError::Database { source, .. }), Some(_)) if !is_busy(&source) => {
                self.append(store, &entries, None)?;
            }
            (Err(error), _) => return Err(error),
        }
        self.log_bytes += entries.len() as u64;
        self.outdated.extend(slots);
        Ok(())
    }

    /// Whether changes can be written, after one could not. It does not wait for other processes.
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

    /// Folds a part of the log into the groups' rows. Returns whether there is more to do.
    /// It does not wait for other processes that write to the database.
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
            // The log says the same until this is on the disk.
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
            // The next push is to be on the disk, even if this one failed.
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

    /// Whether no other process has moved the database aside, or the directory. If one has,
    /// [`fold`](Self::fold) writes all groups to what took its place.
    pub fn is_in_place(&self) -> bool {
        self.state.is_in_place() && self.lock.is_in_place()
    }

    /// Makes sure that nobody else can serve the groups. Where the directory has gone, and the lock with it,
    /// other processes do not find us any more; so the groups are brought into what is there now, without
    /// overwriting what others have pushed to it, and it is over.
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

    /// The size of the database, in bytes.
    pub fn database_bytes(&self) -> u64 {
        self.state.file_bytes()
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
        let state = State::open(self.lock.dir())?;
        self.go_on_with(state, store)
    }

    /// Replaces the open database, which is corrupt by `error`, by a new one.
    fn replace(&mut self, store: &Store, error: &rusqlite::Error) -> Result<(), StateError> {
        let state = damage::replace(&self.state, error)?;
        self.go_on_with(state, store)
    }

    /// The damage of the database that had to be replaced, if that has not been taken yet.
    pub fn take_damage(&mut self) -> Option<Damage> {
        self.state.damage.take()
    }

    /// Writes all groups to `state`, and from now on what changes.
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

/// Brings the groups of `store` into the database in `dir`, and says how that went.
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

/// How many bytes of the log are too many.
fn log_limit(store: &Store) -> u64 {
    (2 * store.bytes() as u64).clamp(MIN_LOG_BYTES, MAX_LOG_BYTES)
}

fn set_up(state: &mut State, sync: Sync) -> Result<(), StateError> {
    state.is_replaceable = false;
    set_patience(state, PATIENCE)?;
    set_sync(state, sync)
}

/// How long to wait for other processes that write to the database.
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

/// What one transaction folds.
struct Step {
    slots: Vec<u32>,
    log_end: i64,
    /// Whether nothing of the log is left, once it is written.
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
