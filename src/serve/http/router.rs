//! Routing of requests.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::app::ServeApp;
use super::{api, list, scrape};

/// Routes of the server.
pub fn router(app: Arc<ServeApp>) -> Router {
    Router::new()
        .route("/", get(list::page))
        .route("/static/page.css", get(list::style))
        .route("/static/page.js", get(list::script))
        .route("/static/icon.svg", get(list::icon))
        .route("/metrics", get(scrape::metrics))
        .route("/health", get(api::health))
        .route("/healthz", get(api::healthz))
        .route("/-/healthy", get(api::healthy))
        .route("/-/ready", get(api::ready))
        .route("/-/reload", post(api::reload))
        .route("/api/v1/openapi.json", get(api::openapi))
        .route("/api/v1/jobs", get(api::jobs))
        .route("/api/v1/jobs/{name}", get(api::job))
        .route("/api/v1/jobs/{name}/runs", get(api::runs).post(api::start))
        .route("/api/v1/runs/{id}", get(api::run))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::method_not_allowed)
        .with_state(app)
}
