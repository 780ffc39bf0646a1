//! HTTP interface of `metricsjob serve`.
//!
//! - [`ServeApp`]: the state that all requests share; [`router`](router()): the routes.
//! - `api`: jobs and runs, with `json` for their shapes and `changes` for the changes of a run by a request;
//!   `openapi.json` describes it. `answer`: its responses.
//! - `scrape`: all metrics; `health`: the health of the server; `list`: the page.
//! - [`Permission`]: the clients that may change something.

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
