//! Deletion of groups by selectors, and a preview of it.

use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};
use tokio::task::spawn_blocking;
use tracing::info;
use url::form_urlencoded;

use super::app::App;
use super::changes::failed;
use super::keeper::NotKept;
use super::renderings::Failure;
use metricsjob_metrics::selector::{GroupFilter, SelectorError, group_selectors};
use metricsjob_metrics::{GroupingKey, unix_seconds};

/// Most bytes of the groups that a response lists.
const MAX_LISTED: usize = 1 << 20;

/// Mistake in the query of a request.
#[derive(Debug, thiserror::Error)]
enum DeletionQueryError {
    #[error(
        "match[] is missing: give it a selector of groups, such as {{job=\"ci\"}}, percent-encoded"
    )]
    NoSelector,
    #[error(transparent)]
    Selector(#[from] SelectorError),
    #[error("older_than={value:?} is not a duration: {reason} (for example 7d or 1h)")]
    Duration {
        value: String,
        reason: humantime::DurationError,
    },
    #[error("older_than={0:?} is longer ago than 1970")]
    TooOld(String),
    #[error("{name}={value:?} is neither true nor false")]
    NoBoolean { name: &'static str, value: String },
    #[error("the parameter {0} is given twice")]
    Twice(&'static str),
    /// One that is spelled wrongly must not be left out: more would be deleted than was meant.
    #[error("unknown parameter {0:?}: match[], older_than and dry_run are known")]
    Unknown(String),
}

/// Contents of a request.
struct Wanted {
    filter: GroupFilter,
    is_dry_run: bool,
}

impl Wanted {
    fn of(query: &str, now: SystemTime) -> Result<Wanted, DeletionQueryError> {
        let (mut selectors, mut older_than, mut dry_run) = (Vec::new(), None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (known, once) = match &*name {
                "match[]" => {
                    selectors.push(value);
                    continue;
                }
                "older_than" => ("older_than", &mut older_than),
                "dry_run" => ("dry_run", &mut dry_run),
                _ => return Err(DeletionQueryError::Unknown(name.chars().take(60).collect())),
            };
            if once.replace(value.into_owned()).is_some() {
                return Err(DeletionQueryError::Twice(known));
            }
        }
        if selectors.is_empty() {
            return Err(DeletionQueryError::NoSelector);
        }
        let not_pushed_since = match older_than {
            None => None,
            Some(value) => Some(since(&value, now)?),
        };
        let is_dry_run = match dry_run.as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(value) => {
                let (name, value) = ("dry_run", value.to_owned());
                return Err(DeletionQueryError::NoBoolean { name, value });
            }
        };
        Ok(Wanted {
            filter: GroupFilter {
                selectors: group_selectors(&selectors)?,
                not_pushed_since,
            },
            is_dry_run,
        })
    }
}

/// The time that was `older_than` before `now`, in seconds since the epoch.
fn since(older_than: &str, now: SystemTime) -> Result<f64, DeletionQueryError> {
    let ago: Duration = humantime::parse_duration(older_than).map_err(|reason| {
        let value = older_than.to_owned();
        DeletionQueryError::Duration { value, reason }
    })?;
    let since = unix_seconds(now) - ago.as_secs_f64();
    if since < 0.0 {
        return Err(DeletionQueryError::TooOld(older_than.to_owned()));
    }
    Ok(since)
}

/// Deletes the groups that `match[]` and `older_than` select, or with `dry_run=true` only lists them.
pub async fn answer(app: &App, parts: &Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Some(_place) = app.page() else {
        return Failure::TooManyWaiting.into_response();
    };
    // Compiling large expressions takes a while.
    let wanted = spawn_blocking(move || Wanted::of(&query, SystemTime::now())).await;
    let Wanted { filter, is_dry_run } = match wanted {
        Ok(Ok(wanted)) => wanted,
        Ok(Err(error)) => return refused(&error),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let groups = if is_dry_run {
        included(app, filter).await
    } else {
        let selectors: Vec<String> = filter.selectors.iter().map(ToString::to_string).collect();
        let deleted = app.keeper().delete_all(Some(filter)).await;
        if let Ok(deleted) = &deleted {
            let selectors = selectors.join(" or ");
            info!(
                groups = deleted.len(),
                selectors, "groups were deleted by selectors"
            );
        }
        deleted
    };
    match groups {
        Ok(groups) => listed(&groups, is_dry_run),
        Err(not_kept) => failed(&not_kept),
    }
}

async fn included(app: &App, filter: GroupFilter) -> Result<Vec<GroupingKey>, NotKept> {
    let snapshot = app.keeper().snapshot().await?;
    let included = spawn_blocking(move || {
        let groups = snapshot.sorted().into_iter();
        let groups = groups.filter(|group| group.is_included(&filter));
        groups.map(|group| group.key.clone()).collect()
    });
    included.await.map_err(|_| NotKept::Ending)
}

/// Responds with the number of groups, and as many of them as there is room for.
fn listed(groups: &[GroupingKey], is_dry_run: bool) -> Response {
    let mut room = MAX_LISTED;
    let labels = groups.iter().map_while(|key| {
        let labels: Map<String, Json> = [("job", key.job())]
            .into_iter()
            .chain(key.labels())
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let labels = Json::from(labels);
        room = room.checked_sub(labels.to_string().len())?;
        Some(json!({ "labels": labels }))
    });
    let labels: Vec<Json> = labels.collect();
    let body = json!({
        "status": "success",
        "data": { "dry_run": is_dry_run, "count": groups.len(), "groups": labels },
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.to_string()).into_response()
}

fn refused(error: &DeletionQueryError) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn queries() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let wanted = |query: &str| Wanted::of(query, now);
        let found =
            wanted("match[]={a=%22b%22}&match%5B%5D={c=%22+%22}&older_than=1d&dry_run=true");
        let Wanted { filter, is_dry_run } = found.unwrap();
        let selectors: Vec<String> = filter.selectors.iter().map(ToString::to_string).collect();
        assert_eq!(selectors, ["{a=\"b\"}", "{c=\" \"}"]);
        assert_eq!(
            (filter.not_pushed_since, is_dry_run),
            (Some(913_600.0), true)
        );

        let found = wanted("match[]={a=%22b%22}&dry_run=0").unwrap();
        assert_eq!(
            (found.filter.not_pushed_since, found.is_dry_run),
            (None, false)
        );
        for (query, message) in [
            ("", "match[] is missing"),
            ("older_than=7d", "match[] is missing"),
            ("match[]=", "selector \"\", character 1: expected {"),
            (
                "match[]={a!=%22%22}&match[]={}",
                "selector \"{}\", character 1: it selects everything",
            ),
            (
                "match[]=up{a=%22b%22}",
                "groups have labels, but no metric name",
            ),
            (
                "match[]={a=%22b%22}&older_than=7",
                "older_than=\"7\" is not a duration: ",
            ),
            (
                "match[]={a=%22b%22}&older_than=",
                "older_than=\"\" is not a duration: ",
            ),
            (
                "match[]={a=%22b%22}&older_than=90y",
                "is longer ago than 1970",
            ),
            (
                "match[]={a=%22b%22}&older-than=7d",
                "unknown parameter \"older-than\"",
            ),
            ("match={a=%22b%22}", "unknown parameter \"match\""),
            (
                "match[]={a=%22b%22}&dry_run",
                "dry_run=\"\" is neither true nor false",
            ),
            (
                "match[]={a=%22b%22}&dry_run=1&dry_run=0",
                "dry_run is given twice",
            ),
        ] {
            let error = wanted(query).err().unwrap().to_string();
            assert!(error.contains(message), "{query}: {error}");
        }
    }
}
