//! Responses in JSON.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

/// An error response that says why.
pub fn error(status: StatusCode, why: impl Into<String>) -> Response {
    answer(status, &json!({ "error": why.into() }))
}

pub fn answer(status: StatusCode, body: &Json) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}
