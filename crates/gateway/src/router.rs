//! Routing of requests.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::app::{App, Options};
use super::{admin, api, changes, group_path, list, page, scrape};
use metricsjob_web::files;
use metricsjob_web::instrumentation::name_endpoint;

/// Returns the router for all requests of the gateway.
pub fn router(app: Arc<App>) -> Router {
    let prefix = app.options().route_prefix.as_str().into();
    below(prefix, app)
}

/// Returns the router without the prefix, for processes of this machine, which do not know it.
pub fn local_router(app: Arc<App>) -> Router {
    below("".into(), app)
}

fn below(prefix: Arc<str>, app: Arc<App>) -> Router {
    Router::new().fallback(route).with_state((app, prefix))
}

/// Resource at a path that does not name a group.
#[derive(Clone, Copy)]
enum PageFile {
    List,
    Style,
    Script,
    Icon,
    Metrics,
    ApiMetrics,
    ApiStatus,
    Wipe,
    Healthy,
    Ready,
    Quit,
}

/// Returns the page at a path without the prefix.
fn page_at(path: &str, options: &Options) -> Option<PageFile> {
    Some(match path {
        "/" | "/status" => PageFile::List,
        "/static/page.css" => PageFile::Style,
        "/static/page.js" => PageFile::Script,
        "/static/icon.svg" => PageFile::Icon,
        "/api/v1/metrics" => PageFile::ApiMetrics,
        "/api/v1/status" => PageFile::ApiStatus,
        "/api/v1/admin/wipe" if options.enable_admin_api => PageFile::Wipe,
        "/-/healthy" => PageFile::Healthy,
        "/-/ready" => PageFile::Ready,
        "/-/quit" => PageFile::Quit,
        path if path == options.telemetry_path => PageFile::Metrics,
        _ => return None,
    })
}

async fn route(State((app, prefix)): State<(Arc<App>, Arc<str>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Some(path) = path.strip_prefix(&*prefix) else {
        return match path {
            "/" => Redirect::temporary(&format!("{prefix}/")).into_response(),
            _ => not_found(),
        };
    };
    if path.is_empty() {
        return Redirect::temporary(&format!("{prefix}/")).into_response();
    }
    let Some(page) = page_at(path, app.options()) else {
        let decoded = group_path::decode(path);
        // If it looks like the path of a group but cannot be decoded, the response says why.
        if group_path::names_group(decoded.as_deref().unwrap_or(path)) {
            name_endpoint(&parts.extensions, GROUP);
            return changes::answer(app, parts, body, decoded).await;
        }
        let meant = without_slashes_too_many(path);
        return match page_at(&meant, app.options()) {
            // The Pushgateway redirects all such requests, but clients turn the others into reads.
            Some(page) if parts.method == Method::GET => {
                name_endpoint(&parts.extensions, template(page, app.options()));
                moved(&format!("{prefix}{meant}"))
            }
            _ => not_found(),
        };
    };
    name_endpoint(&parts.extensions, template(page, app.options()));
    let allowed = allowed(page);
    if parts.method == Method::OPTIONS {
        let response = [(header::ALLOW, allowed)].into_response();
        return with_cors(&app, page, &parts, response);
    }
    if !allowed
        .split(", ")
        .any(|method| method == parts.method.as_str())
    {
        let text = match page {
            PageFile::Quit => "Only POST or PUT requests allowed.",
            _ => "Method Not Allowed\n",
        };
        let allow = [(header::ALLOW, allowed)];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response();
    }
    let (handler, response) = match page {
        PageFile::List => ("status", list::answer(&app, &parts).await),
        PageFile::Style => ("static", files::style(page::STYLE)),
        PageFile::Script => ("static", files::script(page::SCRIPT)),
        PageFile::Icon => ("static", files::icon(page::ICON)),
        // Not counted, as in the Pushgateway.
        PageFile::Metrics => return scrape::answer(&app, &parts).await,
        PageFile::ApiMetrics => ("api/v1/metrics", api::metrics(&app).await),
        PageFile::ApiStatus => ("api/v1/status", api::status(&app)),
        PageFile::Wipe => ("api/v1/admin/wipe", admin::wipe(&app).await),
        PageFile::Healthy => ("healthy", admin::healthy(&app)),
        PageFile::Ready => ("ready", admin::ready(&app)),
        PageFile::Quit => ("quit", admin::quit(&app)),
    };
    let method = parts.method.as_str().to_ascii_lowercase();
    app.own().answered(handler, &method, response.status());
    with_cors(&app, page, &parts, response)
}

/// Allows pages of other origins to read the response, if it belongs to the API and they are permitted.
fn with_cors(app: &App, page: PageFile, parts: &Parts, mut response: Response) -> Response {
    if page_is_api(page) {
        let cors = &app.options().cors;
        cors.allow(&parts.headers, &mut response);
    }
    response
}

fn allowed(page: PageFile) -> &'static str {
    match page {
        PageFile::Wipe => "OPTIONS, PUT",
        PageFile::Quit => "OPTIONS, POST, PUT",
        _ => "GET, OPTIONS",
    }
}

/// Returns the endpoint label for requests of a page. All requests for groups have [`GROUP`].
fn template(page: PageFile, options: &Options) -> &str {
    match page {
        PageFile::List => "/",
        PageFile::Style | PageFile::Script | PageFile::Icon => "/static/*",
        PageFile::Metrics => &options.telemetry_path,
        PageFile::ApiMetrics => "/api/v1/metrics",
        PageFile::ApiStatus => "/api/v1/status",
        PageFile::Wipe => "/api/v1/admin/wipe",
        PageFile::Healthy => "/-/healthy",
        PageFile::Ready => "/-/ready",
        PageFile::Quit => "/-/quit",
    }
}

const GROUP: &str = "/metrics/job/{job}/*labels";

fn page_is_api(page: PageFile) -> bool {
    matches!(
        page,
        PageFile::ApiMetrics | PageFile::ApiStatus | PageFile::Wipe
    )
}

/// Returns the path with single slashes, and without one at its end.
fn without_slashes_too_many(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| path + "/" + part)
}

fn moved(path: &str) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, path)]).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
