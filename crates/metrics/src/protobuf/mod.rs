//! The protobuf format: `MetricFamily` messages, each preceded by its length.
//!
//! The messages are those of `io.prometheus.client` (`metrics.proto` of client_model). Histograms are kept whole.
//! Dropped are a counter's exemplar, the creation time of a counter or summary, and a family's unit: they would take
//! memory in every series, while the text format, in which most is pushed and scraped, does not have them.

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

/// Media type of the format.
pub const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
                                proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Returns true if the text format would lose something that [`encode_family`] keeps: a histogram's native part, or
/// the type or digits of a [`Count`].
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
