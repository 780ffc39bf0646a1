//! A page, and the files that belong to it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::sending::Sending;

/// The answer with a page, which may load no more than `content_security_policy` says. It is not to be kept:
/// it counts ages from its own time.
pub fn page(sending: Sending, content_security_policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, content_security_policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, sending.body()).into_response()
}

/// The answer with a file that is compiled in. Its URL is the same in the next version.
fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

pub fn style(text: &'static str) -> Response {
    file("text/css; charset=utf-8", text)
}

pub fn script(text: &'static str) -> Response {
    file("text/javascript; charset=utf-8", text)
}

pub fn icon(text: &'static str) -> Response {
    file("image/svg+xml", text)
}
