//! The shapes of `--output json`.

use serde_json::{Map, Value as Json, json};

use super::advice::with_advice;
use super::{console, when};
use metricsjob::job::NotifyTarget;
use metricsjob::push::{Delivery, DeliveryTarget, Kept, Undelivered};
use metricsjob_metrics::GroupingKey;
pub use metricsjob_metrics::json::{family, number};
use metricsjob_state::history::RecordedRun;

/// Writes `value` to stdout, indented, with a line feed at the end.
pub fn print(value: &Json) -> std::io::Result<()> {
    console::result(&format!("{value:#}\n"))
}

/// Adds to each time of an object, whose name ends in `_timestamp_seconds` or `_time_seconds`, the same in RFC 3339
/// before it, whose name does without `_seconds`.
pub fn dated(object: Json) -> Json {
    let Json::Object(object) = object else {
        return object;
    };
    let mut dated = Map::new();
    for (name, value) in object {
        let is_time = ["_timestamp_seconds", "_time_seconds"].map(|end| name.ends_with(end));
        if let (Some(short), true) = (name.strip_suffix("_seconds"), is_time.contains(&true)) {
            let time = value.as_f64().and_then(when::rfc3339);
            dated.insert(short.to_owned(), time.into());
        }
        dated.insert(name, value);
    }
    dated.into()
}

/// A finished run, as the history shows it.
pub fn run(run: &RecordedRun) -> Json {
    dated(run.to_json())
}

/// The time of a group in which 0 stands for never.
pub fn unless_never(time: f64) -> Option<f64> {
    (time != 0.0).then_some(time)
}

/// Outcome of a push at each destination: `[{"gateway", "url", "delivered", "error", "outbox_entry",
/// "refused_families", "is_rejected", "older_reports_delivered", "older_reports_rejected", "reports_dropped",
/// "notices"}]`.
pub fn deliveries(
    destinations: &[DeliveryTarget],
    key: &GroupingKey,
    deliveries: &[Delivery],
) -> Json {
    let pairs = destinations.iter().zip(deliveries);
    pairs
        .map(|(destination, delivery)| {
            let undelivered = delivery.result.as_ref().err();
            let entry = undelivered.and_then(entry);
            json!({
                "gateway": destination.to_string(),
                "url": destination.group_url(key),
                "delivered": undelivered.is_none(),
                "error": undelivered.map(|undelivered| with_advice(&undelivered.error)),
                "outbox_entry": entry,
                "refused_families": undelivered.map_or(&[][..], |undelivered| undelivered.error.refused_families()),
                "is_rejected": undelivered.is_some_and(|undelivered| undelivered.error.is_rejection()),
                "older_reports_delivered": delivery.delivered,
                "older_reports_rejected": delivery.rejected.len(),
                "reports_dropped": delivery.dropped.len(),
                "notices": delivery.notices,
            })
        })
        .collect()
}

/// Outcome of a notification at each destination: `[{"to", "delivered", "error", "outbox_entry", "is_rejected"}]`.
pub fn notifications(notified: &[(NotifyTarget, Delivery)]) -> Json {
    let notified = notified.iter().map(|(target, delivery)| {
        let undelivered = delivery.result.as_ref().err();
        json!({
            "to": target.to_string(),
            "delivered": undelivered.is_none(),
            "error": undelivered.map(|undelivered| with_advice(&undelivered.error)),
            "outbox_entry": undelivered.and_then(entry),
            "is_rejected": undelivered.is_some_and(|undelivered| undelivered.error.is_rejection()),
        })
    });
    notified.collect()
}

/// Id of the entry in the outbox that something undelivered is kept as.
fn entry(undelivered: &Undelivered) -> Option<i64> {
    match undelivered.kept {
        Kept::InOutbox { id, .. } => Some(id),
        Kept::Lost | Kept::Dropped => None,
    }
}
