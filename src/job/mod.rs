//! Jobs: what to run and how to report it.
//!
//! It may use [`crate::metrics`] and nothing else of ours: a job knows neither how it is run nor
//! where its report goes.
//!
//! - [`Job`], [`Work`]: the definition.
//! - [`mod@file`]: definitions from TOML, with errors that name line and column.
//! - [`catalog`]: where definitions are found.
//! - [`params`]: what a built-in can be told.
//! - [`builtin`]: the jobs that ship in the binary.

pub mod builtin;
pub mod catalog;
mod definition;
pub mod file;
pub mod params;
mod suggest;

pub use definition::{DefinedIn, Job, Work};
