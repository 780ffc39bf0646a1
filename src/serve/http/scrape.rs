//! The metrics, in the requested format.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::app::ServeApp;
use crate::serve::exporter::Shown;
use metricsjob_metrics::protobuf;
use metricsjob_metrics::text::rendered::{openmetrics_pieces, text_pieces};
use metricsjob_system::panics::point;
use metricsjob_web::negotiation::{self, Format, accepts_gzip, negotiate};

/// Responds to a scrape.
pub async fn metrics(State(app): State<Arc<ServeApp>>, headers: HeaderMap) -> Response {
    let (format, _) = negotiate(&headers);
    let is_gzip = accepts_gzip(&headers);
    let Ok(turn) = Arc::clone(&app.scrapes).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let rendered = spawn_blocking(move || {
        let _turn = turn;
        point("scrape");
        let mut pieces = render(&app, format);
        if is_gzip {
            pieces = vec![negotiation::gzipped(&pieces)?];
        }
        std::io::Result::Ok(app.sendings.begin(pieces))
    });
    match rendered.await {
        Ok(Ok(Ok(sending))) => negotiation::response(sending.body(), format, None, is_gzip),
        Ok(Ok(Err(too_many))) => too_many.into_response(),
        _ => {
            let text = "the metrics could not be rendered\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn render(app: &ServeApp, format: Format) -> Vec<Bytes> {
    let shown = Shown::of(&app.scheduler, app.own_families());
    match format {
        Format::Text => {
            let pieces = text_pieces(shown.rendered().into_iter());
            pieces.into_iter().map(Bytes::from).collect()
        }
        Format::OpenMetrics => {
            let pieces = openmetrics_pieces(shown.rendered());
            pieces.into_iter().map(Bytes::from).collect()
        }
        Format::Protobuf => vec![protobuf::encode(&shown.families()).into()],
    }
}
