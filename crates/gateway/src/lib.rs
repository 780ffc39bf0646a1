//! `metricsjob gateway`: the embedded gateway over HTTP, as the Pushgateway's clients and Prometheus know it.
//!
//! A request becomes a grouping key and a checked report in the thread that received it; the keeper's thread
//! makes the changes in their order, many in one transaction, and then the responses are sent. A scrape takes
//! a snapshot of the groups and renders it by itself. It may use [`metricsjob_web`], [`metricsjob_state`],
//! [`metricsjob_state::store`], [`metricsjob_web::observe`] and [`metricsjob_metrics`]; it knows no jobs.
//!
//! - [`router`]: routing of requests; [`App`]: the state that they share.
//! - [`Keeper`]: the thread that owns the groups; `expiry`: finds those that are too old.
//! - [`group_path`], [`body`]: contents of a request: the group, and the data pushed to it.
//! - `changes`: pushes and deletions; [`Cors`]: the other pages that may read the API.
//! - `renderings`: renderings of all groups, which equal requests share.
//! - `deletion`: deletions of groups by selectors.
//! - `scrape`, `api`, `admin`, `list`: the other requests.
//! - `slack`: return of memory to the system after large pushes and deletions.
//! - [`service`]: life cycle of a gateway, from the claim on its state directory to its end.
//! - `own_metrics`: metrics of the gateway itself.
//! - [`page`]: the page for people.

mod admin;
mod api;
mod app;
pub mod body;
mod changes;
mod cors;
mod deletion;
mod expiry;
pub mod group_path;
mod keeper;
mod list;
mod own_metrics;
pub mod page;
mod renderings;
mod router;
mod scrape;
pub mod service;
mod slack;

pub use app::{App, MAX_SERIES, Options};
pub use body::PushLimits;
pub use cors::Cors;
pub use expiry::Expiry;
pub use keeper::{Keeper, KeeperThread};
pub use own_metrics::OwnMetrics;
pub use router::{local_router, router};
