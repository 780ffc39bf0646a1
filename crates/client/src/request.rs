//! A push as a request.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::call::Credentials;
use crate::{Connection, GatewayUrl, HttpError};
use metricsjob_metrics::path::group_path;
use metricsjob_metrics::{Method, Push};

/// A push as an HTTP request, for programs that send it by an HTTP client of their own.
///
/// A gateway responds with status 200 or, if it checks nothing, 202. `Debug` shows no credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PushRequest {
    /// `PUT` or `POST`.
    pub method: reqwest::Method,
    /// URL of the group, without credentials.
    pub url: String,
    /// Format and compression of the body, credentials, and the further headers of the connection.
    pub headers: HeaderMap,
    /// The metrics.
    pub body: Vec<u8>,
}

impl PushRequest {
    pub(crate) fn new(
        url: &GatewayUrl,
        connection: &Connection,
        push: &Push,
    ) -> Result<Self, HttpError> {
        if let Some(why) = &connection.unusable {
            return Err(HttpError::Unusable(why.clone()));
        }
        let mut headers = headers(url, connection);
        for (name, value) in connection.encoding.headers() {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(PushRequest {
            method: verb(push.method()),
            url: url.join(&group_path(push.key())),
            headers,
            body: connection.encoding.body(push),
        })
    }
}

/// Returns the method in the type that HTTP clients share.
pub fn verb(method: Method) -> reqwest::Method {
    match method {
        Method::Put => reqwest::Method::PUT,
        Method::Post => reqwest::Method::POST,
    }
}

/// Returns the headers of every request to the gateway at `url`.
pub fn headers(url: &GatewayUrl, connection: &Connection) -> HeaderMap {
    let mut headers = connection.headers.clone();
    let authorization = match (url.credentials(), &connection.authorization) {
        (Some(credentials), _) => Some(basic(credentials)),
        (None, authorization) => authorization.as_ref().map(|a| a.value().clone()),
    };
    headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
    headers
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let value = format!("Basic {}", credentials.encoded());
    let mut value = HeaderValue::try_from(value).expect("Base64 is ASCII");
    value.set_sensitive(true);
    value
}
