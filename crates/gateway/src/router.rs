//! Routes: one table of the paths that name no group, and groups for all else.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::app::{App, Options};
use super::{admin, api, changes, deletion, group_path, list, page, scrape};
use metricsjob_web::files;
use metricsjob_web::instrumentation::name_endpoint;

/// Router of a gateway, below the prefix that its options give it.
pub fn router(app: Arc<App>) -> Router {
    let prefix = app.options().route_prefix.as_str().into();
    let is_admin = app.options().enable_admin_api;
    Entrance {
        app,
        prefix,
        is_admin,
    }
    .router()
}

/// Router without the prefix, for processes of this machine, which do not know it. They may delete groups by selectors:
/// who can reach the socket can change the database too.
pub fn local_router(app: Arc<App>) -> Router {
    Entrance {
        app,
        prefix: "".into(),
        is_admin: true,
    }
    .router()
}

/// A way to the gateway.
#[derive(Clone)]
struct Entrance {
    app: Arc<App>,
    prefix: Arc<str>,
    /// True if requests may delete groups by selectors.
    is_admin: bool,
}

impl Entrance {
    fn router(self) -> Router {
        Router::new().fallback(route).with_state(self)
    }
}

type Responding<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// A path that names no group, and the response there.
struct Route {
    /// The path without the prefix. [`TELEMETRY`] stands for that of [`Options::telemetry_path`].
    path: &'static str,
    /// The value of `Allow`.
    methods: &'static str,
    /// The label `endpoint` of its requests.
    endpoint: &'static str,
    /// The label `handler` of its requests in the Pushgateway's metrics; `None` if they are not counted there.
    handler: Option<&'static str>,
    /// It is part of the API, which pages of allowed origins may read.
    is_api: bool,
    respond: for<'a> fn(&'a Arc<App>, &'a Parts) -> Responding<'a>,
}

/// The path of the metrics in [`ROUTES`].
const TELEMETRY: &str = "";

const READ: &str = "GET, OPTIONS";
const STATIC: &str = "/static/*";
const WIPE: &str = "/api/v1/admin/wipe";
const GROUPS: &str = "/api/v1/groups";
const QUIT: &str = "/-/quit";

/// The label `endpoint` of requests to groups.
const GROUP: &str = "/metrics/job/{job}/*labels";

#[rustfmt::skip]
const ROUTES: [Route; 13] = [
    Route { path: "/", methods: READ, endpoint: "/", handler: Some("status"), is_api: false,
        respond: |app, parts| Box::pin(list::answer(app, parts)) },
    Route { path: "/status", methods: READ, endpoint: "/", handler: Some("status"), is_api: false,
        respond: |app, parts| Box::pin(list::answer(app, parts)) },
    Route { path: "/static/page.css", methods: READ, endpoint: STATIC, handler: Some("static"), is_api: false,
        respond: |_, _| Box::pin(ready(files::style(page::style()))) },
    Route { path: "/static/page.js", methods: READ, endpoint: STATIC, handler: Some("static"), is_api: false,
        respond: |_, _| Box::pin(ready(files::script(page::script()))) },
    Route { path: "/static/icon.svg", methods: READ, endpoint: STATIC, handler: Some("static"), is_api: false,
        respond: |_, _| Box::pin(ready(files::icon(page::ICON))) },
    Route { path: "/api/v1/metrics", methods: READ, endpoint: "/api/v1/metrics", handler: Some("api/v1/metrics"), is_api: true,
        respond: |app, _| Box::pin(api::metrics(app)) },
    Route { path: "/api/v1/status", methods: READ, endpoint: "/api/v1/status", handler: Some("api/v1/status"), is_api: true,
        respond: |app, _| Box::pin(ready(api::status(app))) },
    Route { path: WIPE, methods: "OPTIONS, PUT", endpoint: WIPE, handler: Some("api/v1/admin/wipe"), is_api: true,
        respond: |app, _| Box::pin(admin::wipe(app)) },
    Route { path: GROUPS, methods: "DELETE, OPTIONS", endpoint: GROUPS, handler: Some("api/v1/groups"), is_api: true,
        respond: |app, parts| Box::pin(deletion::answer(app, parts)) },
    Route { path: "/-/healthy", methods: READ, endpoint: "/-/healthy", handler: Some("healthy"), is_api: false,
        respond: |app, _| Box::pin(ready(admin::healthy(app))) },
    Route { path: "/-/ready", methods: READ, endpoint: "/-/ready", handler: Some("ready"), is_api: false,
        respond: |app, _| Box::pin(ready(admin::ready(app))) },
    Route { path: QUIT, methods: "OPTIONS, POST, PUT", endpoint: QUIT, handler: Some("quit"), is_api: false,
        respond: |app, _| Box::pin(ready(admin::quit(app))) },
    // Last, so that it cannot take the path of another. It is not counted, as at the Pushgateway.
    Route { path: TELEMETRY, methods: READ, endpoint: TELEMETRY, handler: None, is_api: false,
        respond: |app, parts| Box::pin(scrape::answer(app, parts)) },
];

