//! One family of a group.

use std::time::SystemTime;

use maud::{Markup, html};

use super::distribution;
use super::labels::chips;
use super::quantity::number;
use super::room::Room;
use metricsjob_metrics::{Family, Group, Metric, Value};
use metricsjob_web::page::text::cut;

/// Maximum number of series shown of a family.
const SERIES: usize = 200;

/// Returns the value of a family whose only series has no labels of its own.
pub fn single(group: &Group, family: &Family) -> Option<f64> {
    match family.metrics.as_slice() {
        [
            Metric {
                value: Value::Number(value),
                labels,
                ..
            },
        ] if labels.keys().all(|name| group.key.has_label(name)) => Some(*value),
        _ => None,
    }
}

/// Returns a family with this [`single`] value as a row of a table.
pub fn row(family: &Family, value: f64, now: SystemTime) -> Markup {
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                span .metric { bdi { (cut(&family.name)) } }
                " " span .kind { (family.kind) }
                @if !family.help.is_empty() { p .help { bdi { (cut(&family.help)) } } }
            }
            td role="cell" { (number(&family.name, value, now)) }
        }
    }
}

/// Returns name, type, HELP and series of the family. Its size is taken from `room`.
pub fn section(group: &Group, family: &Family, now: SystemTime, room: &mut Room) -> Markup {
    let head = html! {
        h4 { bdi { (cut(&family.name)) } }
        " " span .kind { (family.kind) }
        @if !family.help.is_empty() { p .help { bdi { (cut(&family.help)) } } }
    };
    let head = room.take(head);
    let mut rows = Vec::new();
    let mut distributions = Vec::new();
    for metric in family.metrics.iter().take(SERIES) {
        if !room.is_left() {
            break;
        }
        let labels = labels(group, metric);
        match &metric.value {
            Value::Number(value) => rows.push(room.take(html! {
                tr {
                    th scope="row" { (labels) }
                    td { (number(&family.name, *value, now)) }
                }
            })),
            Value::Summary { .. } | Value::Histogram { .. } => {
                let value = distribution::table(&family.name, &metric.value, now);
                distributions.push(room.take(html! { div .distribution { (labels) (value) } }));
            }
        }
    }
    let shown = rows.len() + distributions.len();
    html! {
        div .family {
            (head)
            @if !rows.is_empty() {
                table .series {
                    thead { tr { th scope="col" { "Labels" } th scope="col" { "Value" } } }
                    tbody { @for row in rows { (row) } }
                }
            }
            @for distribution in distributions { (distribution) }
            @if shown < family.metrics.len() {
                p .more { "And " (family.metrics.len() - shown) " more series." }
            }
        }
    }
}

/// Returns the labels that are not the group's own.
fn labels(group: &Group, metric: &Metric) -> Markup {
    let own = |(name, _): &(&str, &str)| !group.key.has_label(name);
    chips(metric.labels.iter().filter(own))
}
