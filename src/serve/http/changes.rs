//! Changes of a run by the body of a request.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tokio::time::timeout;

use super::answer::error;
use crate::job::{Job, Work};
use metricsjob_client::grouping::GroupingSettings;
use metricsjob_metrics::GroupingKey;
use metricsjob_web::content_encoding::{ContentEncoding, content_encoding};

/// How large the body of a request may be.
const MAX_BODY: usize = 64 * 1024;

/// Why a run is not changed as a request wants it.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("{0}")]
    Bad(String),
    #[error(
        "params.{param}: it may not be set over HTTP; the job file of {job} allows it by http_params = [\"{param}\"]"
    )]
    NotListed { param: String, job: String },
}

impl Unfit {
    pub fn status(&self) -> StatusCode {
        match self {
            Unfit::Bad(_) => StatusCode::BAD_REQUEST,
            Unfit::NotListed { .. } => StatusCode::FORBIDDEN,
        }
    }
}

/// Changes of a run that a request may ask for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[serde(default)]
    params: Map<String, Json>,
    #[serde(default)]
    grouping: Map<String, Json>,
}

impl Changes {
    /// Reads them from a body, which has to arrive within `limit`; the error is the response that says what is
    /// wrong with the request.
    pub async fn read(headers: &HeaderMap, body: Body, limit: Duration) -> Result<Self, Response> {
        let Ok(body) = timeout(limit, to_bytes(body, MAX_BODY)).await else {
            let why = "the body did not come in time";
            return Err(error(StatusCode::REQUEST_TIMEOUT, why));
        };
        let body = body.map_err(|failure| {
            if is_too_large(&failure) {
                let why = format!("the body is larger than {MAX_BODY} bytes");
                error(StatusCode::PAYLOAD_TOO_LARGE, why)
            } else {
                error(StatusCode::BAD_REQUEST, "the body was cut off")
            }
        })?;
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
        if content_encoding(headers) != Ok(ContentEncoding::Identity) {
            let why = "a body with a Content-Encoding is not read: send it as it is";
            return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        // By itself it would take an array, too.
        let object = serde_json::from_slice::<Map<String, Json>>(&body);
        let changes = object.and_then(|object| serde_json::from_value(object.into()));
        changes.map_err(|problem| {
            let why = format!(
                "the body is not {{\"params\": {{…}}, \"grouping\": {{…}}}}, as far as it has any: {problem}"
            );
            error(StatusCode::BAD_REQUEST, why)
        })
    }

    /// The job and the grouping key of a run with them.
    pub fn apply(self, job: &Job) -> Result<(Job, GroupingKey), Unfit> {
        let mut job = job.clone();
        if let Work::Builtin(_, params) = &mut job.work {
            for (name, value) in &self.params {
                let text = match value {
                    Json::String(text) => text.clone(),
                    Json::Number(number) => number.to_string(),
                    Json::Bool(boolean) => boolean.to_string(),
                    _ => {
                        let why = format!("params.{name} must be a string, number or boolean");
                        return Err(Unfit::Bad(why));
                    }
                };
                params.set(name, text, format!("params.{name}"));
            }
        } else if let Some(name) = self.params.keys().next() {
            let job = &job.name;
            return Err(Unfit::Bad(format!(
                "params.{name}: {job} runs a command, and only a built-in has parameters"
            )));
        }
        if let Work::Builtin(builtin, params) = &job.work {
            if let Some(error) = params.unknown(builtin.name(), builtin.params()).first() {
                return Err(Unfit::Bad(error.to_string()));
            }
            // Before they are read: that may look at what they name.
            let mut given = self.params.keys();
            if let Some(name) = given.find(|name| !job.http_params.contains(name)) {
                return Err(Unfit::NotListed {
                    param: name.clone(),
                    job: job.name.clone(),
                });
            }
            let prepared = builtin.prepare(params);
            prepared.map_err(|error| Unfit::Bad(error.to_string()))?;
        }
        let mut grouping = GroupingSettings::default();
        for (name, value) in self.grouping {
            match value {
                // A placeholder would show our environment to anybody who asks.
                Json::String(value) => grouping.set_literally(name, &value),
                _ => return Err(Unfit::Bad(format!("grouping.{name} must be a string"))),
            }
        }
        let key = job.key(&grouping);
        let key = key.map_err(|error| Unfit::Bad(error.to_string()))?;
        Ok((job, key))
    }
}

fn is_too_large(failure: &axum::Error) -> bool {
    failure
        .source()
        .is_some_and(|source| source.is::<LengthLimitError>())
}
