//! Content negotiation for metrics: the format of the response to a scrape.

use std::io::Write;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::sending::Sending;
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{protobuf, text};

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => text::CONTENT_TYPE,
            Format::OpenMetrics => text::openmetrics::CONTENT_TYPE,
            Format::Protobuf => protobuf::CONTENT_TYPE,
        }
    }
}

/// Returns the format that `Accept` prefers (RFC 9110, section 12.5.1) among the supported ones, and how the
/// client wants names that are not valid in the text format 0.0.4, which its media range says by `escaping`.
pub fn negotiate(headers: &HeaderMap) -> (Format, Escaping) {
    let mut best = (Format::Text, Escaping::default());
    let mut best_quality = 0.0;
    for accept in headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
    {
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(&str, &str)> =
                parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| {
                let found = parameters
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim_matches('"'))
            };
            let quality: f64 = parameter("q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
            let format = match name.as_str() {
                "application/openmetrics-text"
                    if matches!(parameter("version"), None | Some("1.0.0" | "0.0.1")) =>
                {
                    Format::OpenMetrics
                }
                "application/vnd.google.protobuf"
                    if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                        && parameter("encoding") == Some("delimited") =>
                {
                    Format::Protobuf
                }
                "text/plain" | "text/*" | "*/*" => Format::Text,
                _ => continue,
            };
            if quality > best_quality {
                let escaping = parameter("escaping").and_then(Escaping::from_name);
                best = (format, escaping.unwrap_or_default());
                best_quality = quality;
            }
        }
    }
    best
}

/// Returns true if the response may be compressed with gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(ACCEPT_ENCODING).iter();
    let mut encodings = encodings
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    encodings.any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts
            .any(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f64>().ok()) == Some(0.0));
        is_gzip && !refused
    })
}

/// Joins the pieces and compresses them.
pub fn gzipped(pieces: &[Bytes]) -> std::io::Result<Bytes> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        out.write_all(piece)?;
    }
    Ok(out.finish()?.into())
}

/// Returns the response to a scrape. Its content type names `escaping`, if one is given.
pub fn response(
    sending: Sending,
    format: Format,
    escaping: Option<Escaping>,
    is_gzip: bool,
) -> Response {
    let mut response = Response::new(sending.body());
    let headers = response.headers_mut();
    let mut content_type = format.content_type().to_owned();
    if let Some(escaping) = escaping {
        content_type += "; escaping=";
        content_type += escaping.name();
    }
    headers.insert(CONTENT_TYPE, content_type.parse().expect("constants"));
    headers.insert(VARY, "Accept, Accept-Encoding".parse().expect("a constant"));
    if is_gzip {
        headers.insert(CONTENT_ENCODING, "gzip".parse().expect("a constant"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> (Format, Escaping) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers)
    }

    #[test]
    fn formats() {
        const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        assert_eq!(negotiate(&HeaderMap::new()).0, Format::Text);
        for (accept, expected) in [
            ("", Format::Text),
            ("text/html, image/*;q=0.5", Format::Text),
            ("*/*", Format::Text),
            (PROTOBUF, Format::Protobuf),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "text/plain;q=0.5, application/openmetrics-text;q=0.4",
                Format::Text,
            ),
        ] {
            assert_eq!(negotiated(accept).0, expected, "{accept}");
        }
    }

    #[test]
    fn escapings() {
        assert_eq!(negotiate(&HeaderMap::new()).1, Escaping::Underscores);
        for (accept, expected) in [
            ("", Escaping::Underscores),
            ("text/plain", Escaping::Underscores),
            ("text/plain;escaping=other", Escaping::Underscores),
            ("text/plain; escaping=allow-utf-8", Escaping::AllowUtf8),
            ("*/*;escaping=\"dots\";q=0.1", Escaping::Dots),
            (
                "text/plain;escaping=values,application/openmetrics-text;escaping=dots;q=0.5",
                Escaping::Values,
            ),
            // Prometheus 3, and one whose format is not supported here.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Escaping::AllowUtf8,
            ),
            (
                "application/other;escaping=allow-utf-8,text/plain;q=0.5",
                Escaping::Underscores,
            ),
        ] {
            assert_eq!(negotiated(accept).1, expected, "{accept}");
        }
    }
}
