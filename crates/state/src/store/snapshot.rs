//! Snapshots of all groups.

use std::sync::Arc;

use super::StoredGroup;

/// All groups at one moment. It keeps groups in memory that have been deleted since.
#[derive(Clone, Default)]
pub struct Snapshot {
    groups: Vec<Arc<StoredGroup>>,
}

impl Snapshot {
    pub(super) fn new(groups: Vec<Arc<StoredGroup>>) -> Self {
        Snapshot { groups }
    }

    pub fn groups(&self) -> &[Arc<StoredGroup>] {
        &self.groups
    }

    /// Returns the groups, sorted by key.
    pub fn sorted(mut self) -> Vec<Arc<StoredGroup>> {
        self.groups.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.groups
    }
}
