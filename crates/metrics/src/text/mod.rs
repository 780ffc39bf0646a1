//! The Prometheus text format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>, with the
//! strictness of the Pushgateway's own parser: what it refuses is refused here too. What somebody wants to
//! push is read more kindly, and may be OpenMetrics, see [`input`]. Names that are any
//! UTF-8 stand in quotes, as in Prometheus 3
//! (<https://prometheus.io/docs/instrumenting/escaping_schemes/>): they are always written so, and read
//! where [`Names`](super::Names) allow them.

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

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
