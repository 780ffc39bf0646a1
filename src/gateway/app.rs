//! What all requests of a gateway share, and its routes.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::{Notify, Semaphore};

use super::body::{Limits, Receiver};
use super::group_path;
use super::keeper::Keeper;
use super::own_metrics::OwnMetrics;
use super::stats::Stats;
use super::{admin, api, changes, list, page, scrape};
use crate::web::log::Log;

/// How a gateway behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Below which path everything is: empty, or with a slash at its start and none at its end.
    pub route_prefix: String,
    /// Where the metrics are, below the prefix.
    pub telemetry_path: String,
    pub enable_admin_api: bool,
    pub enable_lifecycle: bool,
    /// Whether an inconsistent push is answered like any other. It is refused all the same.
    pub disable_consistency_check: bool,
    pub ttl: Option<std::time::Duration>,
    pub limits: Limits,
    /// The command line's options and their values, as the API shows them.
    pub flags: Vec<(String, String)>,
}

/// What all requests of a gateway share.
pub struct App {
    options: Options,
    keeper: Keeper,
    receiver: Receiver,
    large_bodies: Semaphore,
    scrapes: Semaphore,
    own: OwnMetrics,
    stats: Arc<Stats>,
    log: Log,
    start_time: SystemTime,
    quit: Arc<Notify>,
}

/// How many large bodies are read at once: each keeps a processor busy and needs several times its size.
const LARGE_BODIES: usize = 2;

/// How many scrapes are rendered at once.
const SCRAPES: usize = 2;

impl App {
    /// `quit` is notified when the gateway was asked to end.
    pub fn new(
        options: Options,
        keeper: Keeper,
        stats: Arc<Stats>,
        log: Log,
        quit: Arc<Notify>,
    ) -> Arc<App> {
        Arc::new(App {
            receiver: Receiver::new(options.limits),
            options,
            keeper,
            large_bodies: Semaphore::new(LARGE_BODIES),
            scrapes: Semaphore::new(SCRAPES),
            own: OwnMetrics::new(),
            stats,
            log,
            start_time: SystemTime::now(),
            quit,
        })
    }

    /// Its routes.
    pub fn router(self: Arc<App>) -> Router {
        Router::new().fallback(route).with_state(self)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(super) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    pub(super) fn large_bodies(&self) -> &Semaphore {
        &self.large_bodies
    }

    pub(super) fn scrapes(&self) -> &Semaphore {
        &self.scrapes
    }

    pub(super) fn own(&self) -> &OwnMetrics {
        &self.own
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn start_time(&self) -> SystemTime {
        self.start_time
    }

    pub(super) fn quit(&self) {
        self.quit.notify_one();
    }

    /// The status of a push that was taken.
    pub(super) fn pushed_status(&self) -> StatusCode {
        match self.options.disable_consistency_check {
            true => StatusCode::ACCEPTED,
            false => StatusCode::OK,
        }
    }

    /// The page at a path, which is without the prefix.
    fn page(&self, path: &str) -> Option<Page> {
        Some(match path {
            "/" | "/status" => Page::List,
            "/static/page.css" => Page::Style,
            "/static/page.js" => Page::Script,
            "/static/icon.svg" => Page::Icon,
            "/api/v1/metrics" => Page::ApiMetrics,
            "/api/v1/status" => Page::ApiStatus,
            "/api/v1/admin/wipe" if self.options.enable_admin_api => Page::Wipe,
            "/-/healthy" => Page::Healthy,
            "/-/ready" => Page::Ready,
            "/-/quit" => Page::Quit,
            path if path == self.options.telemetry_path => Page::Metrics,
            _ => return None,
        })
    }

    pub(super) fn answers_rejections(&self) -> bool {
        !self.options.disable_consistency_check
    }
}

/// What is behind the paths that name no group.
#[derive(Clone, Copy)]
enum Page {
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

async fn route(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let prefix = app.options.route_prefix.as_str();
    let path = parts.uri.path();
    let Some(path) = path.strip_prefix(prefix) else {
        return match path {
            "/" => Redirect::temporary(&format!("{prefix}/")).into_response(),
            _ => not_found(),
        };
    };
    if path.is_empty() {
        return Redirect::temporary(&format!("{prefix}/")).into_response();
    }
    let Some(page) = app.page(path) else {
        let decoded = group_path::decode(path);
        // One that cannot be decoded is told why, if it looks like a group's.
        if group_path::names_group(decoded.as_deref().unwrap_or(path)) {
            return changes::answer(app, parts, body, decoded).await;
        }
        let meant = without_slashes_too_many(path);
        return match app.page(&meant) {
            // The Pushgateway redirects all such requests, but of others clients make reads.
            Some(_) if parts.method == Method::GET => moved(&format!("{prefix}{meant}")),
            _ => not_found(),
        };
    };
    let allowed = allowed(page);
    if parts.method == Method::OPTIONS {
        return api::with_cors(
            page_is_api(page),
            [(header::ALLOW, allowed)].into_response(),
        );
    }
    if !allowed
        .split(", ")
        .any(|method| method == parts.method.as_str())
    {
        let text = match page {
            Page::Quit => "Only POST or PUT requests allowed.",
            _ => "Method Not Allowed\n",
        };
        let allow = [(header::ALLOW, allowed)];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response();
    }
    let (handler, response) = match page {
        Page::List => ("status", list::answer(&app, &parts).await),
        Page::Style => ("static", asset("text/css; charset=utf-8", page::STYLE)),
        Page::Script => (
            "static",
            asset("text/javascript; charset=utf-8", page::SCRIPT),
        ),
        Page::Icon => ("static", asset("image/svg+xml", page::ICON)),
        // Not counted, as at the Pushgateway.
        Page::Metrics => return scrape::answer(&app, &parts).await,
        Page::ApiMetrics => ("api/v1/metrics", api::metrics(&app).await),
        Page::ApiStatus => ("api/v1/status", api::status(&app)),
        Page::Wipe => ("api/v1/admin/wipe", admin::wipe(&app).await),
        Page::Healthy => ("healthy", admin::healthy(&app)),
        Page::Ready => ("ready", admin::ready(&app)),
        Page::Quit => ("quit", admin::quit(&app)),
    };
    let method = parts.method.as_str().to_ascii_lowercase();
    app.own.answered(handler, &method, response.status());
    api::with_cors(page_is_api(page), response)
}

fn allowed(page: Page) -> &'static str {
    match page {
        Page::Wipe => "OPTIONS, PUT",
        Page::Quit => "OPTIONS, POST, PUT",
        _ => "GET, OPTIONS",
    }
}

fn page_is_api(page: Page) -> bool {
    matches!(page, Page::ApiMetrics | Page::ApiStatus | Page::Wipe)
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    // Its URL is the same in the next version.
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// The path with single slashes, and with none at its end.
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
