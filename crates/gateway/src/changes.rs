//! Pushes and deletions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body as HttpBody;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method as HttpMethod, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;
use tracing::debug;

use super::app::App;
use super::body::BodyError;
use super::group_path::{self, PathError};
use super::keeper::{Accepted, NotKept, PendingPush, PushFailure};
use metricsjob_metrics::{GroupingKey, Method, TTL_HEADER};
use metricsjob_state::store::{Rejection, RenderedPush};

/// A larger body is read outside of the threads that serve the other requests.
const LARGE: usize = 64 * 1024;

/// Responds to a request for a path that names a group. `path` is percent-decoded and has no route prefix.
pub async fn answer(
    app: Arc<App>,
    parts: Parts,
    body: HttpBody,
    path: Result<String, PathError>,
) -> Response {
    let limits = app.options().limits;
    let key = path.and_then(|path| group_path::parse(&path, &limits.of_series(), limits.names));
    let method = match parts.method {
        HttpMethod::PUT => Method::Put,
        HttpMethod::POST => Method::Post,
        HttpMethod::DELETE => return delete(&app, key).await,
        HttpMethod::OPTIONS => {
            return ([(header::ALLOW, ALLOWED)], StatusCode::OK).into_response();
        }
        _ => {
            let allow = [(header::ALLOW, ALLOWED)];
            return (
                StatusCode::METHOD_NOT_ALLOWED,
                allow,
                "Method Not Allowed\n",
            )
                .into_response();
        }
    };
    let start = Instant::now();
    let (response, size) = push(&app, method, &parts, body, key).await;
    let verb = if method == Method::Put { "put" } else { "post" };
    app.own()
        .pushed(verb, response.status(), start.elapsed(), size);
    response
}

const ALLOWED: &str = "DELETE, OPTIONS, POST, PUT";

async fn delete(app: &App, key: Result<GroupingKey, PathError>) -> Response {
    let response = match key {
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
        Ok(key) => match app.keeper().delete(key).await {
            Ok(_) => StatusCode::ACCEPTED.into_response(),
            Err(not_kept) => failed(&not_kept),
        },
    };
    app.own().answered("delete", "delete", response.status());
    response
}

/// Also returns the number of bytes received.
async fn push(
    app: &Arc<App>,
    method: Method,
    parts: &Parts,
    body: HttpBody,
    key: Result<GroupingKey, PathError>,
) -> (Response, usize) {
    let key = match key {
        Ok(key) => key,
        Err(error) => return (refused(StatusCode::BAD_REQUEST, &error), 0),
    };
    let ttl = match ttl(&parts.headers) {
        Ok(ttl) => ttl,
        Err(error) => return (refused(StatusCode::BAD_REQUEST, &error), 0),
    };
    let mut received = match app.receiver().receive(&parts.headers, body).await {
        Ok(received) => received,
        Err(error) => return (refused(error.status(), &error), 0),
    };
    let size = received.size();
    let read = {
        let app = app.clone();
        let key = key.clone();
        let headers = parts.headers.clone();
        move || -> Result<PendingPush, BodyError> {
            let read = app.receiver().read(&headers, &mut received);
            app.own().churned(received.reserved());
            let (body, families) = read?;
            let report = families
                .map_err(|error| Rejection::Message(error.to_string()))
                .and_then(|families| {
                    let names = app.options().limits.names;
                    RenderedPush::of_body(body.size(), &key, families, names, app.keeper().hasher())
                });
            Ok(PendingPush {
                key,
                method,
                report,
                ttl,
                body,
                received,
            })
        }
    };
    let is_compressed = parts.headers.contains_key(header::CONTENT_ENCODING);
    let read = if size > LARGE || is_compressed {
        let Some(turn) = app.large_body().await else {
            return (failed(&NotKept::Ending), size);
        };
        let read = move || {
            let _turn = turn;
            read()
        };
        spawn_blocking(read).await.map_err(|error| error.is_panic())
    } else {
        Ok(read())
    };
    let push = match read {
        Ok(Ok(push)) => push,
        Ok(Err(error)) => return (refused(error.status(), &error), size),
        Err(has_panicked) => {
            let response = if has_panicked {
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            } else {
                failed(&NotKept::Ending)
            };
            return (response, size);
        }
    };
    let response = match app.keeper().push(push).await {
        Ok(Accepted { other_host: None }) => app.pushed_status().into_response(),
        Ok(Accepted {
            other_host: Some(host),
        }) => {
            let warning = [(header::WARNING, shared_group(&host))];
            (app.pushed_status(), warning).into_response()
        }
        Err(PushFailure::NotKept(not_kept)) => failed(&not_kept),
        Err(PushFailure::Rejected(full @ Rejection::Full { .. })) => {
            debug!(path = parts.uri.path(), err = %full, "push refused");
            refused(StatusCode::INSUFFICIENT_STORAGE, &full)
        }
        Err(PushFailure::Rejected(rejection)) => {
            app.own().rejected();
            debug!(path = parts.uri.path(), err = %rejection, "push refused");
            if app.answers_rejections() {
                rejected(&rejection)
            } else {
                app.pushed_status().into_response()
            }
        }
    };
    (response, size)
}

/// Error: the header has a value that is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("Pushgateway-TTL {value:?} is not a duration: {problem} (for example 36h, or 0 for none)")]
struct TtlError {
    value: String,
    problem: String,
}

/// Returns the time to live that the push sets for its group.
fn ttl(headers: &HeaderMap) -> Result<Option<Duration>, TtlError> {
    let Some(value) = headers.get(TTL_HEADER) else {
        return Ok(None);
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    match humantime::parse_duration(value.trim()) {
        Ok(ttl) => Ok(Some(ttl)),
        Err(error) => Err(TtlError {
            value: value.into_owned(),
            problem: error.to_string(),
        }),
    }
}

/// Value of the header `Warning` (RFC 7234, section 5.5) of a push to a group that another host has reported to.
fn shared_group(host: &str) -> String {
    // What a header cannot hold, and the quotes that would end the text.
    let host: String = host
        .escape_default()
        .filter(|symbol| !matches!(symbol, '"' | '\\'))
        .collect();
    format!(
        "299 - \"{host} has reported to this group before, and the last report replaces the others': give the hosts \
         labels of their own (instance = true in metricsjob.toml)\""
    )
}

fn rejected(rejection: &Rejection) -> Response {
    let text =
        format!("pushed metrics are invalid or inconsistent with existing metrics: {rejection}\n");
    (StatusCode::BAD_REQUEST, text).into_response()
}

fn refused(status: StatusCode, error: &dyn std::error::Error) -> Response {
    let text = format!("{error}\n");
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            (status, [(header::RETRY_AFTER, "1")], text).into_response()
        }
        _ => (status, text).into_response(),
    }
}

/// Returns the response to a request for a change that was not made.
pub(super) fn failed(not_kept: &NotKept) -> Response {
    let status = match not_kept {
        NotKept::State(_) => StatusCode::INTERNAL_SERVER_ERROR,
        NotKept::Ending => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, not_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shall_try_again_is_told_when() {
        let response = failed(&NotKept::Ending);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
