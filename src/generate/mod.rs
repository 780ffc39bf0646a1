//! Files for other programs. For those that watch jobs: rules of Prometheus with their tests, the routes of Alertmanager,
//! dashboards for Grafana. For those that run them: manifests of Kubernetes, units of systemd, crontabs.
//!
//! - [`watched`]: the jobs that are expected to report.
//! - [`rules`]: the rules, as values and as files.
//! - [`alertmanager`]: the configuration of Alertmanager.
//! - [`dashboard`]: dashboards for Grafana.
//! - [`kubernetes`]: CronJobs, and the gateway in a cluster.
//! - [`systemd`]: services and their timers.
//! - [`crontab`]: lines for cron.
//! - [`schedule`]: schedules as these have them; [`invocation`]: command lines.
//! - [`text`]: texts in the languages of these files; [`yaml`]: JSON values as YAML.
//!
//! It may use [`crate::job`] and [`crate::config`], and nothing of what runs jobs.

pub mod alertmanager;
pub mod crontab;
pub mod dashboard;
pub mod invocation;
pub mod kubernetes;
pub mod rules;
pub mod schedule;
pub mod systemd;
pub mod text;
pub mod watched;
pub mod yaml;
