//! Rules of the web config file for requests: the checks that each has to pass, and the headers added to each
//! response.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{
    CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::rate_limit::RateLimit;
use super::users::{Checker, Users};

pub struct Gate {
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// If this is empty, everyone is admitted.
    pub users: Users,
    pub checker: Arc<Checker>,
    pub rate_limit: Option<RateLimit>,
}

impl Gate {
    /// Returns true if it passes every request and response through unchanged.
    pub fn is_open(&self) -> bool {
        self.headers.is_empty() && self.users.is_empty() && self.rate_limit.is_none()
    }

    /// Admits a request with these headers from this address, or returns the response that refuses it.
    pub async fn admit(&self, client: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Response> {
        let limit = self.rate_limit.as_ref();
        if limit.is_some_and(|limit| !limit.admits(Instant::now())) {
            return Err(refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "Too Many Requests\n",
            ));
        }
        if self.users.is_empty() || self.checker.admits(&self.users, client, headers).await {
            return Ok(());
        }
        let mut answer = refusal(StatusCode::UNAUTHORIZED, "Unauthorized\n");
        let challenge = HeaderValue::from_static("Basic");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        Err(answer)
    }

    /// Adds the configured headers to the response `answer`, except those that it already has.
    pub fn with_headers(&self, mut answer: Response) -> Response {
        for (name, value) in &self.headers {
            let entry = answer.headers_mut().entry(name);
            entry.or_insert_with(|| value.clone());
        }
        answer
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text).into_response()
}
