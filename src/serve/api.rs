//! The JSON API: jobs, their runs, and how to start one. `openapi.json` describes it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::form_urlencoded;

use super::app::App;
use super::json;
use super::request::{Refusal, Request as RunRequest};
use crate::job::{Job, Work};
use crate::metrics::GroupingKey;

/// What describes the API.
const OPENAPI: &str = include_str!("openapi.json");

/// How large the body of a request may be.
const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many runs are listed if the request does not say.
const DEFAULT_LIMIT: u32 = 30;
const MAX_LIMIT: u32 = 1000;

/// An answer that says why it is none.
pub fn error(status: StatusCode, why: impl Into<String>) -> Response {
    answer(status, &json!({ "error": why.into() }))
}

pub fn answer(status: StatusCode, body: &Json) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Does what may take a while, and answers with its result.
async fn answered_by<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    match spawn_blocking(work).await {
        Ok(done) => answer(done),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "an internal error"),
    }
}

pub async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub async fn jobs(State(app): State<Arc<App>>) -> Response {
    answered_by(
        move || {
            let board = app.scheduler.board();
            let jobs: Vec<Json> = board.jobs.values().map(json::job).collect();
            drop(board);
            json!({ "jobs": jobs })
        },
        |jobs| answer(StatusCode::OK, &jobs),
    )
    .await
}

pub async fn job(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let board = app.scheduler.board();
    match board.jobs.get(&name) {
        Some(entry) => {
            let job = json::job(entry);
            drop(board);
            answer(StatusCode::OK, &job)
        }
        None => unknown(&name),
    }
}

pub async fn runs(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let limit = match limit(query.as_deref().unwrap_or_default()) {
        Ok(limit) => limit,
        Err(problem) => return error(StatusCode::BAD_REQUEST, problem),
    };
    let Some((label, mut runs)) = unfinished(&app, &name) else {
        return unknown(&name);
    };
    runs.truncate(limit as usize);
    let left = limit - runs.len() as u32;
    answered_by(
        move || {
            app.scheduler
                .runner()
                .read(|state| state.runs_of(&name, &label, left))
        },
        |recorded| match recorded {
            Ok(recorded) => {
                runs.extend(recorded.iter().map(|run| json::recorded(run, None)));
                answer(StatusCode::OK, &json!({ "runs": runs }))
            }
            Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
        },
    )
    .await
}

/// The job label of the job called `name`, and its runs that are not over, the newest first.
fn unfinished(app: &App, name: &str) -> Option<(String, Vec<Json>)> {
    let board = app.scheduler.board();
    let entry = board.jobs.get(name)?;
    let waiting = board.queue.iter().chain(&entry.pending);
    let waiting = waiting.filter(|request| request.job.name == name);
    let mut runs: Vec<Json> = waiting.map(json::queued).collect();
    runs.reverse();
    let running = board.active.values();
    let mut running: Vec<_> = running.filter(|run| run.request.job.name == name).collect();
    running.sort_by_key(|run| std::cmp::Reverse(run.since));
    let running = running.into_iter();
    runs.extend(running.map(|run| json::running(&run.request, run.since)));
    Some((entry.job.job.clone(), runs))
}

/// The run with this id, if it is not over or was so lately.
fn known(app: &App, id: &str) -> Option<Json> {
    let board = app.scheduler.board();
    if let Some(run) = board.active.get(id) {
        return Some(json::running(&run.request, run.since));
    }
    if let Some(request) = board.waiting(id) {
        return Some(json::queued(request));
    }
    let mut remembered = board.remembered.iter().rev();
    remembered
        .find(|finished| finished.run.run_id == id)
        .map(|finished| json::finished(finished))
}

pub async fn run(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
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

/// What a request may change of a run.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    params: Map<String, Json>,
    #[serde(default)]
    grouping: Map<String, Json>,
}

