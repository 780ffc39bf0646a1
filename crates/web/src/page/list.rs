//! List of a page: the entries shown, and links to the other pages of the list.

use std::collections::BTreeSet;
use std::ops::Range;

use maud::{Markup, html};
use url::form_urlencoded;

use super::query::Query;
use super::text::cut;

/// Number of entries on a page of a list.
const SHOWN: usize = 50;

/// Words for a list.
pub struct ListWords {
    /// Name of one entry: `group`.
    pub entry: &'static str,
    /// Name of the entries: `groups`.
    pub entries: &'static str,
    /// Predicate for the entries that [`List::only_failed`] keeps: `had their last run fail`.
    pub failed: &'static str,
    /// Placeholder of the search field: `Job, label or metric`.
    pub searched: &'static str,
}

/// How many entries of a list are of one kind: `2 late`.
pub struct SummaryPart {
    /// Name of the kind, by which a script finds the number.
    pub kind: &'static str,
    pub count: usize,
    /// Words that follow the number.
    pub words: &'static str,
}

/// The part of a list that a page shows.
pub struct List<'a> {
    pub words: &'static ListWords,
    /// Total number of entries, regardless of the search.
    pub total: usize,
    /// Number of entries that match the search and `only_failed`.
    pub matching: usize,
    /// The text searched for (`?search=`), as received; empty for none.
    pub search: &'a str,
    /// Number of this page of the list (`?page=`), from 1.
    pub page_number: usize,
    pub page_count: usize,
    /// True if only entries that failed last are shown (`?failed=1`).
    pub only_failed: bool,
    /// The route prefix of every path: `""`, or `/prefix`.
    pub base: &'a str,
}

impl<'a> List<'a> {
    /// Returns the page that `query` asks for, or the last one if it asks for more, of a list below the
    /// route prefix `base`.
    pub fn new(
        words: &'static ListWords,
        query: &'a Query,
        total: usize,
        matching: usize,
        base: &'a str,
    ) -> Self {
        let page_count = matching.div_ceil(SHOWN).max(1);
        List {
            words,
            total,
            matching,
            search: &query.search,
            page_number: query.page.clamp(1, page_count),
            page_count,
            only_failed: query.only_failed,
            base,
        }
    }

    /// Returns the places of this page's entries among those that match.
    pub fn places(&self) -> Range<usize> {
        let start = (self.page_number - 1) * SHOWN;
        start..self.matching.min(start + SHOWN)
    }

    pub fn search_form(&self) -> Markup {
        html! {
            form .search role="search" method="get" action={ (self.base) "/" } {
                label .unseen for="search" { "Search " (self.words.entries) }
                input #search type="search" name="search" value=(self.search) autocomplete="off"
                    spellcheck="false" placeholder=(self.words.searched);
                button { "Search" }
                label .check {
                    input type="checkbox" name="failed" value="1" checked[self.only_failed];
                    "Only failed"
                }
            }
        }
    }

    /// Returns the heading of the list, which sums it up: `12 groups, 1 failed, 2 late`. Parts of 0 are left
    /// out.
    pub fn summary(&self, id: &str, parts: &[SummaryPart]) -> Markup {
        let noun = match self.total {
            1 => self.words.entry,
            _ => self.words.entries,
        };
        html! {
            h2 id=(id) .summary tabindex="-1" {
                data value=(self.total) data-count { (self.total) }
                " "
                span data-one=(self.words.entry) data-many=(self.words.entries) { (noun) }
                @for part in parts.iter().filter(|part| part.count > 0) {
                    span .part {
                        ", "
                        span class={ "is-" (part.kind) } {
                            data value=(part.count) data-count=(part.kind) { (part.count) }
                            " " (part.words)
                        }
                    }
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
                    p { "None of the " (self.words.entries) " " (self.filter()) "." }
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
            @if self.only_failed { (self.words.failed) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: ListWords = ListWords {
        entry: "",
        entries: "",
        failed: "",
        searched: "",
    };

    #[test]
    fn pages() {
        for (page, matching, expected) in [
            (0, 0, 0..0),
            (0, 3, 0..3),
            (1, 50, 0..50),
            (2, 50, 0..50),
            (2, 51, 50..51),
            (2, 151, 50..100),
            (usize::MAX, 151, 150..151),
        ] {
            let query = Query {
                page,
                ..Query::default()
            };
            let list = List::new(&WORDS, &query, 1000, matching, "");
            assert_eq!(list.places(), expected, "{page} of {matching}");
        }
    }
}
