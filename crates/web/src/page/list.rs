//! List of a page: the entries shown, and links to the other pages of the list.

use std::collections::BTreeSet;

use maud::{Markup, html};
use url::form_urlencoded;

use super::text::cut;

/// The part of a list that a page shows.
pub struct List<'a> {
    /// Name of the entries: `groups`.
    pub entries: &'a str,
    /// Predicate for the entries that [`only_failed`](Self::only_failed) keeps: `had their last push fail`.
    pub failed: &'a str,
    /// Placeholder of the search field: `Job, label or metric`.
    pub searched: &'a str,
    /// Total number of entries, regardless of the search.
    pub total: usize,
    /// Number of entries that match the search and `only_failed`.
    pub matching: usize,
    /// The text searched for, as received.
    pub search: &'a str,
    /// Number of this page of the list, from 1.
    pub page_number: usize,
    pub page_count: usize,
    pub only_failed: bool,
    /// The route prefix.
    pub base: &'a str,
}

impl List<'_> {
    pub fn search_form(&self) -> Markup {
        html! {
            form .search role="search" method="get" action={ (self.base) "/" } {
                label .unseen for="search" { "Search " (self.entries) }
                input #search type="search" name="search" value=(self.search) autocomplete="off"
                    spellcheck="false" placeholder=(self.searched);
                button { "Search" }
                label .check {
                    input type="checkbox" name="failed" value="1" checked[self.only_failed];
                    "Only failed"
                }
            }
        }
    }

    /// Returns how many entries are listed, if not all are.
    pub fn heading(&self) -> Markup {
        html! {
            @if self.is_filtered() && self.matching > 0 {
                p {
                    data .count value=(self.matching) data-count { (self.matching) }
                    " of them " (self.filter()) ". "
                    a href={ (self.base) "/" } { "Show all" }
                }
            }
        }
    }

    /// Returns links to the other pages of the list, which keep the search.
    pub fn pages(&self) -> Markup {
        let last = self.page_count;
        if last <= 1 {
            return html! {};
        }
        let this = self.page_number;
        let numbers = BTreeSet::from([
            1,
            this.saturating_sub(1),
            this,
            this.saturating_add(1),
            last,
        ]);
        let numbers = numbers.range(1..=last).scan(0, |before, &number| {
            let gap = number > *before + 1;
            *before = number;
            Some((gap, number))
        });
        html! {
            nav .pages aria-label="Pages" {
                @if this > 1 { a rel="prev" href=(self.link(this - 1)) { "Previous" } }
                @for (gap, number) in numbers {
                    @if gap { span { "…" } }
                    @if number == this {
                        a href=(self.link(number)) aria-current="page" { (number) }
                    } @else {
                        a href=(self.link(number)) aria-label={ "Page " (number) } { (number) }
                    }
                }
                @if this < last { a rel="next" href=(self.link(this + 1)) { "Next" } }
            }
        }
    }

    /// Returns the text for a page without entries: `none` if the whole list is empty.
    pub fn nothing(&self, none: Markup) -> Markup {
        html! {
            div .nothing {
                @if self.total == 0 {
                    (none)
                } @else if self.matching == 0 {
                    p { "None of the " (self.entries) " " (self.filter()) "." }
                    p { a href={ (self.base) "/" } { "Show all" } }
                } @else {
                    p { "The list has no page " (self.page_number) "." }
                    p { a href=(self.link(self.page_count.max(1))) { "Show its last page" } }
                }
            }
        }
    }

    fn is_filtered(&self) -> bool {
        self.only_failed || !self.search.trim().is_empty()
    }

    /// Returns a predicate for the listed entries, to follow their number.
    fn filter(&self) -> Markup {
        let search = self.search.trim();
        html! {
            @if !search.is_empty() { "match “" bdi { (cut(search)) } "”" }
            @if !search.is_empty() && self.only_failed { " and " }
            @if self.only_failed { (self.failed) }
        }
    }

    fn link(&self, number: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("search", self.search);
        }
        if self.only_failed {
            query.append_pair("failed", "1");
        }
        if number != 1 {
            query.append_pair("page", &number.to_string());
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/{mark}{query}", self.base)
    }
}
