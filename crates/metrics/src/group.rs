//! A group of a gateway.

use super::family::Family;
use super::grouping_key::GroupingKey;
use super::labels::Labels;

/// The families pushed under one grouping key.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The grouping key.
    pub key: GroupingKey,
    /// Time of the last successful push in seconds since the epoch; 0 for none.
    pub push_time: f64,
    /// Time of the last refused push in seconds since the epoch; 0 for none.
    pub push_failure_time: f64,
    /// Sorted by name, without the series of the two times.
    pub families: Vec<Family>,
}

impl Group {
    /// Returns the labels that a gateway exposes for a series of the group: its own, overridden by the grouping
    /// key's, and an empty `instance` if neither has one, so that Prometheus does not set its own.
    pub fn series_labels(&self, own: &Labels) -> Labels {
        // The last value of a name wins.
        let labels = [("instance", "")].into_iter().chain(own);
        let labels = labels.chain(self.key.labels());
        labels.chain([("job", self.key.job())]).collect()
    }

    /// Returns true if the last push to the group was refused.
    pub fn last_push_failed(&self) -> bool {
        self.push_failure_time > self.push_time
    }
}

/// Names of the series in which a gateway exposes [`Group::push_time`] and [`Group::push_failure_time`].
pub const TIME_SERIES: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];
