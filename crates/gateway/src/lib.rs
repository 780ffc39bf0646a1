//! `metricsjob gateway`: the embedded gateway over HTTP, as the Pushgateway's clients and Prometheus know it.
//!
//! A request becomes a grouping key and a checked report, on whichever thread it came; the keeper's thread
//! does the changes in their order, many in one transaction, and then they are answered. A scrape gets the
//! groups of one moment and renders them by itself. It may use [`metricsjob_web`], [`metricsjob_state`],
//! [`metricsjob_state::store`], [`metricsjob_web::observe`] and [`metricsjob_metrics`]; it knows no jobs.
//!
//! - [`router`]: which request goes where; [`App`]: what all of them share.
//! - [`Keeper`]: the thread that owns the groups. `expiry` says which are too old.
//! - [`group_path`], [`body`]: what a request says: its group, and what is pushed to it.
//! - `changes`: pushes and deletions; [`Cors`]: which other pages may read the API.
//! - `renderings`: renderings of all groups, which equal requests share.
//! - `scrape`, `api`, `admin`, `list`: what can be read and done besides.
//! - `slack`: memory that is given back after large pushes and deletions.
//! - [`service`]: a gateway from the claim on its state directory to its end.
//! - `stats`, `own_metrics`: what the gateway says of itself.
//! - [`page`]: the page for people.

mod admin;
mod api;
mod app;
pub mod body;
mod changes;
mod cors;
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
mod stats;

pub use app::{App, MAX_SERIES, Options};
pub use body::PushLimits;
pub use cors::Cors;
pub use expiry::Expiry;
pub use keeper::{Keeper, KeeperThread};
pub use router::{local_router, router};
pub use stats::Stats;
