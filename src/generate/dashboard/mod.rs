//! Dashboards for Grafana over the metrics that Prometheus scrapes of jobs, gateways and services.
//!
//! Each is one JSON document in Grafana's dashboard schema, as its import and its provisioning take it. `board`,
//! `panel`, `table` and `variable` make the JSON, `promql` has forms of queries; each of the other files is one
//! dashboard: its variables, its rows, and the queries of its panels.
//!
//! In a query `{@}` stands for the labels that the dashboard's variables select, such as `job=~"$job"`. Other labels
//! follow or precede it: `{@,outcome="success"}`.
//!
//! A dashboard shows one of several gateways that have the same groups, which the variable `replica` chooses.

mod board;
mod fleet;
mod gateway;
mod http;
mod job;
mod panel;
mod promql;
mod table;
mod variable;

pub use fleet::fleet;
pub use gateway::gateway;
pub use http::http;
pub use job::job;
