//! Data model of pushed metrics: families, labels, grouping keys, and their formats.
//!
//! ```
//! use metricsjob_metrics::{Family, GroupingKey, path, text};
//!
//! let key = GroupingKey::new("db_backup", [("db".into(), "customers".into())])?;
//! assert_eq!(path::group_path(&key), "/metrics/job/db_backup/db/customers");
//! let report = [Family::gauge("db_backup_records_processed", "Records.", 42.0)];
//! assert!(text::encode(&report).ends_with("db_backup_records_processed 42\n"));
//! # Ok::<(), metricsjob_metrics::GroupingKeyError>(())
//! ```
//!
//! It follows `io.prometheus.client` and the Pushgateway's rules, and does no input or output: sending a
//! push is left to the crate `metricsjob-client`.
//!
//! - [`Family`], [`Metric`], [`Value`]: a metric name with its series; [`Count`]: a histogram's integer or
//!   float counts.
//! - [`text`]: reader and writer of the text format 0.0.4, and of OpenMetrics 1.0.
//! - [`protobuf`]: reader and writer of the protobuf format.
//! - [`GroupingKey`], [`Method`], [`Group`]: the group of a push, how the push changes it, and its content
//!   on a gateway; [`LastRun`]: the last run that it tells of.
//! - [`Push`]: a checked report for a group.
//! - [`check`]: consistency checks of a push by itself.
//! - [`escaping`]: UTF-8 names for readers that only know those of text 0.0.4.
//! - [`json`]: families as JSON.
//! - [`path`]: a grouping key as a URL path.
//! - [`registry`]: the bridge from a [`prometheus::Registry`].
//! - `selector` (feature `selector`): selectors of series and groups, as in PromQL; `aggregation`: rules by which a
//!   gateway shows sums.

#![warn(missing_docs)]

#[cfg(feature = "selector")]
pub mod aggregation;
pub mod check;
mod common;
mod count;
pub mod escaping;
pub mod excerpt;
mod family;
mod group;
mod grouping_key;
mod index;
pub mod json;
mod labels;
mod last_run;
mod method;
mod name;
mod native;
mod native_buckets;
mod native_check;
mod native_sum;
pub mod path;
pub mod protobuf;
mod push;
#[cfg(feature = "prometheus")]
pub mod registry;
#[cfg(feature = "selector")]
pub mod selector;
pub mod text;
mod time;

pub use common::{DEFAULT_PREFIX, under_default_prefix};
pub use count::Count;
pub use family::{Bucket, Family, Kind, Metric, Quantile, Value, series_name};
pub use group::{Group, TIME_SERIES, TTL_HEADER, TTL_SERIES, gateways_own};
pub use grouping_key::{GroupingKey, GroupingKeyError, REMAINDER, TASK, check_grouping_label};
pub use labels::Labels;
pub use last_run::LastRun;
pub use method::{Method, UnknownMethod};
pub use name::{Names, is_label_name, is_metric_name};
pub use native::{BucketExemplar, BucketSpan, Exemplar, NativeBuckets, NativeHistogram, Timestamp};
pub use native_buckets::NativeBucket;
pub use native_check::NativeError;
pub use push::Push;
pub use time::{LAST_SECOND, system_time, unix_seconds};
