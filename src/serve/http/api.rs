//! The JSON API: jobs, their runs, and how to start one. `openapi.json` describes it.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use tokio::task::spawn_blocking;
use url::form_urlencoded;

use super::answer::{answer, error};
use super::app::ServeApp;
use super::changes::Changes;
use super::json;
use crate::serve::request::{Refusal, RunRequest};
use metricsjob_state::StateError;
use metricsjob_state::history::RecordedRun;
use metricsjob_system::panics::point;

/// Description of the API.
const OPENAPI: &str = include_str!("openapi.json");

/// How many runs are listed if the request does not say.
const DEFAULT_LIMIT: u32 = 30;
const MAX_LIMIT: u32 = 1000;

/// Does work that may take a while on a blocking thread, and responds with its result.
async fn answered_by<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    match spawn_blocking(work).await {
        Ok(done) => answer(done),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "an internal error"),
    }
}

/// The part of a path that names something.
pub struct NamedJob(String);

impl<S: Send + Sync> FromRequestParts<S> for NamedJob {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(NamedJob(name)),
            // It is no text, so nothing is called so.
            Err(_) => Err(not_found().await),
        }
    }
}

pub async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub async fn jobs(State(app): State<Arc<ServeApp>>) -> Response {
    answered_by(
        move || {
            let state = app.scheduler.state();
            let jobs: Vec<Json> = state.jobs.values().map(json::job).collect();
            drop(state);
            json!({ "jobs": jobs })
        },
        |jobs| answer(StatusCode::OK, &jobs),
    )
    .await
}

pub async fn job(State(app): State<Arc<ServeApp>>, NamedJob(name): NamedJob) -> Response {
    let state = app.scheduler.state();
    match state.jobs.get(&name) {
        Some(entry) => {
            let job = json::job(entry);
            drop(state);
            answer(StatusCode::OK, &job)
        }
        None => unknown(&name),
    }
}

pub async fn runs(
    State(app): State<Arc<ServeApp>>,
    NamedJob(name): NamedJob,
    RawQuery(query): RawQuery,
) -> Response {
    let limit = match limit(query.as_deref().unwrap_or_default()) {
        Ok(limit) => limit,
        Err(problem) => return error(StatusCode::BAD_REQUEST, problem),
    };
    let Some((label, unfinished)) = unfinished(&app, &name) else {
        return unknown(&name);
    };
    answered_by(
        move || {
            let runner = app.scheduler.runner();
            let recorded = runner.read(|state| state.runs_of(&name, &label, limit))?;
            // Meanwhile some may be over.
            let over: HashSet<&str> = recorded.iter().map(|run| &*run.run_id).collect();
            let goes_on = |(id, _): &(String, Json)| !over.contains(&**id);
            let unfinished = unfinished.into_iter().filter(goes_on);
            let mut runs: Vec<Json> = unfinished.map(|(_, run)| run).collect();
            let state = app.scheduler.state();
            let triggers = state.triggers();
            drop(state);
            let trigger = |run: &RecordedRun| triggers.get(&run.run_id).copied();
            runs.extend(recorded.iter().map(|run| json::recorded(run, trigger(run))));
            runs.truncate(limit as usize);
            Ok(runs)
        },
        |runs: Result<Vec<Json>, StateError>| match runs {
            Ok(runs) => answer(StatusCode::OK, &json!({ "runs": runs })),
            Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
        },
    )
    .await
}

/// The job label of the job called `name`, and its runs that are not over with their ids, the newest first.
fn unfinished(app: &ServeApp, name: &str) -> Option<(String, Vec<(String, Json)>)> {
    let state = app.scheduler.state();
    let entry = state.jobs.get(name)?;
    let waiting = state.all_waiting();
    let waiting = waiting.filter(|request| request.job.name == name);
    let mut runs: Vec<(String, Json)> = waiting
        .map(|request| (request.id.clone(), json::queued(request)))
        .collect();
    runs.reverse();
    let running = state.active.values();
    let mut running: Vec<_> = running.filter(|run| run.request.job.name == name).collect();
    running.sort_by_key(|run| std::cmp::Reverse(run.since));
    runs.extend(running.into_iter().map(|run| {
        let json = json::running(&run.request, run.since);
        (run.request.id.clone(), json)
    }));
    Some((entry.job.job.clone(), runs))
}

/// The run with this id, if it is not over or was so lately.
fn known(app: &ServeApp, id: &str) -> Option<Json> {
    let state = app.scheduler.state();
    if let Some(run) = state.active.get(id) {
        return Some(json::running(&run.request, run.since));
    }
    if let Some(request) = state.all_waiting().find(|request| request.id == id) {
        return Some(json::queued(request));
    }
    let mut remembered = state.remembered.iter().rev();
    remembered
        .find(|finished| finished.run.run_id == id)
        .map(|finished| json::finished(finished))
}

