//! The scheduler's page: its jobs, to look at, search and run.
//!
//! The page works without script; the script runs jobs and keeps what is shown up to date.

mod chart;
mod failure;
mod job;
mod run;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use maud::{DOCTYPE, Markup, html};

use metricsjob_metrics::unix_seconds;
use metricsjob_web::page::text::{self, count};
use metricsjob_web::page::{self, List, ListWords, SummaryPart, has_words, time};

pub use metricsjob_web::page::{CONTENT_SECURITY_POLICY, ICON};

/// Style sheet of the page, to be served at `{base}/static/page.css`.
pub fn style() -> String {
    page::style(include_str!("page.css"))
}

/// Script of the page, to be served at `{base}/static/page.js`.
pub fn script() -> String {
    page::script(include_str!("page.js"))
}

/// How many of the last runs the chart of a job has.
pub const BARS: usize = 30;

/// The most jobs of a list that are shown in full; of more, each is a row.
const FULL: usize = 8;

/// How many problems are shown, and how many lines of each.
const PROBLEMS: usize = 20;
const PROBLEM_LINES: usize = 10;

const TITLE: &str = "metricsjob serve";

/// Words for the list of jobs.
pub const WORDS: ListWords = ListWords {
    entry: "job",
    entries: "jobs",
    failed: "had their last run fail",
    searched: "Job, text or schedule",
};

/// Data that the page shows.
pub struct Page<'a> {
    /// The jobs of this page of the list, already filtered and sorted.
    pub jobs: &'a [JobView],
    pub list: List<'a>,
    /// How many of all jobs failed when they last ran.
    pub failed: usize,
    /// How many of all jobs are running.
    pub running: usize,
    pub now: SystemTime,
    /// True if jobs may be run from here.
    pub can_start: bool,
    /// True if the scheduler is ending, and begins no further run.
    pub is_ending: bool,
    /// Problems, such as a job file that cannot be read: a text of one or more lines each.
    pub problems: &'a [String],
    /// Build, start time, flags and the like, as name and value.
    pub status: &'a [(&'a str, String)],
}

/// A job, as the page shows it. Times are in seconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct JobView {
    pub name: String,
    pub description: String,
    /// Work that it runs: a command, or a built-in.
    pub what: String,
    /// `*/5 * * * *`, or `every 30s`.
    pub schedule: Option<String>,
    pub timezone: Option<String>,
    pub next_run: Option<f64>,
    /// Since when it runs, if it does.
    pub running: Option<f64>,
    /// How many of its runs wait for their turn.
    pub queued: usize,
    pub is_demo: bool,
    /// True if runs of it may be requested at all.
    pub can_start: bool,
    pub last: Option<RunView>,
    /// Its last runs, up to [`BARS`], the oldest first.
    pub recent: Vec<RunView>,
    pub last_failure: Option<Failure>,
}

/// A finished run, in brief. Times are in seconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct RunView {
    pub id: String,
    /// One word, one of [`Outcome::NAMES`](crate::run::Outcome::NAMES).
    pub outcome: String,
    pub exit_code: u8,
    pub started_at: f64,
    /// In seconds.
    pub duration: f64,
}

/// A run that failed.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    pub run: RunView,
    /// Why, as far as that is known beyond the outcome.
    pub failure: Option<String>,
    /// The last lines of its stderr.
    pub tail: Vec<String>,
}

impl JobView {
    /// Its last run that took place.
    fn last_begun(&self) -> Option<&RunView> {
        let runs = self.last.iter().chain(self.recent.iter().rev());
        runs.into_iter().find(|run| !run.was_skipped())
    }

    /// Its last run, if that was skipped.
    fn last_skipped(&self) -> Option<&RunView> {
        self.last.as_ref().filter(|run| run.was_skipped())
    }

    /// Returns true if its last run that took place failed, as `?failed=1` has it.
    pub fn last_failed(&self) -> bool {
        self.last_begun().is_some_and(RunView::has_failed)
    }
}

/// Returns true if a job of this name, description and schedule has every word of `search`, in any case.
pub fn matches(name: &str, description: &str, schedule: Option<&str>, search: &str) -> bool {
    let text = [name, description, schedule.unwrap_or_default()].join("\n");
    has_words(&text, search)
}

impl Page<'_> {
    /// The whole HTML document. It is bounded: some megabytes, whatever the jobs write.
    pub fn render(&self) -> String {
        let list = &self.list;
        html! {
            (DOCTYPE)
            html lang="en" {
                (page::head(TITLE, self.list.base))
                body {
                    (page::skip_link("jobs", "Skip to the jobs"))
                    (page::header(TITLE, self.list.base, "/api/v1/jobs"))
                    (list.search_form())
                    (chart::definitions())
                    (self.main())
                    footer { (page::status(self.status)) }
                    (notices())
                }
            }
        }
        .into_string()
    }

    /// Returns true if there are so many jobs that each is a row.
    fn has_rows(&self) -> bool {
        self.list.matching > FULL
    }

    fn main(&self) -> Markup {
        let list = &self.list;
        let runs = format!("{}/api/v1/runs/", self.list.base);
        html! {
            main data-now=[time::exact(unix_seconds(self.now))] data-runs=(runs) {
                @if self.is_ending {
                    p .notice data-key="ending" { "The scheduler is ending. No further run begins." }
                }
                (self.problems())
                (list.summary("jobs", &[
                    SummaryPart { kind: "failed", count: self.failed, words: "failed" },
                    SummaryPart { kind: "running", count: self.running, words: "running" },
                ]))
                (list.heading())
                @if self.jobs.is_empty() {
                    (list.nothing(no_jobs()))
                } @else {
                    ul .jobs role="list" { @for job in self.jobs { (job::item(self, job)) } }
                    (list.pages())
                }
            }
        }
    }

    fn problems(&self) -> Markup {
        html! {
            @if !self.problems.is_empty() {
                section .notice data-key="problems" {
                    h2 { (count(self.problems.len(), "problem", "problems")) }
                    ul {
                        @for problem in self.problems.iter().take(PROBLEMS) {
                            li { (text::lines(problem.lines(), PROBLEM_LINES)) }
                        }
                    }
                    @if self.problems.len() > PROBLEMS {
                        p { "And " (self.problems.len() - PROBLEMS) " more." }
                    }
                }
            }
        }
    }
}

fn no_jobs() -> Markup {
    html! {
        p { "No jobs yet. Write a file into the jobs directory, such as " code { "nightly.toml" } ":" }
        pre tabindex="0" {
            code {
                "description = \"Clean up at night\"\n"
                "command = [\"/usr/local/bin/clean-up\"]\n"
                "schedule = \"0 3 * * *\""
            }
        }
    }
}

/// Place for the notices of the script: about the server, and about finished actions.
fn notices() -> Markup {
    html! {
        div .notices {
            p #lost role="status" {}
            p #said role="status" {}
            button type="button" data-close { "Close" }
        }
    }
}
