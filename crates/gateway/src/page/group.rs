//! One group of the list.

use maud::{Markup, html};

use super::labels::{chips, whole};
use super::room::Room;
use super::{Page, family};
use metricsjob_metrics::Group;
use metricsjob_metrics::path::group_path;
use metricsjob_web::page::text::{count, cut};
use metricsjob_web::page::time;

/// Returns the group as an item of the list: its name and push time, and below them the details.
pub fn item(page: &Page<'_>, group: &Group, room: &mut Room) -> Markup {
    html! {
        li .group {
            details {
                summary {
                    h3 { bdi { (cut(group.key.job())) } }
                    (chips(group.key.labels().iter()))
                    span .facts {
                        @if group.last_push_failed() {
                            span .failed {
                                "Last push failed " (time::age(group.push_failure_time, page.now))
                            }
                            " "
                        }
                        span {
                            @if group.push_time == 0.0 {
                                "Never pushed successfully"
                            } @else {
                                "Pushed " (time::age(group.push_time, page.now))
                            }
                        }
                        " " span { (count(group.families.len(), "family", "families")) }
                    }
                }
                div .inside {
                    (facts(page, group))
                    (families(page, group, room))
                }
            }
        }
    }
}

fn families(page: &Page<'_>, group: &Group, room: &mut Room) -> Markup {
    let mut sections = Vec::new();
    for family in &group.families {
        if !room.is_left() {
            break;
        }
        sections.push(family::section(group, family, page.now, room));
    }
    let left = group.families.len() - sections.len();
    html! {
        @for section in sections { (section) }
        @if left > 0 {
            p .more {
                "And " (count(left, "more family", "more families"))
                ", which this page has no room for: see "
                a href={ (page.list.base) "/metrics" } { "all metrics" } "."
            }
        }
    }
}

fn facts(page: &Page<'_>, group: &Group) -> Markup {
    let path = format!("{}{}", page.list.base, group_path(&group.key));
    html! {
        dl {
            dt { "Grouping key" }
            dd .name { (whole(&group.key)) }
            dt { "Last push" }
            dd {
                @if group.push_time == 0.0 { "never successfully" }
                @else { (time::exact_and_age(group.push_time, page.now)) }
            }
            @if group.push_failure_time != 0.0 {
                dt { "Last failed push" }
                dd { (time::exact_and_age(group.push_failure_time, page.now)) }
            }
            @if let Some(ttl) = page.ttl {
                @let last = group.push_time.max(group.push_failure_time);
                dt { "Kept until" }
                dd { (time::exact_and_age(last + ttl.as_secs_f64(), page.now)) }
            }
            dt { "Push URL" }
            dd .path data-path=(path) { (path) }
        }
        div .actions hidden {
            button type="button" data-copy { "Copy push URL" }
            button .danger type="button" data-delete=(path) { "Delete group…" }
        }
    }
}
