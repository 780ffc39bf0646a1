//! Histograms and summaries as tables.

use std::time::SystemTime;

use maud::{Markup, html};

use super::quantity::number;
use crate::metrics::Value;

/// How many buckets or quantiles of a series are shown.
const ROWS: usize = 100;

/// Buckets or quantiles of one series of `family`, with count and sum. Nothing for a number.
pub fn table(family: &str, value: &Value, now: SystemTime) -> Markup {
    match value {
        Value::Number(_) => html! {},
        Value::Summary {
            count,
            sum,
            quantiles,
        } => html! {
            (totals(family, *count, *sum, now))
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
            ..
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
        },
    }
}

fn totals(family: &str, count: u64, sum: f64, now: SystemTime) -> Markup {
    html! {
        p .totals { "Count " span .raw { (count) } ", sum " (number(family, sum, now)) }
    }
}

fn more(rows: usize, what: &str) -> Markup {
    html! {
        @if rows > ROWS { p .more { "And " (rows - ROWS) " more " (what) "." } }
    }
}
