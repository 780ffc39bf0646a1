//! The endpoints.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use metricsjob_http::MetricsHandler;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::users::{NewUser, User, Users, active};

/// The largest body that is read.
const MAX_BODY: usize = 16 * 1024;

/// State shared by all requests.
pub struct Api {
    users: Users,
    metrics: Metrics,
    started: Instant,
    /// New users, who get an e-mail in the background.
    welcomes: mpsc::UnboundedSender<User>,
}

/// Returns the service: the API, and the metrics beside it.
pub fn router(api: &Arc<Api>, metrics: MetricsHandler) -> Router {
    let endpoints = Router::new()
        .route("/users", get(list_users).post(create_user))
        .route("/users/{id}", get(get_user))
        .route("/health", get(check_health));
    Router::new()
        .nest("/api/v1", endpoints)
        .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such path".into()))
        .method_not_allowed_fallback(async || {
            let text = "the path does not allow this method";
            Failure(StatusCode::METHOD_NOT_ALLOWED, text.into())
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::clone(api))
        // Counts and logs all that is above. Scrapes are below, and count nowhere.
        .layer(api.metrics.http.clone())
        .route_service("/metrics", metrics)
}

/// An error response.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure(status, error) = self;
        (status, Json(json!({ "error": error }))).into_response()
    }
}

impl Api {
    /// Creates the API with its first users, and starts its background jobs.
    pub fn start(metrics: Metrics) -> Api {
        let users = Users::first();
        metrics.active_users.set(active(&users.all()) as i64);
        let (welcomes, queue) = mpsc::unbounded_channel();
        tokio::spawn(welcome(queue, metrics.clone()));
        Api {
            users,
            metrics,
            started: Instant::now(),
            welcomes,
        }
    }

    /// Simulates an operation that takes up to `most` milliseconds, and records its duration and outcome.
    async fn timed<T, E>(
        &self,
        operation: &str,
        most: u64,
        result: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let milliseconds = rand::rng().random_range(0..=most);
        sleep(Duration::from_millis(milliseconds)).await;
        let result = result();
        let status = if result.is_ok() { "success" } else { "error" };
        let labels = [operation, status];
        let times = self.metrics.processing_time.with_label_values(&labels);
        times.observe(start.elapsed().as_secs_f64());
        result
    }

    fn invalid(&self, status: StatusCode, reason: impl Into<String>) -> Failure {
        self.metrics.error("validation_error", "user_service");
        Failure(status, reason.into())
    }
}

async fn list_users(State(api): State<Arc<Api>>) -> Result<Json<Value>, Failure> {
    let users = api.timed("list_users", 100, || Ok(api.users.all())).await?;
    let connections = rand::rng().random_range(5..=14);
    api.metrics.database_connections.set(connections);
    api.metrics.used("list_users", "api");
    let (total, active) = (users.len(), active(&users));
    Ok(Json(
        json!({ "users": users, "total": total, "active": active }),
    ))
}

async fn create_user(
    State(api): State<Arc<Api>>,
    body: Result<Json<NewUser>, JsonRejection>,
) -> Result<(StatusCode, Json<User>), Failure> {
    let create = || {
        let Json(new) = body.map_err(|rejection| {
            let status = match rejection.status() {
                // It is JSON, but no user.
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            };
            api.invalid(status, rejection.body_text())
        })?;
        match new.problem() {
            Some(problem) => Err(api.invalid(StatusCode::BAD_REQUEST, problem)),
            None => Ok(api.users.add(new)),
        }
    };
    let user = api.timed("create_user", 200, create).await?;
    api.metrics.registrations.inc();
    api.metrics.active_users.inc();
    api.metrics.used("create_user", "api");
    api.metrics.queue_size.inc();
    if api.welcomes.send(user.clone()).is_err() {
        api.metrics.queue_size.dec();
    }
    Ok((StatusCode::CREATED, Json(user)))
}

async fn get_user(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<User>, Failure> {
    let find = || {
        let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let number = id.parse().ok().filter(|_| is_number);
        let number = number.ok_or_else(|| {
            api.invalid(
                StatusCode::BAD_REQUEST,
                "a user's id is a number below 2^64",
            )
        })?;
        api.users.by_id(number).ok_or_else(|| {
            api.metrics.error("not_found", "user_service");
            Failure(StatusCode::NOT_FOUND, format!("there is no user {number}"))
        })
    };
    let user = api.timed("get_user", 50, find).await?;
    api.metrics.used("get_user", "api");
    Ok(Json(user))
}

async fn check_health(State(api): State<Arc<Api>>) -> (StatusCode, Json<Value>) {
    let check = || {
        let mut random = rand::rng();
        let database = random.random_bool(0.9);
        let cache = random.random_bool(0.95);
        let state = |is_up| if is_up { "up" } else { "down" };
        let checks = json!({ "database": state(database), "cache": state(cache) });
        if database && cache {
            Ok(checks)
        } else {
            Err(checks)
        }
    };
    let (code, status, checks) = match api.timed("health_check", 0, check).await {
        Ok(checks) => (StatusCode::OK, "healthy", checks),
        Err(checks) => {
            api.metrics.error("health_check_failed", "system");
            (StatusCode::SERVICE_UNAVAILABLE, "unhealthy", checks)
        }
    };
    api.metrics.used("health_check", "system");
    let body = json!({
        "status": status,
        "timestamp": Timestamp::now(),
        "checks": checks,
        "uptime": api.started.elapsed().as_secs_f64(),
    });
    (code, Json(body))
}

/// Simulates e-mails to new users, one at a time.
async fn welcome(mut queue: mpsc::UnboundedReceiver<User>, metrics: Metrics) {
    let jobs = |status| {
        metrics
            .background_jobs
            .with_label_values(&["welcome_email", status])
    };
    let (running, completed) = (jobs("running"), jobs("completed"));
    while let Some(_user) = queue.recv().await {
        metrics.queue_size.dec();
        running.inc();
        sleep(Duration::from_millis(20)).await;
        running.dec();
        completed.inc();
    }
}
