//! Families as JSON, for programs.

use serde_json::{Value as Json, json};

use super::family::{Family, Metric, Value};

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
