//! Content negotiation for metrics: the format of the response to a scrape.
//!
//! [`MetricsHandler`](crate::MetricsHandler) does all of it for a registry. This is for handlers of other metrics.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};

use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{Family, protobuf, text};

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Delimited protobuf messages.
    Protobuf,
}

impl Format {
    /// Returns the format's media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => text::CONTENT_TYPE,
            Format::OpenMetrics => text::openmetrics::CONTENT_TYPE,
            Format::Protobuf => protobuf::CONTENT_TYPE,
        }
    }

    /// Encodes families in the format.
    pub fn encode(self, families: &[Family]) -> Bytes {
        match self {
            Format::Text => text::encode(families).into(),
            Format::OpenMetrics => text::openmetrics::encode(families).into(),
            Format::Protobuf => protobuf::encode(families).into(),
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
        let mut parameters = parts.filter_map(|part| part.split_once('='));
        let refused = parameters
            .any(|(name, value)| name.eq_ignore_ascii_case("q") && value.parse::<f64>() == Ok(0.0));
        is_gzip && !refused
    })
}

/// Joins the pieces and compresses them by gzip.
///
/// # Errors
///
/// Fails if there is not enough memory for the compressor.
pub fn gzipped(pieces: &[Bytes]) -> std::io::Result<Bytes> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        out.write_all(piece)?;
    }
    Ok(out.finish()?.into())
}

/// Returns the response to a scrape. Its content type names `escaping`, if one is given.
pub fn response<B>(
    body: B,
    format: Format,
    escaping: Option<Escaping>,
    is_gzip: bool,
) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let mut content_type = format.content_type().to_owned();
    if let Some(escaping) = escaping {
        content_type += "; escaping=";
        content_type += escaping.name();
    }
    headers.insert(CONTENT_TYPE, content_type.parse().expect("constants"));
    let vary = HeaderValue::from_static("Accept, Accept-Encoding");
    headers.insert(VARY, vary);
    if is_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
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
