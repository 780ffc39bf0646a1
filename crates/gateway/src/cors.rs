//! Access to the API for pages of other origins.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use url::Url;

/// Origins whose pages may read the API; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    #[default]
    None,
    Any,
    /// The origins, as browsers send them.
    Origins(Vec<String>),
}

impl Cors {
    /// Parses the values of `--web.cors.origin`: `*`, or origins such as `https://ui.example`.
    ///
    /// # Errors
    ///
    /// The first value that is neither, with the reason.
    pub fn parse(values: &[String]) -> Result<Self, String> {
        if values.iter().any(|value| value == "*") {
            return Ok(Cors::Any);
        }
        let origin = |value: &String| {
            let origin = Url::parse(value).ok().map(|url| url.origin());
            origin
                .filter(|origin| origin.is_tuple())
                .map(|origin| origin.ascii_serialization())
                .filter(|origin| origin.eq_ignore_ascii_case(value.trim_end_matches('/')))
                .ok_or_else(|| {
                    format!(
                        "--web.cors.origin {value:?} is neither * nor the origin of a page (for example \
                         https://ui.example)"
                    )
                })
        };
        let origins: Vec<String> = values.iter().map(origin).collect::<Result<_, _>>()?;
        Ok(if origins.is_empty() {
            Cors::None
        } else {
            Cors::Origins(origins)
        })
    }

    /// Allows the page that sent `request` to read `response`, if it is permitted.
    pub fn allow(&self, request: &HeaderMap, response: &mut Response) {
        let headers = response.headers_mut();
        let allowed = match self {
            Cors::None => return,
            Cors::Any => HeaderValue::from_static("*"),
            Cors::Origins(origins) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                let origin = request.get(ORIGIN);
                let is_listed = |origin: &&HeaderValue| {
                    let mut listed = origins.iter();
                    listed.any(|listed| listed.as_bytes() == origin.as_bytes())
                };
                match origin.filter(is_listed) {
                    Some(origin) => origin.clone(),
                    None => return,
                }
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        // Those that the Pushgateway sends.
        for (name, value) in [
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "Accept, Authorization, Content-Type, Origin",
            ),
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let parsed = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Cors::parse(&values)
        };
        assert_eq!(parsed(&[]), Ok(Cors::None));
        assert_eq!(parsed(&["https://a.example", "*"]), Ok(Cors::Any));
        let listed = Cors::Origins(vec!["https://a.example".into(), "http://b:8080".into()]);
        assert_eq!(parsed(&["https://A.example/", "http://b:8080"]), Ok(listed));
        for wrong in [
            "",
            "a.example",
            ".*",
            "https://a.example/x",
            "file:///a",
            "null",
        ] {
            assert!(parsed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
