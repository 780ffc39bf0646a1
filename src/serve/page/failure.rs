//! The last failure of a job.

use maud::{Markup, html};

use super::{Failure, Page};
use metricsjob_web::page::text::{self, visible};
use metricsjob_web::page::time;

/// How many lines of stderr are shown.
const LINES: usize = 20;

/// How it failed, and under that the rest.
pub fn details(page: &Page<'_>, failure: &Failure) -> Markup {
    let run = &failure.run;
    html! {
        details .failure {
            summary {
                "Last failure " (time::age(run.started_at, page.now)) ": " (run.why())
            }
            dl {
                dt { "Started" }
                dd { (time::exact_and_age(run.started_at, page.now)) }
                dt { "Took" }
                dd { (run.took()) }
                dt { "Run" }
                dd .raw { (visible(&run.id)) }
                @if let Some(why) = &failure.failure {
                    dt { "Why" }
                    dd { (text::lines(why.lines(), LINES)) }
                }
            }
            @if failure.tail.is_empty() {
                p .note { "Nothing of its stderr was kept." }
            } @else {
                p .note { "The last that it wrote to stderr:" }
                pre tabindex="0" dir="ltr" {
                    code { (text::lines(last(&failure.tail).iter().map(String::as_str), LINES)) }
                }
            }
        }
    }
}

fn last(lines: &[String]) -> &[String] {
    &lines[lines.len().saturating_sub(LINES)..]
}
