//! Metrics of all groups, and of the gateway itself.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::task::spawn_blocking;
use url::form_urlencoded;

use super::app::App;
use super::keeper::NotKept;
use super::renderings::{Failure, Rendered, Shape, rendered};
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::selector::series_selectors;
use metricsjob_metrics::{Family, Names};
use metricsjob_state::store::Snapshot;
use metricsjob_state::store::exposition::{self, Exposition};
use metricsjob_web::negotiation::{self, Format, accepts_gzip, negotiate};

/// Responds to a scrape.
pub async fn answer(app: &Arc<App>, parts: &Parts) -> Response {
    let (format, escaping) = negotiate(&parts.headers);
    let is_gzip = accepts_gzip(&parts.headers);
    let selectors = parts.uri.query().map(selector_texts).unwrap_or_default();
    if !selectors.is_empty() {
        return selected(app, selectors, format, escaping, is_gzip).await;
    }
    let shape = Shape::Metrics {
        format,
        escaping,
        is_gzip,
    };
    match rendered(app, shape).await {
        Ok(rendered) => response(app, rendered, format, escaping, is_gzip),
        Err(failure) => failure.into_response(),
    }
}

fn response(
    app: &App,
    rendered: Rendered,
    format: Format,
    escaping: Escaping,
    is_gzip: bool,
) -> Response {
    let Rendered {
        sending,
        has_utf8_names,
    } = rendered;
    // Without such names, the content type remains what it has always been.
    let has_escaping = has_utf8_names || app.options().limits.names == Names::Utf8;
    negotiation::response(
        sending.body(),
        format,
        has_escaping.then_some(escaping),
        is_gzip,
    )
}

/// Returns the values of `match[]`.
fn selector_texts(query: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let selectors = pairs.filter(|(name, _)| name == "match[]");
    selectors.map(|(_, value)| value.into_owned()).collect()
}

/// Responds with the pushed series that one of the selectors selects. Such a rendering is not shared, so it is made as
/// those of pages are.
async fn selected(
    app: &Arc<App>,
    selectors: Vec<String>,
    format: Format,
    escaping: Escaping,
    is_gzip: bool,
) -> Response {
    let Some(_place) = app.page() else {
        return Failure::TooManyWaiting.into_response();
    };
    // Compiling large expressions takes a while.
    let selectors = match spawn_blocking(move || series_selectors(&selectors)).await {
        Ok(Ok(selectors)) => selectors,
        Ok(Err(error)) => {
            return (StatusCode::BAD_REQUEST, format!("match[]: {error}\n")).into_response();
        }
        Err(_) => return Failure::Unrendered.into_response(),
    };
    let Some(turn) = app.scrape().await else {
        return Failure::NotKept(NotKept::Ending).into_response();
    };
    let snapshot = match app.keeper().snapshot().await {
        Ok(snapshot) => snapshot,
        Err(not_kept) => return Failure::NotKept(not_kept).into_response(),
    };
    let shared = Arc::clone(app);
    let rendered = spawn_blocking(move || {
        let _turn = turn;
        let snapshot = snapshot.aggregated(&shared.options().aggregation);
        let snapshot = snapshot.selected(&selectors);
        let rendered = render(&snapshot, &[], format, escaping, is_gzip);
        let (pieces, has_utf8_names) = rendered.map_err(|_| Failure::Unrendered)?;
        let sending = shared.sendings().begin(pieces).map_err(Failure::TooMany)?;
        Ok(Rendered {
            sending,
            has_utf8_names,
        })
    });
    match rendered.await.unwrap_or(Err(Failure::Unrendered)) {
        Ok(rendered) => response(app, rendered, format, escaping, is_gzip),
        Err(failure) => failure.into_response(),
    }
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