impl Route {
    /// Returns the route at `path`, which is without the prefix.
    fn at(path: &str, options: &Options, is_admin: bool) -> Option<&'static Route> {
        let is_there = |route: &&Route| match route.path {
            TELEMETRY => path == options.telemetry_path,
            WIPE => path == WIPE && options.enable_admin_api,
            GROUPS => path == GROUPS && is_admin,
            named => path == named,
        };
        ROUTES.iter().find(is_there)
    }

    /// The label `endpoint` of its requests.
    fn endpoint<'a>(&self, options: &'a Options) -> &'a str {
        if self.path == TELEMETRY {
            &options.telemetry_path
        } else {
            self.endpoint
        }
    }

    fn allows(&self, method: &Method) -> bool {
        let mut methods = self.methods.split(", ");
        methods.any(|allowed| allowed == method.as_str())
    }

    /// Lets pages of other origins read the response, if it is of the API and they may.
    fn with_cors(&self, app: &App, parts: &Parts, mut response: Response) -> Response {
        if self.is_api {
            app.options().cors.allow(&parts.headers, &mut response);
        }
        response
    }
}

async fn route(State(entrance): State<Entrance>, request: Request) -> Response {
    let Entrance {
        app,
        prefix,
        is_admin,
    } = entrance;
    let (parts, body) = request.into_parts();
    let options = app.options();
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
    let Some(route) = Route::at(path, options, is_admin) else {
        let decoded = group_path::decode(path);
        // A path that cannot be decoded gets the reason, if it looks like a group's.
        if group_path::names_group(decoded.as_deref().unwrap_or(path)) {
            name_endpoint(&parts.extensions, GROUP);
            return changes::answer(app, parts, body, decoded).await;
        }
        let meant = without_slashes_too_many(path);
        return match Route::at(&meant, options, is_admin) {
            // The Pushgateway redirects all such requests, but of others clients make reads.
            Some(route) if parts.method == Method::GET => {
                name_endpoint(&parts.extensions, route.endpoint(options));
                moved(&format!("{prefix}{meant}"))
            }
            _ => not_found(),
        };
    };
    name_endpoint(&parts.extensions, route.endpoint(options));
    let allow = [(header::ALLOW, route.methods)];
    if parts.method == Method::OPTIONS {
        return route.with_cors(&app, &parts, allow.into_response());
    }
    if !route.allows(&parts.method) {
        let text = match route.path {
            QUIT => "Only POST or PUT requests allowed.",
            _ => "Method Not Allowed\n",
        };
        return (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response();
    }
    let response = (route.respond)(&app, &parts).await;
    let Some(handler) = route.handler else {
        return response;
    };
    // Of those that the routes allow, as the Pushgateway spells them.
    let method = match parts.method {
        Method::PUT => "put",
        Method::POST => "post",
        Method::DELETE => "delete",
        _ => "get",
    };
    app.own().answered(handler, method, response.status());
    route.with_cors(&app, &parts, response)
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
