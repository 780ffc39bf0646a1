//! Snapshots of all groups.

use std::sync::Arc;

use super::StoredGroup;
use metricsjob_metrics::selector::Selector;

/// All groups at one moment. It keeps groups in memory that have been deleted since.
#[derive(Clone, Default)]
pub struct Snapshot {
    groups: Vec<Arc<StoredGroup>>,
    /// Which of the [series that the gateway adds](super::exposition::GROUP_SERIES) are shown of each group, unless
    /// all are.
    own: Option<Box<[[bool; 3]]>>,
}

impl Snapshot {
    pub(super) fn new(groups: Vec<Arc<StoredGroup>>) -> Self {
        Snapshot { groups, own: None }
    }

    /// Creates a snapshot of groups, each with which of the series that the gateway adds are shown.
    pub(super) fn shown_in_part(
        groups: impl IntoIterator<Item = (Arc<StoredGroup>, [bool; 3])>,
    ) -> Self {
        let (groups, own): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        Snapshot {
            groups,
            own: Some(own.into()),
        }
    }

    pub fn groups(&self) -> &[Arc<StoredGroup>] {
        &self.groups
    }

    /// Returns the groups, and which of the series that the gateway adds are shown of them.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Arc<StoredGroup>, [bool; 3])> {
        let own = self.own.as_deref();
        let groups = self.groups.iter().enumerate();
        groups.map(move |(at, group)| (group, own.map_or([true; 3], |own| own[at])))
    }

    /// Returns the series, those that the gateway adds included, that one of `selectors` selects, as a scrape of them shows it. The
    /// samples of a summary or histogram stay together: they are selected if one of them is, or their labels under the
    /// name of the family.
    pub fn selected(&self, selectors: &[Selector]) -> Snapshot {
        let selected = self.shown();
        let selected = selected.filter_map(|(group, is_shown)| {
            let (group, mut own) = group.selected(selectors)?;
            own.iter_mut()
                .zip(is_shown)
                .for_each(|(own, is_shown)| *own &= is_shown);
            Some((group, own))
        });
        Snapshot::shown_in_part(selected)
    }

    /// Returns the groups, sorted by key.
    pub fn sorted(mut self) -> Vec<Arc<StoredGroup>> {
        self.groups.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.groups
    }
}
