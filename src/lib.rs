//! Runs batch jobs and reports how they went to a Prometheus Pushgateway.
//!
//! Data flows one way: a [`job`] is [`run`], its outcome becomes a report of [`metricsjob_metrics`], and a
//! [`push`] brings that to a gateway: over HTTP, or to the embedded one in the database of [`metricsjob_state`].
//! [`metricsjob_gateway`] serves the latter over HTTP. [`serve`] runs jobs by their schedules, and shows their
//! results. The common part of both servers is in [`metricsjob_web`]. [`generate`] makes what watches the jobs.

pub mod config;
pub mod generate;
pub mod job;
pub mod push;
pub mod run;
pub mod serve;
