//! Metrics of all groups, and of the gateway itself.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::app::App;
use super::renderings::{Rendered, Shape, rendered};
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{Family, Names};
use metricsjob_state::store::Snapshot;
use metricsjob_state::store::exposition::{self, Exposition};
use metricsjob_web::negotiation::{self, Format, accepts_gzip, negotiate};

/// Responds to a scrape.
pub async fn answer(app: &Arc<App>, parts: &Parts) -> Response {
    let (format, escaping) = negotiate(&parts.headers);
    let is_gzip = accepts_gzip(&parts.headers);
    let shape = Shape::Metrics {
        format,
        escaping,
        is_gzip,
    };
    let Rendered {
        sending,
        has_utf8_names,
    } = match rendered(app, shape).await {
        Ok(rendered) => rendered,
        Err(failure) => return failure.into_response(),
    };
    // Without such names, the content type remains what it has always been.
    let has_escaping = has_utf8_names || app.options().limits.names == Names::Utf8;
    negotiation::response(
        sending.body(),
        format,
        has_escaping.then_some(escaping),
        is_gzip,
    )
}

/// Also returns true if there are names that are not valid in the text format 0.0.4.
pub(super) fn render(
    snapshot: &Snapshot,
    own: &[Family],
    format: Format,
    escaping: Escaping,
    is_gzip: bool,
) -> std::io::Result<(Vec<Bytes>, bool)> {
    let of_text = |text: Exposition<Vec<String>>| {
        let pieces = text.pieces.into_iter().map(Bytes::from).collect();
        (pieces, text.has_utf8_names)
    };
    let (pieces, has_utf8_names): (Vec<Bytes>, bool) = match format {
        Format::Text => of_text(exposition::text(snapshot, own, escaping)),
        Format::OpenMetrics => of_text(exposition::openmetrics(snapshot, own, escaping)),
        Format::Protobuf => {
            let messages = exposition::protobuf(snapshot, own, escaping);
            (vec![messages.pieces.into()], messages.has_utf8_names)
        }
    };
    if !is_gzip {
        return Ok((pieces, has_utf8_names));
    }
    Ok((vec![negotiation::gzipped(&pieces)?], has_utf8_names))
}
