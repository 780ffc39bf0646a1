//! Jobs: definitions of the work to run, and of how to report it.
//!
//! It may use [`metricsjob_client`], [`metricsjob_system::files`], [`metricsjob_metrics`] and nothing else of ours: a
//! job knows neither how it is run nor how its report gets to a gateway.
//!
//! - [`Job`], [`Work`]: the definition; [`JobDefaults`]: settings that it does not give.
//! - [`GatewayName`], [`ReportDestination`]: gateways and other destinations of reports as settings name them.
//! - [`command`], [`Policy`], [`metric_rule`], [`output_pattern`], [`json_pointer`], [`JunitPattern`]: the parts of it that have rules of their own.
//! - [`Expectations`]: what monitoring expects of it; [`NotifyTarget`]: who is notified of its events.
//! - [`schedule`]: when a job runs by itself.
//! - [`mod@file`]: definitions from TOML, with errors that name line and column.
//! - [`catalog`]: where definitions are found.
//! - [`params`]: parameters of a built-in.
//! - [`builtin`]: the jobs that ship in the binary.

pub mod builtin;
pub mod catalog;
pub mod command;
mod defaults;
mod definition;
pub mod duration;
pub mod expectations;
pub mod file;
mod gateway_name;
pub mod json_pointer;
mod junit_pattern;
pub mod metric_rule;
mod notify_target;
pub mod output_pattern;
pub mod params;
mod policy;
mod report_target;
pub mod schedule;
pub mod size;
pub mod suggest;

pub use command::Command;
pub use defaults::JobDefaults;
pub use definition::{DefinedIn, Job, Work};
pub use expectations::Expectations;
pub use gateway_name::{EMBEDDED, GatewayName, GatewayNamesError, elements};
pub use junit_pattern::JunitPattern;
pub use notify_target::{NotifyForm, NotifyTarget};
pub use policy::{LockPolicy, Notify, Policy, parse_backoff};
pub use report_target::ReportDestination;
pub use schedule::{Overlap, Plan};

pub use metricsjob_client::Backoff;
