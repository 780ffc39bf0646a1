//! The shapes of `--output json`.

use serde_json::{Value as Json, json};

use super::console;
use crate::metrics::{Family, GroupingKey, Metric, Value};
use crate::push::{Delivery, Gateway, Kept};

/// Writes `value` to stdout, indented, with a line feed at the end.
pub fn print(value: &Json) -> std::io::Result<()> {
    console::result(&format!("{value:#}\n"))
}

/// What became of a push at each gateway: `[{"gateway", "url", "delivered", "error", "outbox_entry",
/// "is_rejected", "older_reports_delivered", "older_reports_rejected", "reports_dropped"}]`.
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
                "error": undelivered.map(|undelivered| undelivered.error.to_string()),
                "outbox_entry": entry,
                "is_rejected": undelivered.is_some_and(|undelivered| undelivered.error.is_rejection()),
                "older_reports_delivered": delivery.late,
                "older_reports_rejected": delivery.late_rejected,
                "reports_dropped": delivery.dropped,
            })
        })
        .collect()
}

/// A family: `{"name", "type", "help", "metrics": [{"labels": {…}, "value": 42}]}`. A summary has
/// `quantiles`, `count` and `sum` in place of `value`, a histogram `buckets`.
pub fn family(family: &Family) -> Json {
    json!({
        "name": family.name,
        "type": family.kind.name(),
        "help": family.help,
        "metrics": family.metrics.iter().map(metric).collect::<Vec<_>>(),
    })
}

fn metric(metric: &Metric) -> Json {
    let labels = &metric.labels;
    match &metric.value {
        Value::Number(value) => json!({ "labels": labels, "value": number(*value) }),
        Value::Summary {
            count,
            sum,
            quantiles,
        } => json!({
            "labels": labels,
            "quantiles": quantiles
                .iter()
                .map(|q| json!({ "quantile": number(q.quantile), "value": number(q.value) }))
                .collect::<Vec<_>>(),
            "count": count,
            "sum": number(*sum),
        }),
        Value::Histogram {
            count,
            sum,
            buckets,
            ..
        } => json!({
            "labels": labels,
            "buckets": buckets
                .iter()
                .map(|b| json!({ "le": number(b.upper_bound), "count": b.count }))
                .collect::<Vec<_>>(),
            "count": count,
            "sum": number(*sum),
        }),
    }
}

/// A number; `"NaN"`, `"+Inf"` and `"-Inf"` as strings, because JSON has none of them. A whole
/// number has no decimal point.
pub fn number(value: f64) -> Json {
    /// Up to here a float holds every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value.fract() == 0.0 && value.abs() <= EXACT {
        json!(value as i64)
    } else {
        json!(value)
    }
}
