//! The metrics of all groups, and the gateway's own.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::app::App;
use super::changes::failed;
use super::keeper::NotKept;
use crate::metrics::escaping::Escaping;
use crate::metrics::{Family, Names};
use crate::panics::point;
use crate::store::Snapshot;
use crate::store::exposition::{self, Exposition};
use crate::web::negotiation::{self, Format, accepts_gzip, negotiate};

/// Answers a scrape.
pub async fn answer(app: &Arc<App>, parts: &Parts) -> Response {
    let (format, escaping) = negotiate(&parts.headers);
    let is_gzip = accepts_gzip(&parts.headers);
    let Some(turn) = app.scrape().await else {
        return failed(&NotKept::Ending);
    };
    let snapshot = match app.keeper().snapshot().await {
        Ok(snapshot) => snapshot,
        Err(not_kept) => return failed(&not_kept),
    };
    let rendered = spawn_blocking({
        let app = Arc::clone(app);
        move || {
            let _turn = turn;
            point("scrape");
            let own = app.families();
            let (pieces, has_utf8_names) = render(&snapshot, &own, format, escaping, is_gzip)?;
            std::io::Result::Ok((app.sendings().begin(pieces), has_utf8_names))
        }
    });
    let (sending, has_utf8_names) = match rendered.await {
        Ok(Ok((Ok(sending), has_utf8_names))) => (sending, has_utf8_names),
        Ok(Ok((Err(too_many), _))) => return too_many.into_response(),
        _ => {
            let text = "the metrics could not be rendered\n";
            return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        }
    };
    // Where there can be no such names, it is what it has always been.
    let has_escaping = has_utf8_names || app.options().limits.names == Names::Utf8;
    negotiation::response(sending, format, has_escaping.then_some(escaping), is_gzip)
}

/// Returns whether there are names that are none of the text format 0.0.4, too.
fn render(
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
