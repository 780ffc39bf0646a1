//! The state database, opened when it is first needed.

use std::path::{Path, PathBuf};

use super::{State, StateError};

/// The state database of a directory, opened when it is first needed and then kept open.
pub struct LazyState {
    dir: PathBuf,
    state: Option<State>,
}

impl LazyState {
    /// That in `dir`, not opened yet.
    pub fn new(dir: &Path) -> Self {
        LazyState {
            dir: dir.to_owned(),
            state: None,
        }
    }

    /// Opens it, see [`State::open`], if it is not open yet.
    pub fn get(&mut self) -> Result<&mut State, StateError> {
        match &mut self.state {
            Some(state) => Ok(state),
            empty => Ok(empty.insert(State::open(&self.dir)?)),
        }
    }
}
