//! State database that is opened on first use.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::{Damage, Pruned, State, StateError};

/// State database of a directory, opened on first use and then kept open.
pub struct LazyState {
    dir: PathBuf,
    state: Option<State>,
    opening: Option<JoinHandle<Result<Option<State>, StateError>>>,
    damage: Option<Damage>,
}

impl LazyState {
    /// Creates it for the database in `dir`, which is not opened yet.
    pub fn new(dir: &Path) -> Self {
        LazyState {
            dir: dir.to_owned(),
            state: None,
            opening: None,
            damage: None,
        }
    }

    /// Creates it for the database in `dir`. If that exists, a thread starts to open it, which takes half a
    /// millisecond, or as long as others have it locked.
    pub fn opening(dir: &Path) -> Self {
        let mut lazy = LazyState::new(dir);
        let dir = lazy.dir.clone();
        let open = move || {
            let mut state = State::open_if_there(&dir)?;
            if let Some(state) = &mut state {
                // An error recurs on first use, and is reported then.
                let _ = state.prepare_record();
            }
            Ok(state)
        };
        lazy.opening = thread::Builder::new().spawn(open).ok();
        lazy
    }

    /// Returns the database, which is opened as by [`State::open`] if necessary.
    pub fn get(&mut self) -> Result<&mut State, StateError> {
        if let Some(opening) = self.opening.take() {
            self.state = match opening.join() {
                Ok(Ok(state)) => state,
                // Only the first process to fail knows the new path of the corrupt one.
                Ok(Err(error @ StateError::NotReplaced { .. })) => return Err(error),
                // Other errors may not recur.
                _ => None,
            };
            self.damage = self.state.as_mut().and_then(|state| state.damage.take());
        }
        // A job may have run meanwhile, and removed or moved the files.
        if let Some(mut gone) = self.state.take_if(|state| !state.is_in_place()) {
            self.damage = self.damage.take().or(gone.damage.take());
        }
        match &mut self.state {
            Some(state) => Ok(state),
            empty => Ok(empty.insert(State::open(&self.dir)?)),
        }
    }

    /// Checkpoints a long log, and prunes the state if it exceeds `limit` bytes. Closing does the former too, and a
    /// process that ends need not wait for it.
    pub fn shorten_log(&mut self, limit: u64) -> Option<Pruned> {
        let state = self.state.as_mut()?;
        state.shorten_log(Some(limit))
    }

    /// Takes over the damage that `other` found, and leaves the log to this one, which then sees whether it is long.
    pub fn adopt(&mut self, mut other: LazyState) {
        if let Some(damage) = other.take_damage() {
            self.damage.get_or_insert(damage);
        }
        other.leave_log();
    }

    /// Closes it without a checkpoint, for another one that knows the limit of the state.
    pub fn leave_log(mut self) {
        if let Some(state) = &mut self.state {
            state.shortens_log = false;
        }
    }

    /// Takes the damage repaired so far.
    pub fn take_damage(&mut self) -> Option<Damage> {
        let later = self.state.as_mut().and_then(|state| state.damage.take());
        self.damage.take().or(later)
    }
}
