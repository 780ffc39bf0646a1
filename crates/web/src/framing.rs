//! Request heads that hyper accepts although HTTP/1.1 does not.

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

/// Reason why a request head is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the request has no Host header, which HTTP/1.1 needs")]
    NoHost,
    #[error("the request has more than one Host header")]
    Hosts,
    #[error("the Transfer-Encoding {0:?} is not known: send the body as it is, or in chunks")]
    TransferEncoding(String),
}

impl BadHead {
    pub fn status(&self) -> StatusCode {
        match self {
            BadHead::NoHost | BadHead::Hosts => StatusCode::BAD_REQUEST,
            BadHead::TransferEncoding(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

/// Performs the checks that Go's servers perform, too.
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), BadHead> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => return Err(BadHead::NoHost),
        (_, Some(_)) => return Err(BadHead::Hosts),
        _ => {}
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        // Hyper looks only at the end of the last value, and would hand over a body that is still encoded.
        _ => Err(BadHead::TransferEncoding(all_values(
            headers,
            TRANSFER_ENCODING,
        ))),
    }
}

/// Returns all values of a header that may occur more than once, in the form that a message shows.
pub fn all_values(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: Version, lines: &[(&'static str, &str)]) -> Result<(), BadHead> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(version, &headers)
    }

    #[test]
    fn hosts() {
        let host = ("host", "a");
        assert_eq!(checked(Version::HTTP_11, &[host]), Ok(()));
        assert_eq!(checked(Version::HTTP_11, &[("host", "")]), Ok(()));
        assert_eq!(checked(Version::HTTP_10, &[]), Ok(()));
        assert_eq!(checked(Version::HTTP_11, &[]), Err(BadHead::NoHost));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(checked(version, &[host, host]), Err(BadHead::Hosts));
        }
    }

    #[test]
    fn transfer_encodings() {
        let encoded = |values: &[&str]| {
            let mut lines = vec![("host", "a")];
            lines.extend(values.iter().map(|value| ("transfer-encoding", *value)));
            checked(Version::HTTP_11, &lines).map_err(|error| error.status().as_u16())
        };
        assert_eq!(encoded(&["chunked"]), Ok(()));
        assert_eq!(encoded(&["Chunked"]), Ok(()));
        for values in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["chunked", "chunked"],
            &["identity, chunked"],
            &["chunked;q=1"],
            &[", chunked"],
            &[""],
        ] {
            assert_eq!(encoded(values), Err(501), "{values:?}");
        }
    }
}
