//! The data model: metric families, labels, grouping keys, and what a push does to a group.
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
//! It follows `io.prometheus.client` and the Pushgateway's rules. Nothing here knows jobs, HTTP or
//! the state database; everything else may import this module, and it imports nothing of ours.
//!
//! - [`Family`], [`Metric`], [`Value`]: one metric name with its series; [`Count`]: whole or not, in a histogram.
//! - [`text`]: the Prometheus text format 0.0.4, in and out.
//! - [`protobuf`]: the protobuf format, in and out.
//! - [`GroupingKey`], [`Method`], [`Group`]: which group a push goes to, what it does there, and
//!   what is there then.
//! - [`Push`]: a checked report on its way to a group, and two of them as one.
//! - [`check`]: what makes a push inconsistent by itself.
//! - [`escaping`]: names that are any UTF-8, for readers that know only those of text 0.0.4.
//! - [`json`]: families for programs.
//! - [`path`]: a grouping key as the path of a URL.
//! - [`registry`]: the bridge from a [`prometheus::Registry`].

#![warn(missing_docs)]

pub mod check;
mod count;
pub mod escaping;
pub mod excerpt;
mod family;
mod group;
mod grouping_key;
mod index;
pub mod json;
mod labels;
mod method;
mod name;
mod native;
mod native_buckets;
mod native_check;
pub mod path;
pub mod protobuf;
mod push;
#[cfg(feature = "prometheus")]
pub mod registry;
pub mod text;
mod time;

pub use count::Count;
pub use family::{Bucket, Family, Kind, Metric, Quantile, Value, series_name};
pub use group::{Group, TIME_SERIES};
pub use grouping_key::{GroupingKey, GroupingKeyError, check_grouping_label};
pub use labels::Labels;
pub use method::{Method, UnknownMethod};
pub use name::{Names, is_label_name, is_metric_name};
pub use native::{BucketExemplar, BucketSpan, Exemplar, NativeBuckets, NativeHistogram, Timestamp};
pub use native_buckets::NativeBucket;
pub use native_check::NativeError;
pub use push::Push;
pub use time::{LAST_SECOND, system_time, unix_seconds};