pub async fn start(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(why) = app.permission.granted_to().check(&parts.headers) {
        return error(StatusCode::FORBIDDEN, why);
    }
    let changes = match changes(&parts.headers, body).await {
        Ok(changes) => changes,
        Err(answer) => return answer,
    };
    let job = app
        .scheduler
        .board()
        .jobs
        .get(&name)
        .map(|entry| entry.job.clone());
    let Some(job) = job else {
        return unknown(&name);
    };
    let (job, key) = match changed(&job, changes) {
        Ok(changed) => changed,
        Err(problem) => return error(StatusCode::BAD_REQUEST, problem),
    };
    answered_by(
        move || {
            if let Some(holder) = app.scheduler.runner().holder(&job, &key) {
                let (pid, run_id) = (holder.pid, holder.run_id);
                let busy = format!("another run goes on ({run_id}, in process {pid})");
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

pub async fn reload(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(why) = app.permission.granted_to().check(&headers) {
        return error(StatusCode::FORBIDDEN, why);
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

pub async fn health(State(app): State<Arc<App>>) -> Response {
    let uptime = app.started.elapsed();
    answered_by(
        move || app.health.checks(&app.scheduler),
        |checks| {
            let status = match checks.are_ok() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            answer(status, &checks.json(uptime))
        },
    )
    .await
}

pub async fn healthy() -> &'static str {
    "metricsjob is healthy.\n"
}

pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.scheduler.board().is_ending {
        false => "metricsjob is ready.\n".into_response(),
        true => (StatusCode::SERVICE_UNAVAILABLE, "metricsjob is ending.\n").into_response(),
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
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "limit");
    let Some((_, text)) = given else {
        return Ok(DEFAULT_LIMIT);
    };
    match text.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(format!("limit {text:?} is no number from 1 to {MAX_LIMIT}")),
    }
}

async fn changes(headers: &HeaderMap, body: Body) -> Result<Changes, Response> {
    let Ok(body) = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await else {
        return Err(error(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        ));
    };
    let Ok(body) = body else {
        let why = format!("the body is larger than {MAX_BODY} bytes, or was cut off");
        return Err(error(StatusCode::PAYLOAD_TOO_LARGE, why));
    };
    let media_type = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    let essence = media_type.and_then(|value| value.split(';').next());
    match essence.map(|essence| essence.trim().to_ascii_lowercase()) {
        None if body.is_empty() => {}
        Some(essence) if essence == "application/json" => {}
        _ => {
            let given = media_type.unwrap_or("none");
            let why = format!("the content type must be application/json, and is {given}");
            return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
    }
    if body.is_empty() {
        return Ok(Changes::default());
    }
    serde_json::from_slice(&body).map_err(|problem| {
        let why = format!(
            "the body is not {{\"params\": {{…}}, \"grouping\": {{…}}}}, as far as it has any: {problem}"
        );
        error(StatusCode::BAD_REQUEST, why)
    })
}

/// The job and the grouping key of a run with these changes.
fn changed(job: &Job, changes: Changes) -> Result<(Job, GroupingKey), String> {
    let mut job = job.clone();
    if let Work::Builtin(_, params) = &mut job.work {
        for (name, value) in &changes.params {
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                Json::Bool(boolean) => boolean.to_string(),
                _ => return Err(format!("params.{name} must be a string, number or boolean")),
            };
            params.set(name, text, format!("params.{name}"));
        }
    } else if let Some(name) = changes.params.keys().next() {
        let job = &job.name;
        return Err(format!(
            "params.{name}: {job} runs a command, and only a built-in has parameters"
        ));
    }
    if let Work::Builtin(builtin, params) = &job.work {
        if let Some(error) = params.unknown(builtin.name(), builtin.params()).first() {
            return Err(error.to_string());
        }
        builtin.prepare(params).map_err(|error| error.to_string())?;
    }
    let mut labels = Vec::new();
    for (name, value) in changes.grouping {
        match value {
            Json::String(value) => labels.push((name, value)),
            _ => return Err(format!("grouping.{name} must be a string")),
        }
    }
    let key = job.key(labels).map_err(|error| error.to_string())?;
    Ok((job, key))
}
