//! A group, as a gateway holds it.

use super::family::Family;
use super::grouping_key::GroupingKey;
use super::labels::Labels;

/// The families that were pushed under one grouping key.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The grouping key.
    pub key: GroupingKey,
    /// When the last push succeeded, in seconds since the epoch; 0 for never.
    pub push_time: f64,
    /// When the last push was refused, in seconds since the epoch; 0 for never.
    pub push_failure_time: f64,
    /// Sorted by name, without the two times above.
    pub families: Vec<Family>,
}

impl Group {
    /// The labels that a series of the group has on a gateway: its own, overwritten by the key's, and an
    /// empty `instance` if there is none.
    pub fn series_labels(&self, own: &Labels) -> Labels {
        // Later ones win.
        let labels = [("instance", "")].into_iter().chain(own);
        let labels = labels.chain(self.key.labels());
        labels.chain([("job", self.key.job())]).collect()
    }

    /// Returns true if the last push to it was refused.
    pub fn last_push_failed(&self) -> bool {
        self.push_failure_time > self.push_time
    }
}

/// The names of the time series in which a gateway exposes [`Group::push_time`] and
/// [`Group::push_failure_time`].
pub const TIME_SERIES: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];
