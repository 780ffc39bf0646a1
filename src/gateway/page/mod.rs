//! The gateway's page: its groups, to look at, search and delete.
//!
//! A pure function of data. The page works without script; the script adds deletion, copying and
//! ages that keep counting. Whatever was pushed is text from anybody: it is escaped, its invisible
//! characters are shown, and what is long is cut.

mod distribution;
mod family;
mod group;
mod list;
mod quantity;
mod room;
mod search;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use maud::{DOCTYPE, Markup, html};

use crate::metrics::Group;
use room::Room;
use text::visible;

pub use search::matches;

/// The page's style sheet, to be served at `{base}/static/page.css`.
pub const STYLE: &str = include_str!("page.css");

/// The page's script, to be served at `{base}/static/page.js`.
pub const SCRIPT: &str = include_str!("page.js");

/// The page's icon, an SVG image, to be served at `{base}/static/icon.svg`.
pub const ICON: &str = include_str!("icon.svg");

/// The `Content-Security-Policy` to serve the page with: nothing but the three files above is loaded,
/// and no script that got into the page would run.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
    script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the page shows.
pub struct Page<'a> {
    /// The groups of this page of the list, already filtered and sorted.
    pub groups: &'a [Group],
    /// How many groups the gateway has.
    pub total: usize,
    /// How many of them match the search, and `only_failed`.
    pub matching: usize,
    /// The text searched for (`?search=`), as it came; empty for none.
    pub search: &'a str,
    /// Which page of the list this is (`?page=`), from 1.
    pub page_number: usize,
    pub page_count: usize,
    /// Whether only groups whose last push failed are shown (`?failed=1`).
    pub only_failed: bool,
    pub now: SystemTime,
    /// Build, start time, flags and the like, as name and value.
    pub status: &'a [(&'a str, String)],
    /// The route prefix before every path: `""`, or `/prefix`.
    pub base: &'a str,
    /// How long after its last push a group is removed.
    pub ttl: Option<Duration>,
}

impl Page<'_> {
    /// The whole HTML document. It is bounded: some megabytes, however much was pushed.
    pub fn render(&self) -> String {
        let base = self.base;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { "metricsjob gateway" }
                    link rel="icon" type="image/svg+xml" href={ (base) "/static/icon.svg" };
                    link rel="stylesheet" href={ (base) "/static/page.css" };
                    script src={ (base) "/static/page.js" } defer {}
                }
                body {
                    header {
                        h1 { a href={ (base) "/" } { "metricsjob gateway" } }
                        nav aria-label="Metrics" {
                            a href={ (base) "/metrics" } { "Metrics" }
                            a href={ (base) "/api/v1/metrics" } { "API" }
                        }
                    }
                    (self.search_form())
                    (self.main())
                    footer { (self.status()) }
                    (deletion_dialog())
                }
            }
        }
        .into_string()
    }

    fn search_form(&self) -> Markup {
        html! {
            form .search role="search" method="get" action={ (self.base) "/" } {
                label .unseen for="search" { "Search groups" }
                input #search type="search" name="search" value=(self.search) autocomplete="off"
                    spellcheck="false" placeholder="Job, label or metric";
                button { "Search" }
                label .check {
                    input type="checkbox" name="failed" value="1" checked[self.only_failed];
                    "Only failed"
                }
            }
        }
    }

    fn main(&self) -> Markup {
        let mut room = Room::new();
        html! {
            main data-now=[time::exact(crate::metrics::unix_seconds(self.now))] {
                h2 #groups tabindex="-1" {
                    "Groups " data .count value=(self.total) data-count { (self.total) }
                }
                (self.heading())
                p #said role="status" {}
                @if self.groups.is_empty() {
                    (self.nothing())
                } @else {
                    ul .groups role="list" {
                        @for group in self.groups { (group::item(self, group, &mut room)) }
                    }
                    (self.pages())
                }
            }
        }
    }

    fn status(&self) -> Markup {
        html! {
            details .status {
                summary { h2 { "Status" } }
                dl {
                    @for (name, value) in self.status {
                        dt { (visible(name)) }
                        dd { (visible(value)) }
                    }
                }
            }
        }
    }
}

/// The dialog which the script fills and opens.
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
