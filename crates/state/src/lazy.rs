//! The state database, opened when it is first needed.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::{Damage, Pruned, State, StateError};

/// The state database of a directory, opened when it is first needed and then kept open.
pub struct LazyState {
    dir: PathBuf,
    state: Option<State>,
    opening: Option<JoinHandle<Result<Option<State>, StateError>>>,
    damage: Option<Damage>,
}

impl LazyState {
    /// That in `dir`, not opened yet.
    pub fn new(dir: &Path) -> Self {
        LazyState {
            dir: dir.to_owned(),
            state: None,
            opening: None,
            damage: None,
        }
    }

    /// That in `dir`. If it exists, this begins to open it beside other work: that takes half a
    /// millisecond, or as long as others have it locked.
    pub fn opening(dir: &Path) -> Self {
        let mut lazy = LazyState::new(dir);
        let dir = lazy.dir.clone();
        let open = move || {
            let mut state = State::open_if_there(&dir)?;
            if let Some(state) = &mut state {
                // Where it fails, it fails again when it is needed, and is told then.
                let _ = state.prepare_record();
            }
            Ok(state)
        };
        lazy.opening = thread::Builder::new().spawn(open).ok();
        lazy
    }

    /// Opens it, see [`State::open`], if it is not open yet.
    pub fn get(&mut self) -> Result<&mut State, StateError> {
        if let Some(opening) = self.opening.take() {
            self.state = match opening.join() {
                Ok(Ok(state)) => state,
                // Only the first one to fail knows where the corrupt one is now.
                Ok(Err(error @ StateError::NotReplaced { .. })) => return Err(error),
                // What has failed may work by now.
                _ => None,
            };
            self.damage = self.state.as_mut().and_then(|state| state.damage.take());
        }
        // Meanwhile a job may have run, and the files been removed or moved aside.
        if let Some(mut gone) = self.state.take_if(|state| !state.is_in_place()) {
            self.damage = self.damage.take().or(gone.damage.take());
        }
        match &mut self.state {
            Some(state) => Ok(state),
            empty => Ok(empty.insert(State::open(&self.dir)?)),
        }
    }

    /// Brings the log into the database, if it is long, and drops what is more than `limit` bytes of both. The former
    /// is done on closing too, for which a process that ends need not wait.
    pub fn shorten_log(&mut self, limit: u64) -> Option<Pruned> {
        let state = self.state.as_mut()?;
        state.shorten_log(Some(limit))
    }

    /// Takes over what another one had to replace, and the log, so that this one also sees whether it is long.
    pub fn adopt(&mut self, mut other: LazyState) {
        if let Some(damage) = other.take_damage() {
            self.damage.get_or_insert(damage);
        }
        other.leave_log();
    }

    /// Leaves the log as it is on closing, for another one that knows how large the state may be.
    pub fn leave_log(mut self) {
        if let Some(state) = &mut self.state {
            state.shortens_log = false;
        }
    }

    /// What had to be replaced so far, once.
    pub fn take_damage(&mut self) -> Option<Damage> {
        let later = self.state.as_mut().and_then(|state| state.damage.take());
        self.damage.take().or(later)
    }
}
