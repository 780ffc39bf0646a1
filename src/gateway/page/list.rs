//! Which groups are listed, the other pages of the list, and what stands there when it is empty.

use std::collections::BTreeSet;

use maud::{Markup, html};
use url::form_urlencoded;

use super::text::cut;
use super::{Page, time};

impl Page<'_> {
    /// Which groups are listed, if not all, and what becomes of old ones.
    pub(super) fn heading(&self) -> Markup {
        html! {
            @if self.is_filtered() && !self.groups.is_empty() {
                p {
                    data .count value=(self.matching) data-count { (self.matching) }
                    " of them " (self.filter()) ". "
                    a href={ (self.base) "/" } { "Show all" }
                }
            }
            @if let Some(ttl) = self.ttl {
                p .note { "A group is removed " (time::length(ttl.as_secs_f64())) " after its last push, successful or not." }
            }
        }
    }

    /// Links to other pages of the list, which keep the search.
    pub(super) fn pages(&self) -> Markup {
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

    /// What stands there instead of groups.
    pub(super) fn nothing(&self) -> Markup {
        html! {
            div .nothing {
                @if self.total == 0 {
                    p { "No groups yet. Push one:" }
                    pre tabindex="0" {
                        code {
                            "echo 'some_metric 3.14' | curl --data-binary @- "
                            span data-path={ (self.base) "/metrics/job/some_job" } {
                                "http://GATEWAY" (self.base) "/metrics/job/some_job"
                            }
                        }
                    }
                } @else if self.matching == 0 {
                    p { "None of the groups " (self.filter()) "." }
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

    /// What the listed groups do, after their number.
    fn filter(&self) -> Markup {
        let search = self.search.trim();
        html! {
            @if !search.is_empty() { "match “" bdi { (cut(search)) } "”" }
            @if !search.is_empty() && self.only_failed { " and " }
            @if self.only_failed { "had their last push fail" }
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