pub async fn run(State(app): State<Arc<ServeApp>>, NamedJob(id): NamedJob) -> Response {
    if let Some(found) = known(&app, &id) {
        return answer(StatusCode::OK, &found);
    }
    let asked = id.clone();
    answered_by(
        move || app.scheduler.runner().read(|state| state.run(&asked)),
        |found| match found {
            Ok(Some(run)) => answer(StatusCode::OK, &json::recorded(&run, None)),
            Ok(None) => error(StatusCode::NOT_FOUND, format!("there is no run {id:?}")),
            Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
        },
    )
    .await
}

pub async fn start(
    State(app): State<Arc<ServeApp>>,
    NamedJob(name): NamedJob,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(why) = app.permission.check(&parts.extensions) {
        return error(StatusCode::FORBIDDEN, why.to_string());
    }
    let changes = match Changes::read(&parts.headers, body, app.read_timeout).await {
        Ok(changes) => changes,
        Err(answer) => return answer,
    };
    let job = app
        .scheduler
        .state()
        .jobs
        .get(&name)
        .map(|entry| entry.job.clone());
    let Some(job) = job else {
        return unknown(&name);
    };
    if !app.offers(&job) {
        let why = format!(
            "{name} is compiled in, and is started over HTTP with --demo only: write a job file for what is to be \
             started, with builtin = …"
        );
        return error(StatusCode::FORBIDDEN, why);
    }
    let (job, key) = match changes.apply(&job) {
        Ok(changed) => changed,
        Err(unfit) => return error(unfit.status(), unfit.to_string()),
    };
    answered_by(
        move || {
            if let Some(holder) = app.scheduler.runner().holder(&job, &key) {
                let (pid, run_id) = (holder.pid, holder.run_id);
                let busy = format!("another run is in progress ({run_id}, in process {pid})");
                return Err(Refusal::Busy(busy));
            }
            app.scheduler.ask(&name, |request| {
                request.job = Arc::new(job);
                request.key = key;
            })
        },
        |asked| match asked {
            Ok(request) => accepted(&request),
            Err(refusal) => {
                let status = match refusal {
                    Refusal::Unknown(_) => StatusCode::NOT_FOUND,
                    Refusal::Busy(_) => StatusCode::CONFLICT,
                    Refusal::Full(_) | Refusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
                };
                error(status, refusal.to_string())
            }
        },
    )
    .await
}

fn accepted(request: &RunRequest) -> Response {
    let mut response = answer(StatusCode::ACCEPTED, &json::queued(request));
    let location = format!("/api/v1/runs/{}", request.id);
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

pub async fn reload(State(app): State<Arc<ServeApp>>, parts: Parts) -> Response {
    if let Err(why) = app.permission.check(&parts.extensions) {
        return error(StatusCode::FORBIDDEN, why.to_string());
    }
    answered_by(
        move || app.reload(),
        |reloaded| match reloaded {
            Ok(reloaded) => {
                let body = json!({ "jobs": reloaded.jobs, "problems": reloaded.problems });
                answer(StatusCode::OK, &body)
            }
            Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
        },
    )
    .await
}

pub async fn health(State(app): State<Arc<ServeApp>>) -> Response {
    let uptime = app.started.elapsed();
    answered_by(
        move || app.health.checks(&app.scheduler),
        |checks| {
            let status = if checks.are_ok() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            answer(status, &checks.json(uptime))
        },
    )
    .await
}

pub async fn healthy() -> &'static str {
    point("handler");
    "metricsjob is healthy.\n"
}

/// Liveness in one word, at the path that collectors often have for it.
pub async fn healthz() -> &'static str {
    "ok"
}

pub async fn ready(State(app): State<Arc<ServeApp>>) -> Response {
    if !app.scheduler.state().is_ending {
        "metricsjob is ready.\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "metricsjob is ending.\n").into_response()
    }
}

pub async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "there is nothing at this path")
}

pub async fn method_not_allowed(method: Method) -> Response {
    let why = format!("{method} is not possible here: see the header Allow");
    error(StatusCode::METHOD_NOT_ALLOWED, why)
}

fn unknown(name: &str) -> Response {
    let refusal = Refusal::Unknown(name.to_owned());
    error(StatusCode::NOT_FOUND, refusal.to_string())
}

fn limit(query: &str) -> Result<u32, String> {
    let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "limit");
    let Some((_, text)) = given.next() else {
        return Ok(DEFAULT_LIMIT);
    };
    match text.parse() {
        _ if given.next().is_some() => Err("there is more than one limit".into()),
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(format!(
            "limit {text:?} is not a number from 1 to {MAX_LIMIT}"
        )),
    }
}
