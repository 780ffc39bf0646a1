//! One job of the list.

use maud::{Markup, html};
use percent_encoding::utf8_percent_encode;

use super::{JobView, Page, chart, failure};
use metricsjob_metrics::path::ENCODED;
use metricsjob_web::page::text::{cut, cut_as, visible};
use metricsjob_web::page::time;

/// The job as an item of the list: all of it, or if there are many, a row with the rest on demand. The script
/// depends on the order of the parts; `data-key` tells it which item is which.
pub fn item(page: &Page<'_>, job: &JobView) -> Markup {
    let key = utf8_percent_encode(&job.name, ENCODED).to_string();
    let path = format!("{}/api/v1/jobs/{key}", page.list.base);
    if page.has_rows() {
        return html! {
            li .job .compact data-key=(key) {
                details .row {
                    summary {
                        (title(job))
                        (in_brief(page, job))
                    }
                    div .inside { (details(page, job, &path)) }
                }
                (button(page, job, &path))
            }
        };
    }
    html! {
        li .job data-key=(key) {
            div .head {
                div .title { (title(job)) }
                (button(page, job, &path))
            }
            (details(page, job, &path))
        }
    }
}

fn title(job: &JobView) -> Markup {
    html! {
        h3 { bdi { (cut(&job.name)) } }
        @if job.is_demo { span .badge .demo { "Demo" } }
        (state(job))
    }
}

fn details(page: &Page<'_>, job: &JobView, path: &str) -> Markup {
    html! {
        @if !job.description.is_empty() { p .description { bdi { (cut(&job.description)) } } }
        div .body {
            (facts(page, job))
            (chart::figure(&job.recent))
            p .links {
                span { "As JSON:" }
                a href=(path) { "job" }
                a href={ (path) "/runs" } { "its runs" }
            }
        }
        @if let Some(failure) = &job.last_failure { (failure::details(page, failure)) }
    }
}

/// Failures and times, for the row of the job.
fn in_brief(page: &Page<'_>, job: &JobView) -> Markup {
    html! {
        span .facts {
            @let failures = chart::failures(&job.recent);
            // A badge has the failure if it was the last run.
            @if let Some(failure) = job.last_failure.as_ref().filter(|_| !job.last_failed()) {
                span {
                    @if let Some(failures) = failures { (failures) ", last " } @else { "Last failure " }
                    (time::age(failure.run.started_at, page.now)) ": " (failure.run.why())
                }
                " "
            } @else if let Some(failures) = failures {
                span { (failures) }
                " "
            }
            @if let Some(run) = job.last_begun() {
                span { "Ran " (time::age(run.started_at, page.now)) }
                " "
            }
            @if let Some(next) = job.next_run { span { "Next run " (time::due(next, page.now)) } }
        }
    }
}

/// Badges for its current state, for the end of its last run, and for a run that was skipped since.
fn state(job: &JobView) -> Markup {
    html! {
        span .state {
            @if job.running.is_some() { span .badge .running { "Running" } " " }
            @if job.queued > 0 { span .badge .queued { (job.queued) " queued" } " " }
            @match (job.last_begun(), job.last_skipped()) {
                (Some(run), None) | (None, Some(run)) => (run.badge()),
                (Some(run), Some(skipped)) => { (run.badge()) " " (skipped.badge()) },
                (None, None) => span .badge .neither { "Not run yet" },
            }
        }
    }
}

/// Hidden and without use until the script shows it.
fn button(page: &Page<'_>, job: &JobView, path: &str) -> Markup {
    html! {
        @if page.can_start && job.can_start {
            button type="button" hidden disabled[page.is_ending] data-start={ (path) "/runs" }
                aria-label={ "Run now: " (visible(&job.name)) } { "Run now" }
        }
    }
}

fn facts(page: &Page<'_>, job: &JobView) -> Markup {
    html! {
        dl {
            dt { "Runs" }
            dd .raw { bdi { (command(&job.what)) } }
            dt { "Schedule" }
            dd {
                @match &job.schedule {
                    Some(schedule) => {
                        span .raw { bdi { (cut(schedule)) } }
                        @if let Some(zone) = &job.timezone { " " span .zone { bdi { (cut(zone)) } } }
                    }
                    None => "none",
                }
            }
            @if let Some(next) = job.next_run {
                dt { "Next run" }
                dd { (time::due(next, page.now)) }
            }
            @if let Some(since) = job.running {
                dt { "Running" }
                dd { "since " (time::exact_and_age(since, page.now)) }
            }
            @if let Some(run) = job.last_begun() {
                dt { "Last run" }
                dd { (time::age(run.started_at, page.now)) ", took " span .exact { (run.took()) } }
            }
            @if let Some(run) = job.last_skipped() {
                dt { "Skipped" }
                dd { (time::age(run.started_at, page.now)) }
            }
        }
    }
}

/// A command, of which options stay together where a line is too narrow: a browser would break it after
/// a hyphen. The lines of a script stand in one.
fn command(text: &str) -> Markup {
    let lines = text.trim().lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ⏎ ").replace('\t', " ");
    cut_as(&text, |shown| {
        html! {
            @for (index, word) in shown.split(' ').enumerate() {
                @if index > 0 { " " }
                span .word { (visible(word)) }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_stands_in_one_line() {
        let word = |text: &str| format!("<span class=\"word\">{text}</span>");
        let words = ["sh", "-c", "a", "⏎", "b"].map(word).join(" ");
        assert_eq!(command("sh -c a\n\n\tb\n").0, words);
    }
}
