//! The Prometheus text format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>, with the
//! strictness of the Pushgateway's own parser: what it refuses is refused here too.

mod draft;
pub mod encode;
mod parse;

pub use encode::encode;
pub use parse::{ParseError, parse, parse_strictly};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Stand-in.
#[derive(Default)]
pub struct Limits {
    pub max_labels: usize,
    pub max_label_value_bytes: usize,
    pub max_name_bytes: usize,
}
pub fn parse_within(text: &[u8], _: &Limits) -> Result<Vec<crate::metrics::Family>, ParseError> {
    parse(text)
}
