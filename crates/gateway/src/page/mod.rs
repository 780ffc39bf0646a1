//! Web page of the gateway: lists, searches and deletes its groups.
//!
//! The page works without script; the script adds deletion, copying and ages that keep counting.

mod condition;
mod distribution;
mod family;
mod group;
mod labels;
mod quantity;
mod room;
mod search;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use maud::{DOCTYPE, Markup, html};
use url::form_urlencoded;

use metricsjob_metrics::{Group, GroupingKey};
use metricsjob_state::store::HostClash;
use metricsjob_web::page::text::cut;
use metricsjob_web::page::{self, List, ListWords, SummaryPart as Part, time};
use room::Room;

pub use condition::{Condition, ConditionCounts, Urgency};
pub use metricsjob_web::page::{CONTENT_SECURITY_POLICY, ICON};
pub use search::Search;

/// Style sheet of the page, to be served at `{base}/static/page.css`.
pub fn style() -> String {
    page::style(include_str!("page.css"))
}

/// Script of the page, to be served at `{base}/static/page.js`.
pub fn script() -> String {
    page::script(include_str!("page.js"))
}

const TITLE: &str = "metricsjob gateway";

/// Words for the list of groups.
pub const WORDS: ListWords = ListWords {
    entry: "group",
    entries: "groups",
    failed: "have a failed job or push",
    searched: "Job, label or metric, or {job=\"ci\"}",
};

/// Contents of the page.
pub struct Page<'a> {
    /// The groups on this page of the list, already filtered and sorted.
    pub groups: &'a [Group],
    /// Hosts that share a group, by the key of that.
    pub clashes: &'a BTreeMap<&'a GroupingKey, &'a HostClash>,
    pub list: List<'a>,
    /// How many of all groups are in which bad condition.
    pub counts: ConditionCounts,
    pub now: SystemTime,
    /// Build, start time, flags and so on, as names and values.
    pub status: &'a [(&'a str, String)],
    /// Time after its last push at which a group without a time to live of its own is removed.
    pub ttl: Option<Duration>,
    /// Mistake in the search, which then finds nothing.
    pub problem: Option<&'a str>,
    /// True if all groups that the search selects may be deleted at once.
    pub can_delete_found: bool,
}

impl Page<'_> {
    /// Renders the whole HTML document. Its size is bounded to a few megabytes, however much was pushed.
    pub fn render(&self) -> String {
        let list = &self.list;
        html! {
            (DOCTYPE)
            html lang="en" {
                (page::head(TITLE, self.list.base))
                body {
                    (page::skip_link("groups", "Skip to the groups"))
                    (page::header(TITLE, self.list.base, "/api/v1/metrics"))
                    (list.search_form())
                    (self.main())
                    footer { (page::status(self.status)) }
                    (deletion_dialog())
                    @if self.can_delete_found { (deletion_of_found_dialog()) }
                }
            }
        }
        .into_string()
    }

    fn main(&self) -> Markup {
        let list = &self.list;
        let mut room = Room::new();
        html! {
            main data-now=[time::exact(metricsjob_metrics::unix_seconds(self.now))] {
                (list.summary("groups", &[
                    Part { kind: "failed", count: self.counts.failed, words: "failed" },
                    Part { kind: "late", count: self.counts.late, words: "late" },
                    Part { kind: "shared", count: self.counts.shared, words: "shared by hosts" },
                    Part { kind: "refused", count: self.counts.refused, words: "with a failed push" },
                ]))
                @if !self.groups.is_empty() { (list.heading()) }
                @if let Some(ttl) = self.ttl {
                    p .note { "A group is removed " (time::length(ttl.as_secs_f64())) " after its last push, successful or not, unless it has a time to live of its own." }
                }
                @if self.can_delete_found { (self.deletion_of_found()) }
                p #said role="status" {}
                @if let Some(problem) = self.problem { p .failure role="alert" { (cut(problem)) } }
                @if self.groups.is_empty() {
                    (list.nothing(self.no_groups()))
                } @else {
                    ul .groups role="list" {
                        @for group in self.groups { (group::item(self, group, &mut room)) }
                    }
                    (list.pages())
                }
            }
        }
    }

    /// Returns the button that shows which groups would be deleted.
    fn deletion_of_found(&self) -> Markup {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("match[]", self.list.search.trim());
        let path = format!("{}/api/v1/groups?{}", self.list.base, query.finish());
        html! {
            div .actions hidden {
                button .danger type="button" data-delete-found=(path) { "Delete these…" }
            }
        }
    }

    fn no_groups(&self) -> Markup {
        html! {
            p { "No groups yet. Push one:" }
            pre tabindex="0" {
                code {
                    "echo 'some_metric 3.14' | curl --data-binary @- "
                    span data-path={ (self.list.base) "/metrics/job/some_job" } {
                        "http://GATEWAY" (self.list.base) "/metrics/job/some_job"
                    }
                }
            }
        }
    }
}

/// Returns the dialog that the script fills and opens.
fn deletion_dialog() -> Markup {
    html! {
        dialog #deletion aria-labelledby="deletion-title" aria-describedby="deletion-text deletion-key" {
            h2 #deletion-title { "Delete this group?" }
            p #deletion-key { code {} }
            p #deletion-text { "All metrics pushed to it go with it. This cannot be undone." }
            p .failure role="alert" {}
            div .actions {
                button type="button" value="cancel" { "Cancel" }
                button .danger type="button" value="delete" { "Delete group" }
            }
        }
    }
}

/// Returns the dialog in which the script shows what a deletion of all found groups would delete.
fn deletion_of_found_dialog() -> Markup {
    let ages = [
        ("", "at any time"),
        ("1d", "1 day"),
        ("7d", "7 days"),
        ("30d", "30 days"),
        ("90d", "90 days"),
    ];
    html! {
        dialog #deletions aria-labelledby="deletions-title" aria-describedby="deletions-text" {
            h2 #deletions-title { "Delete these groups?" }
            p {
                label for="deletions-age" { "Last pushed successfully " }
                select #deletions-age {
                    @for (value, words) in ages {
                        option value=(value) {
                            @if !value.is_empty() { "more than " }
                            (words)
                            @if !value.is_empty() { " ago" }
                        }
                    }
                }
            }
            p #deletions-text role="status" {}
            ul #deletions-keys tabindex="0" aria-label="Groups to be deleted" {}
            p .failure role="alert" {}
            div .actions {
                button type="button" value="cancel" { "Cancel" }
                button .danger type="button" value="delete" disabled { "Delete" }
            }
        }
    }
}
