//! Files for other programs that follow from the metrics of jobs and of our servers.
//!
//! - [`dashboard`]: dashboards for Grafana.

pub mod dashboard;
