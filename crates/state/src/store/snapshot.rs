//! Snapshots of all groups.

use std::sync::Arc;

use super::StoredGroup;
use metricsjob_metrics::selector::Selector;

/// All groups at one moment. It keeps groups in memory that have been deleted since.
#[derive(Clone, Default)]
pub struct Snapshot {
    groups: Vec<Arc<StoredGroup>>,
    /// Which push times of each group are shown, unless both are.
    times: Option<Box<[[bool; 2]]>>,
}

impl Snapshot {
    pub(super) fn new(groups: Vec<Arc<StoredGroup>>) -> Self {
        Snapshot {
            groups,
            times: None,
        }
    }

    pub fn groups(&self) -> &[Arc<StoredGroup>] {
        &self.groups
    }

    /// Returns the groups, and which of their push times are shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Arc<StoredGroup>, [bool; 2])> {
        let times = self.times.as_deref();
        let groups = self.groups.iter().enumerate();
        groups.map(move |(at, group)| (group, times.map_or([true; 2], |times| times[at])))
    }

    /// Returns the series, push times included, that one of `selectors` selects, as a scrape of them shows it. The
    /// samples of a summary or histogram stay together: they are selected if one of them is, or their labels under the
    /// name of the family.
    pub fn selected(&self, selectors: &[Selector]) -> Snapshot {
        let selected = self.groups.iter();
        let selected = selected.filter_map(|group| group.selected(selectors));
        let (groups, times): (Vec<_>, Vec<_>) = selected.unzip();
        Snapshot {
            groups,
            times: Some(times.into()),
        }
    }

    /// Returns the groups, sorted by key.
    pub fn sorted(mut self) -> Vec<Arc<StoredGroup>> {
        self.groups.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.groups
    }
}
