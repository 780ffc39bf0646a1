//! What `metricsjob serve` answers.
//!
//! - [`ServeApp`]: what all requests share; [`router`](router()): which of them goes where.
//! - `api`: jobs and runs, with `json` for their shapes and `changes` for what a request may change of a run;
//!   `openapi.json` describes it. `answer`: how it answers.
//! - `scrape`: all metrics; `health`: whether the server does its work; `list`: the page.
//! - [`Permission`]: who may change something.

mod answer;
mod api;
mod app;
mod changes;
mod health;
mod json;
mod list;
mod permission;
mod router;
mod scrape;

pub use answer::error;
pub use app::{Parts, ServeApp};
pub use permission::Permission;
pub use router::router;
