//! The page, with the requested jobs.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{RawQuery, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;

use super::app::ServeApp;
use crate::job::DefinedIn;
use crate::serve::job_state::JobState;
use crate::serve::page::{self, Failure, JobView, Page, RunView};
use metricsjob_metrics::unix_seconds;
use metricsjob_system::panics::point;
use metricsjob_web::files;
use metricsjob_web::page::{List, Query};

/// Responds with the page.
pub async fn page(
    State(app): State<Arc<ServeApp>>,
    RawQuery(query): RawQuery,
    extensions: Extensions,
) -> Response {
    let can_start = app.permission.check(&extensions).is_ok();
    let query = Query::of(query.as_deref().unwrap_or_default());
    let rendered = spawn_blocking(move || {
        let html = render(&app, &query, can_start);
        app.sendings.begin(vec![html.into()])
    });
    match rendered.await {
        Ok(Ok(sending)) => files::page(sending, page::CONTENT_SECURITY_POLICY),
        Ok(Err(too_many)) => too_many.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn render(app: &ServeApp, query: &Query, can_start: bool) -> String {
    let started = humantime::format_rfc3339_seconds(app.start_time).to_string();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut status = vec![("started", started), ("version", version)];
    let flags = app.flags.iter();
    status.extend(flags.map(|(name, value)| (name.as_str(), value.clone())));

    let state = app.scheduler.state();
    // With the lock that everything else needs.
    point("page");
    let has_failed = |entry: &JobState| entry.recent.back().is_some_and(RunView::has_failed);
    let is_wanted = |entry: &&JobState| {
        let plan = entry.job.plan.as_ref();
        let schedule = plan.map(|plan| plan.schedule.to_string());
        let description = entry.job.description.as_deref().unwrap_or_default();
        (!query.only_failed || has_failed(entry))
            && page::matches(
                &entry.job.name,
                description,
                schedule.as_deref(),
                &query.search,
            )
    };
    let all: Vec<&JobState> = state
        .jobs
        .values()
        .filter(|entry| is_listed(entry))
        .collect();
    let failed = all.iter().filter(|entry| has_failed(entry)).count();
    let running = all.iter().filter(|entry| !entry.running.is_empty()).count();
    let total = all.len();
    let wanted: Vec<&JobState> = all.into_iter().filter(is_wanted).collect();
    let list = List::new(&page::WORDS, query, total, wanted.len(), "");
    let shown = wanted[list.places()].iter();
    let jobs: Vec<JobView> = shown.map(|entry| job_view(app, entry)).collect();
    let problems = state.problems.clone();
    let is_ending = state.is_ending;
    drop(wanted);
    drop(state);
    Page {
        jobs: &jobs,
        list,
        failed,
        running,
        now: SystemTime::now(),
        can_start,
        is_ending,
        problems: &problems,
        status: &status,
    }
    .render()
}

/// Returns true if the page lists the job: it is of a job file, or a demo. Jobs that are only compiled in would
/// stand on each page without anybody having asked for them.
fn is_listed(entry: &JobState) -> bool {
    entry.job.is_demo || entry.job.defined_in != DefinedIn::CompiledIn
}

fn job_view(app: &ServeApp, entry: &JobState) -> JobView {
    let job = &entry.job;
    let plan = job.plan.as_ref();
    let zone = plan.and_then(|plan| plan.schedule.zone());
    let running = entry.running.values().min();
    JobView {
        name: job.name.clone(),
        description: job.description.clone().unwrap_or_default(),
        what: job.work.to_string(),
        schedule: plan.map(|plan| plan.schedule.to_string()),
        timezone: zone.map(|zone| zone.name().to_owned()),
        next_run: entry.next.map(|next| unix_seconds(next.at)),
        running: running.map(|since| unix_seconds(*since)),
        queued: entry.waiting(),
        is_demo: job.is_demo,
        can_start: app.offers(job),
        last: entry.last.as_deref().map(|last| RunView::of(&last.run)),
        recent: entry.recent.iter().cloned().collect(),
        last_failure: entry.last_failure.as_deref().map(|finished| Failure {
            run: RunView::of(&finished.run),
            failure: finished.run.failure.clone(),
            tail: finished.run.tail.clone(),
        }),
    }
}

pub async fn style() -> Response {
    files::style(page::style())
}

pub async fn script() -> Response {
    files::script(page::script())
}

pub async fn icon() -> Response {
    files::icon(page::ICON)
}
