//! `metricsjob serve`: runs jobs by their schedules, and shows over HTTP what happened.
//!
//! Each run is done by the steps of [`crate::run`], in a thread of its own. It may use [`crate::run`],
//! [`crate::push`], [`crate::web`], [`crate::job`], [`crate::state`] and [`crate::metrics`].
//!
//! - [`Scheduler`]: starts runs; `board`: all that is known, what is due, waits and runs; `loading`: job files into it;
//!   [`planning`] says when, `entry` is what is known of one job, `restore` what the history knows of it.
//! - [`Runner`]: one run, and its record; `damage`: what is lost with a corrupt database.
//! - [`Delivery`]: brings the reports to the gateways; `bell` wakes it.
//! - [`exporter`]: all metrics at one moment: `series` are those that jobs reported, `uniform` those that are called
//!   the same for all, `durations` and `lag` histograms among them.
//! - [`Publication`]: the same, pushed.
//! - `window`: the log of the last seconds.
//! - [`Periodic`]: what is done again and again.
//! - [`App`]: what requests share; [`router`](router()) says where they go: `scrape`, `api` with its `changes` and `json`,
//!   `health`, `list`.
//! - [`page`]: the page for people.
//! - [`Permission`]: who may change something over HTTP.

mod api;
mod app;
mod bell;
mod board;
mod changes;
mod damage;
mod delivery;
mod durations;
mod entry;
pub mod exporter;
mod health;
mod json;
mod lag;
mod list;
mod loading;
pub mod page;
mod periodic;
mod permission;
pub mod planning;
mod publication;
mod request;
mod restore;
mod router;
mod runner;
mod scheduler;
mod scrape;
mod series;
mod uniform;
mod window;

pub use app::{App, Parts};
pub use delivery::Delivery;
pub use periodic::Periodic;
pub use permission::Permission;
pub use publication::Publication;
pub use router::router;
pub use runner::Runner;
pub use scheduler::Scheduler;
