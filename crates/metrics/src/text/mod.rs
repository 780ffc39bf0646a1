//! The Prometheus text format, version 0.0.4.
//!
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>. [`parse()`] refuses what the
//! Pushgateway's own parser refuses; [`input`] is more lenient with what users want to push, and reads OpenMetrics
//! too. UTF-8 names are in quotes, as in Prometheus 3 (<https://prometheus.io/docs/instrumenting/escaping_schemes/>):
//! always when written, and when read if [`Names`](super::Names) allow them.

mod cursor;
mod declare;
mod draft;
pub mod encode;
pub mod input;
mod labels;
mod limits;
mod number;
pub mod openmetrics;
mod openmetrics_input;
mod openmetrics_type;
mod parse;
mod quoted;
mod remarks;
pub mod rendered;

pub use encode::encode;
pub use limits::Limits;
pub use number::float;
pub use parse::{ParseError, parse, parse_names, parse_strictly, parse_within};

/// Media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
