//! One group of the list.

use maud::{Markup, html};

use super::labels::{chips, whole};
use super::room::Room;
use super::{Condition, Page, family};
use metricsjob_metrics::path::group_path;
use metricsjob_metrics::{Group, LastRun, unix_seconds};
use metricsjob_state::store::HostClash;
use metricsjob_web::page::quantity;
use metricsjob_web::page::text::{count, cut};
use metricsjob_web::page::time;

/// Returns the group as an item of the list: its name and push time, and below them the details.
pub fn item(page: &Page<'_>, group: &Group, room: &mut Room) -> Markup {
    let last_run = LastRun::of(group);
    let now = unix_seconds(page.now);
    let clash = page.clashes.get(&group.key).copied();
    let condition = Condition {
        is_refused: group.last_push_failed(),
        is_shared: clash.is_some(),
        ..Condition::of_run(&last_run, now)
    };
    html! {
        li .group data-is=(kinds(condition)) {
            details .row {
                summary {
                    h3 { bdi { (cut(group.key.job())) } }
                    (chips(group.key.labels().iter()))
                    (badges(page, group, &last_run, condition))
                    @if let Some(clash) = clash { (shared(page, clash)) " " }
                    span .facts {
                        @if let Some(success) = last_run.last_success {
                            span { "Last success " (time::age(success, page.now)) }
                            " "
                        } @else if condition.is_failed {
                            span { "No success known" }
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
                    @if clash.is_some() {
                        p {
                            "Several hosts report to this group, and each replaces the report of the other. Give each \
                             host a group of its own, such as by " code { "instance = true" } " in its "
                            code { "metricsjob.toml" } "."
                        }
                    }
                    @if group.key.is_remainder() {
                        p {
                            "What groups had counted before they were removed, or their counters began anew. It is part of \
                             a sum, which falls if this group is deleted."
                        }
                    }
                    (facts(page, group, &last_run))
                    (families(page, group, room))
                }
            }
        }
    }
}

/// Returns the kinds under which the summary of the list counts the group.
fn kinds(condition: Condition) -> String {
    let kinds = [
        (condition.is_failed, "failed"),
        (condition.is_late, "late"),
        (condition.is_shared, "shared"),
        (condition.is_refused, "refused"),
    ];
    let kinds = kinds.into_iter().filter(|(is, _)| *is);
    kinds.map(|(_, kind)| kind).collect::<Vec<_>>().join(" ")
}

fn badges(page: &Page<'_>, group: &Group, last_run: &LastRun, condition: Condition) -> Markup {
    html! {
        span .state {
            @if last_run.is_running {
                span .badge { "Running" } " "
            } @else if condition.is_failed {
                span .badge .failed { "Failed" (exit_code(last_run)) } " "
            } @else if last_run.is_success == Some(true) && !condition.is_late {
                span .badge .success { "Success" } " "
            }
            @if let Some(deadline) = last_run.deadline.filter(|_| condition.is_late) {
                span .badge .late { "Late: due " (time::age(deadline, page.now)) } " "
            }
            @if condition.is_refused {
                span .badge .failed { "Last push failed " (time::age(group.push_failure_time, page.now)) }
            }
        }
    }
}

fn shared(page: &Page<'_>, clash: &HostClash) -> Markup {
    html! {
        span .hosts {
            "Reported by " bdi { (cut(&clash.host)) } ", until " (time::age(clash.time_before, page.now)) " by "
            bdi { (cut(&clash.host_before)) }
        }
    }
}

/// Returns ` (exit code 3)`, unless it is 0 or unknown.
fn exit_code(last_run: &LastRun) -> Markup {
    html! {
        @if let Some(code) = last_run.exit_code.filter(|code| *code != 0.0) { " (exit code " (code) ")" }
    }
}

fn families(page: &Page<'_>, group: &Group, room: &mut Room) -> Markup {
    let mut values = Vec::new();
    let mut sections = Vec::new();
    for family in &group.families {
        if !room.is_left() {
            break;
        }
        match family::single(group, family) {
            Some(value) => values.push(room.take(family::row(family, value, page.now))),
            None => sections.push(family::section(group, family, page.now, room)),
        }
    }
    let left = group.families.len() - values.len() - sections.len();
    html! {
        @if !values.is_empty() {
            // On a narrow screen the cells stand below each other, and a browser would no longer see a table.
            table .values role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        th scope="col" role="columnheader" { "Metric" }
                        th scope="col" role="columnheader" { "Value" }
                    }
                }
                tbody role="rowgroup" { @for row in values { (row) } }
            }
        }
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

fn facts(page: &Page<'_>, group: &Group, run: &LastRun) -> Markup {
    let path = format!("{}{}", page.list.base, group_path(&group.key));
    html! {
        dl {
            dt { "Grouping key" }
            dd .name { (whole(&group.key)) }
            @if let Some(start) = run.started_at.filter(|_| run.is_running) {
                dt { "Running" }
                dd { "since " (time::exact_and_age(start, page.now)) }
            }
            @if let Some(end) = run.ended_at {
                dt { "Last run" }
                dd {
                    "ended " (time::exact_and_age(end, page.now))
                    @if let Some(took) = run.duration.and_then(quantity::duration) { ", took " (took) }
                }
            }
            @if let Some(success) = run.last_success {
                dt { "Last success" }
                dd { (time::exact_and_age(success, page.now)) }
            }
            @if let Some(deadline) = run.deadline {
                dt { "Next report due" }
                dd { (time::exact_and_age(deadline, page.now)) }
            }
            dt { "Last push" }
            dd {
                @if group.push_time == 0.0 { "never successfully" }
                @else { (time::exact_and_age(group.push_time, page.now)) }
            }
            @if group.push_failure_time != 0.0 {
                dt { "Last failed push" }
                dd { (time::exact_and_age(group.push_failure_time, page.now)) }
            }
            @if let Some(ttl) = group.ttl {
                dt { "Time to live" }
                dd { (time::length(ttl.as_secs_f64())) " after the last push" }
            }
            @if let Some(ttl) = group.ttl.or(page.ttl) {
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
