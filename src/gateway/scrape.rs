//! The metrics of all groups, and the gateway's own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as HttpBody;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::spawn_blocking;

use super::app::App;
use crate::metrics::{protobuf, text};
use crate::store::{Snapshot, exposition};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Format::Text => text::CONTENT_TYPE,
            Format::OpenMetrics => text::openmetrics::CONTENT_TYPE,
            Format::Protobuf => protobuf::CONTENT_TYPE,
        }
    }
}

/// Answers a scrape.
pub async fn answer(app: &App, parts: &Parts) -> Response {
    let format = negotiate(&parts.headers);
    let is_gzip = accepts_gzip(&parts.headers);
    let Ok(_turn) = app.scrapes().acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let snapshot = match app.keeper().snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
        }
    };
    let own = app.own().families(app.stats(), app.start_time());
    let rendered = spawn_blocking(move || render(&snapshot, &own, format, is_gzip)).await;
    let Ok(Ok(pieces)) = rendered else {
        let text = "the metrics could not be rendered\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    };
    let body = HttpBody::new(UnsyncBoxBody::new(Pieces::new(pieces)));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        format.content_type().parse().expect("a constant"),
    );
    headers.insert(VARY, "Accept, Accept-Encoding".parse().expect("a constant"));
    if is_gzip {
        headers.insert(CONTENT_ENCODING, "gzip".parse().expect("a constant"));
    }
    response
}

fn render(
    snapshot: &Snapshot,
    own: &[crate::metrics::Family],
    format: Format,
    is_gzip: bool,
) -> std::io::Result<Vec<Bytes>> {
    let pieces: Vec<Bytes> = match format {
        Format::Text => exposition::text(snapshot, own)
            .into_iter()
            .map(Bytes::from)
            .collect(),
        Format::OpenMetrics => exposition::openmetrics(snapshot, own)
            .into_iter()
            .map(Bytes::from)
            .collect(),
        Format::Protobuf => vec![exposition::protobuf(snapshot, own).into()],
    };
    if !is_gzip {
        return Ok(pieces);
    }
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        out.write_all(&piece)?;
    }
    Ok(vec![out.finish()?.into()])
}

/// The format that is preferred by `Accept` (RFC 9110, section 12.5.1), among those we have.
fn negotiate(headers: &HeaderMap) -> Format {
    let mut best = (Format::Text, 0.0);
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
            if quality > best.1 {
                best = (format, quality);
            }
        }
    }
    best.0
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
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

/// A body of pieces that follow each other.
struct Pieces {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Pieces {
    fn new(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        Pieces { pieces, left }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers)
    }

    #[test]
    fn formats() {
        const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        assert_eq!(negotiate(&HeaderMap::new()), Format::Text);
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
            assert_eq!(format(accept), expected, "{accept}");
        }
    }
}
