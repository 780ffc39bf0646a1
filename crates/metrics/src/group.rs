//! A group of a gateway.

use std::time::Duration;

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
    /// Time after the last push, successful or refused, at which the gateway removes the group.
    pub ttl: Option<Duration>,
    /// Sorted by name, without the gateway's own series of the group.
    pub families: Vec<Family>,
}

impl Group {
    /// Returns the labels that a gateway exposes for a series of the group, see [`GroupingKey::series_labels`].
    pub fn series_labels(&self, own: &Labels) -> Labels {
        self.key.series_labels(own)
    }

    /// Returns true if the last push to the group was refused.
    pub fn last_push_failed(&self) -> bool {
        self.push_failure_time > self.push_time
    }
}

/// Names of the series in which a gateway exposes [`Group::push_time`] and [`Group::push_failure_time`].
pub const TIME_SERIES: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// Name of the series in which our gateway exposes [`Group::ttl`].
pub const TTL_SERIES: &str = "metricsjob_gateway_group_ttl_seconds";

/// Header of a push that sets [`Group::ttl`], such as `Pushgateway-TTL: 36h`; 0 removes it.
pub const TTL_HEADER: &str = "pushgateway-ttl";

/// Returns the name if it is one of the series that a gateway adds to each group.
pub fn gateways_own(name: &str) -> Option<&'static str> {
    let mut own = TIME_SERIES.into_iter().chain([TTL_SERIES]);
    own.find(|own| *own == name)
}
