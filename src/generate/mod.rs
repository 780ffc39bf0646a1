//! Files for the programs that watch jobs: rules of Prometheus with their tests, the routes of Alertmanager, dashboards
//! for Grafana.
//!
//! - [`watched`]: the jobs that are expected to report.
//! - [`rules`]: the rules, as values and as files.
//! - [`alertmanager`]: the configuration of Alertmanager.
//! - [`dashboard`]: dashboards for Grafana.
//! - [`text`]: texts in the languages of these files.
//!
//! It may use [`crate::job`] and [`crate::config`], and nothing of what runs jobs.

pub mod alertmanager;
pub mod dashboard;
pub mod rules;
pub mod text;
pub mod watched;
