//! Aggregation: series of several groups that a scrape shows as their sum.
//!
//! Groups are stored as they were pushed. [`Snapshot::aggregated`](super::Snapshot::aggregated) sums them for a scrape, by
//! the [rules](metricsjob_metrics::aggregation) of the gateway. A sum of counters never falls: a value that a group loses, because the
//! counter was reset or the group was removed, is added to a [remainder](metricsjob_metrics::REMAINDER), a group that is
//! summed as any other.
//!
//! - `value`: sums of values, and detection of resets.
//! - `sums`: sums of families.
//! - `scrape`: what a scrape shows.
//! - `remainder`: what groups have lost.

mod remainder;
mod scrape;
mod sums;
#[cfg(test)]
mod tests;
mod value;

pub use remainder::KeptRemainder;
