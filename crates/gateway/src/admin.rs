//! Health of the gateway, and actions for an administrator.

use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::info;

use super::app::App;
use super::changes::failed;

/// Deletes all groups.
pub async fn wipe(app: &App) -> Response {
    match app.keeper().delete_all(None).await {
        Ok(groups) => {
            info!(groups = groups.len(), "all groups were wiped");
            StatusCode::ACCEPTED.into_response()
        }
        Err(not_kept) => failed(&not_kept),
    }
}

/// Responds with 200, except while pushes cannot be written.
pub fn healthy(app: &App) -> Response {
    if app.own().is_failing.load(Relaxed) {
        let text = "the last change could not be written: see the gateway's log\n";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    } else {
        "OK".into_response()
    }
}

/// Responds as [`healthy`] does: the gateway listens only once all groups have been loaded.
pub fn ready(app: &App) -> Response {
    healthy(app)
}

/// Ends the gateway.
pub fn quit(app: &App) -> Response {
    if !app.options().enable_lifecycle {
        return (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.").into_response();
    }
    app.quit();
    "Requesting termination... Goodbye!".into_response()
}
