//! Runs batch jobs and reports how they went to a Prometheus Pushgateway.
//!
//! Data flows one way: a [`job`] is [`run`], its outcome becomes a report of [`metrics`], and a
//! [`push`] brings that to a gateway: over HTTP, or to the embedded one in the [`state`] database.
//! [`gateway`] serves the latter over HTTP. [`serve`] runs jobs by their schedules, and shows what happened.
//! What servers share is in [`web`], [`observe`] and [`page`]. [`cli`] is the command line on top.
//!
//! ```
//! use metricsjob::metrics::{Family, GroupingKey, text};
//!
//! let key = GroupingKey::new("db_backup", [("db".into(), "customers".into())])?;
//! let report = [Family::gauge("db_backup_records_processed", "Records.", 42.0)];
//! assert_eq!(metricsjob::push::path::group_path(&key), "/metrics/job/db_backup/db/customers");
//! assert!(text::encode(&report).ends_with("db_backup_records_processed 42\n"));
//! # Ok::<(), metricsjob::metrics::GroupingKeyError>(())
//! ```

pub mod backoff;
pub mod cli;
pub mod client;
pub mod files;
pub mod gateway;
pub mod job;
pub mod metrics;
pub mod observe;
pub mod page;
pub mod panics;
pub mod push;
pub mod run;
pub mod serve;
pub mod state;
pub mod store;
pub mod trust;
pub mod web;
