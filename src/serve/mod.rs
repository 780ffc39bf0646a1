//! `metricsjob serve`: runs jobs by their schedules, and shows their results over HTTP.
//!
//! Each run is done by the steps of [`crate::run`], in a thread of its own. It may use [`crate::run`],
//! [`crate::push`], [`metricsjob_web`], [`metricsjob_web::observe`], [`metricsjob_web::page`], [`crate::job`],
//! [`metricsjob_state`] and [`metricsjob_metrics`].
//!
//! - [`Scheduler`]: starts runs. `scheduler_state`: the jobs that are due, and the runs that wait or are running;
//!   `job_state`: one job; `request`: a requested run.
//! - `loading`: job files into the state; `restore`: the state of a job from the history; [`planning`]: when a
//!   job is due next.
//! - [`Runner`]: one run, and its record; `damage`: losses of a corrupt database, logged. `delivery` brings the
//!   reports to the gateways.
//! - `series`: reports of jobs as metrics; `live`: those of runs in progress; [`exporter`]: all metrics at one moment; [`Publication`]: pushes
//!   them; `window`: the log of the last seconds.
//! - [`http`]: API, health, metrics and page over HTTP; [`page`]: the page as a function of data.
//! - [`late`]: notification of jobs that are late.
//! - [`Periodic`]: work that is done periodically; `bell`: wakes a thread.

mod bell;
mod damage;
mod delivery;
pub mod exporter;
pub mod http;
mod job_state;
pub mod late;
mod live;
mod loading;
pub mod page;
mod periodic;
pub mod planning;
mod publication;
mod request;
mod restore;
mod runner;
mod scheduler;
mod scheduler_state;
mod series;
pub mod window;

pub use periodic::Periodic;
pub use publication::Publication;
pub use runner::Runner;
pub use scheduler::Scheduler;
