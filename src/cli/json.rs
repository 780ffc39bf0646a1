//! The shapes of `--output json`.

use serde_json::{Value as Json, json};

use super::advice::with_advice;
use super::console;
use metricsjob::push::{Delivery, Gateway, Kept};
use metricsjob_metrics::GroupingKey;
pub use metricsjob_metrics::json::{family, number};

/// Writes `value` to stdout, indented, with a line feed at the end.
pub fn print(value: &Json) -> std::io::Result<()> {
    console::result(&format!("{value:#}\n"))
}

/// Outcome of a push at each gateway: `[{"gateway", "url", "delivered", "error", "outbox_entry",
/// "refused_families", "is_rejected", "older_reports_delivered", "older_reports_rejected", "reports_dropped"}]`.
pub fn deliveries(gateways: &[Gateway], key: &GroupingKey, deliveries: &[Delivery]) -> Json {
    let pairs = gateways.iter().zip(deliveries);
    pairs
        .map(|(gateway, delivery)| {
            let undelivered = delivery.result.as_ref().err();
            let entry = undelivered.and_then(|undelivered| match undelivered.kept {
                Kept::InOutbox { id, .. } => Some(id),
                Kept::Lost | Kept::Dropped => None,
            });
            json!({
                "gateway": gateway.to_string(),
                "url": gateway.group_url(key),
                "delivered": undelivered.is_none(),
                "error": undelivered.map(|undelivered| with_advice(&undelivered.error)),
                "outbox_entry": entry,
                "refused_families": undelivered.map_or(&[][..], |undelivered| undelivered.error.refused_families()),
                "is_rejected": undelivered.is_some_and(|undelivered| undelivered.error.is_rejection()),
                "older_reports_delivered": delivery.delivered,
                "older_reports_rejected": delivery.rejected.len(),
                "reports_dropped": delivery.dropped.len(),
            })
        })
        .collect()
}
