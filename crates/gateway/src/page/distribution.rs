//! Histograms and summaries as tables.

use std::time::SystemTime;

use maud::{Markup, html};

use super::quantity::number;
use metricsjob_metrics::text::encode;
use metricsjob_metrics::{Count, NativeBucket, NativeHistogram, Value};

/// Maximum number of buckets or quantiles shown of a series.
const ROWS: usize = 100;

/// Returns the buckets or quantiles of one series of `family`, with count and sum. A number has no table.
pub fn table(family: &str, value: &Value, now: SystemTime) -> Markup {
    match value {
        Value::Number(_) => html! {},
        Value::Summary {
            count,
            sum,
            quantiles,
        } => html! {
            (totals(family, Count::Integer(*count), *sum, now))
            @if !quantiles.is_empty() {
                table .buckets {
                    thead { tr { th scope="col" { "Quantile" } th scope="col" { "Value" } } }
                    tbody {
                        @for quantile in quantiles.iter().take(ROWS) {
                            tr {
                                th scope="row" { (number("", quantile.quantile, now)) }
                                td { (number(family, quantile.value, now)) }
                            }
                        }
                    }
                }
                (more(quantiles.len(), "quantiles"))
            }
        },
        Value::Histogram {
            count,
            sum,
            buckets,
            native,
        } => html! {
            (totals(family, *count, *sum, now))
            @if !buckets.is_empty() {
                table .buckets {
                    thead { tr { th scope="col" { "At most" } th scope="col" { "Count" } } }
                    tbody {
                        @for bucket in buckets.iter().take(ROWS) {
                            tr {
                                th scope="row" { (number(family, bucket.upper_bound, now)) }
                                td { (bucket.count) }
                            }
                        }
                    }
                }
                (more(buckets.len(), "buckets"))
            }
            @if let Some(native) = native.as_ref().filter(|native| native.has_spans()) {
                (native_buckets(native, *count))
            }
        },
    }
}

/// Returns the buckets of a native histogram with this count. Their bounds are powers of roots of 2, which no
/// unit would make more readable.
fn native_buckets(native: &NativeHistogram, count: Count) -> Markup {
    let mut buckets = native.buckets(count);
    let shown: Vec<_> = buckets.by_ref().take(ROWS).collect();
    html! {
        table .buckets {
            thead { tr { th scope="col" { "Native bucket" } th scope="col" { "Count" } } }
            tbody {
                @for bucket in &shown {
                    tr {
                        th scope="row" { span .raw { (interval(bucket)) } }
                        td { (bucket.count) }
                    }
                }
            }
        }
        (more(shown.len() + buckets.count(), "native buckets"))
    }
}

/// Formats an interval, such as `(1, 2]`: a square bracket marks a bound that belongs to the bucket.
fn interval(bucket: &NativeBucket) -> String {
    let mut out = String::from(if bucket.includes_lower() { "[" } else { "(" });
    encode::number(&mut out, bucket.lower);
    out.push_str(", ");
    encode::number(&mut out, bucket.upper);
    out.push(if bucket.includes_upper() { ']' } else { ')' });
    out
}

fn totals(family: &str, count: Count, sum: f64, now: SystemTime) -> Markup {
    html! {
        p .totals { "Count " span .raw { (count) } ", sum " (number(family, sum, now)) }
    }
}

fn more(rows: usize, what: &str) -> Markup {
    html! {
        @if rows > ROWS { p .more { "And " (rows - ROWS) " more " (what) "." } }
    }
}
