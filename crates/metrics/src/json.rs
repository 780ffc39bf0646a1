//! Families as JSON.

use serde_json::{Value as Json, json};

use super::count::Count;
use super::family::{Family, Metric, Value};

/// Converts a family: `{"name", "type", "help", "metrics": [{"labels": {…}, "value": 42}]}`. A summary has
/// `quantiles`, `count` and `sum` in place of `value`, a histogram `buckets`, `count` and `sum`, and `native_buckets`
/// if it has any spans.
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
            native,
        } => {
            let buckets = buckets.iter();
            let buckets = buckets
                .map(|b| json!({ "le": number(b.upper_bound), "count": count_number(b.count) }))
                .collect::<Vec<_>>();
            let mut json = json!({
                "labels": labels,
                "buckets": buckets,
                "count": count_number(*count),
                "sum": number(*sum),
            });
            if let Some(native) = native.as_ref().filter(|native| native.has_spans()) {
                let buckets = native.buckets(*count).map(|b| {
                    json!({
                        "lower": number(b.lower),
                        "upper": number(b.upper),
                        "count": count_number(b.count),
                    })
                });
                json["native_buckets"] = buckets.collect();
            }
            json
        }
    }
}

fn count_number(count: Count) -> Json {
    match count {
        Count::Integer(integer) => json!(integer),
        Count::Float(float) => number(float),
    }
}

/// Converts a number: whole ones without a decimal point, and `"NaN"`, `"+Inf"` and `"-Inf"`, which JSON does not
/// have, as strings.
pub fn number(value: f64) -> Json {
    /// Up to here a float holds every integer.
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
