//! Responses with a page, and with the files that belong to it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::sending::Sending;

/// Returns the response with a page that may load only what `content_security_policy` allows. It must not be
/// cached, because its ages count from the time of the response.
pub fn page(sending: Sending, content_security_policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, content_security_policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, sending.body()).into_response()
}

/// Returns the response with a file that is compiled in. Its URL stays the same in the next version.
fn file(media_type: &'static str, text: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

pub fn style(text: String) -> Response {
    file("text/css; charset=utf-8", text)
}

pub fn script(text: String) -> Response {
    file("text/javascript; charset=utf-8", text)
}

pub fn icon(text: &'static str) -> Response {
    file("image/svg+xml", text)
}
