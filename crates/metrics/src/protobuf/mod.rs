//! The protobuf format: each family a `MetricFamily` message with its length before it.
//!
//! The messages are those of `io.prometheus.client` (`metrics.proto` of client_model). Kept of them
//! is what [`Family`] has room for. That leaves out the exemplar of a counter, when a counter or a
//! summary was created, and a family's unit: a series would take more memory for what text, in
//! which most is pushed and scraped, does not have. Of histograms all is kept.

mod decode;
mod encode;
mod histogram;
mod memory;
mod message;
mod wire;

pub use decode::{DecodeError, decode, decode_again};
pub use encode::{encode, encode_family};

use super::count::Count;
use super::family::{Family, Value};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
                                proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Returns true if the text of the family loses something that [`encode_family`] keeps: native buckets, or a
/// [`Count`] that does not fit.
pub fn exceeds_text(family: &Family) -> bool {
    let mut values = family.metrics.iter().map(|metric| &metric.value);
    values.any(|value| match value {
        Value::Number(_) => false,
        Value::Summary { count, .. } => !Count::Integer(*count).fits_text(),
        Value::Histogram {
            count,
            buckets,
            native,
            ..
        } => {
            native.is_some()
                || !count.fits_text()
                || buckets.iter().any(|bucket| !bucket.count.fits_text())
        }
    })
}
