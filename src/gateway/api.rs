//! The JSON API, in the Pushgateway's shapes.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;

use super::app::App;
use super::changes::failed;
use super::keeper::NotKept;
use super::own_metrics;
use crate::metrics::{Family, LAST_SECOND, Labels, Value, text};
use crate::store::{StoredGroup, exposition};

/// All groups.
pub async fn metrics(app: &Arc<App>) -> Response {
    let Some(turn) = app.scrape().await else {
        return failed(&NotKept::Ending);
    };
    let snapshot = match app.keeper().snapshot().await {
        Ok(snapshot) => snapshot,
        Err(not_kept) => return failed(&not_kept),
    };
    let app = Arc::clone(app);
    let rendered = spawn_blocking(move || {
        let _turn = turn;
        let mut out = String::from(r#"{"status":"success","data":["#);
        for (at, group) in snapshot.sorted().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&group_json(group).to_string());
        }
        out.push_str("]}");
        app.sendings().begin(vec![out.into()])
    })
    .await;
    match rendered {
        Ok(Ok(sending)) => answer(sending.body()),
        Ok(Err(too_many)) => too_many.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The build, the flags and the start.
pub fn status(app: &App) -> Response {
    let flags: Map<String, Json> = (app.options().flags.iter())
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let build: Map<String, Json> = own_metrics::BUILD
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let status = json!({
        "status": "success",
        "data": {
            "build_information": build,
            "flags": flags,
            "start_time": humantime::format_rfc3339_nanos(app.start_time()).to_string(),
        },
    });
    answer(status.to_string().into())
}

fn answer(body: HttpBody) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    (headers, body).into_response()
}

/// Lets pages of other origins read the answer, if it is of the API.
pub fn with_cors(is_api: bool, mut response: Response) -> Response {
    if is_api {
        let headers = response.headers_mut();
        for (name, value) in [
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "Accept, Authorization, Content-Type, Origin",
            ),
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn group_json(group: &Arc<StoredGroup>) -> Json {
    let group = group.to_group();
    let mut labels = Map::new();
    labels.insert("job".into(), group.key.job().into());
    labels.extend(strings(group.key.labels()));
    let mut json = Map::new();
    json.insert("labels".into(), labels.into());
    let is_success = group.push_time >= group.push_failure_time;
    json.insert("last_push_successful".into(), is_success.into());
    let times = [group.push_time, group.push_failure_time];
    let time = times.into_iter().fold(0.0, f64::max).min(LAST_SECOND);
    let time = Duration::from_secs_f64(time);
    let time = humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + time).to_string();
    for family in exposition::time_families(&group)
        .iter()
        .chain(&group.families)
    {
        json.insert(family.name.clone(), family_json(family, &time));
    }
    json.into()
}

fn family_json(family: &Family, time: &str) -> Json {
    let mut json = Map::new();
    json.insert("time_stamp".into(), time.into());
    let kind = family.kind.name().to_ascii_uppercase();
    json.insert("type".into(), kind.into());
    if !family.help.is_empty() {
        json.insert("help".into(), family.help.clone().into());
    }
    let metrics = family.metrics.iter().map(|metric| {
        let mut json = Map::new();
        json.insert(
            "labels".into(),
            strings(&metric.labels).collect::<Map<_, _>>().into(),
        );
        match &metric.value {
            Value::Number(value) => {
                json.insert("value".into(), number(*value).into());
            }
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                let quantiles = quantiles
                    .iter()
                    .map(|q| (number(q.quantile), number(q.value).into()));
                json.insert("quantiles".into(), quantiles.collect::<Map<_, _>>().into());
                json.insert("count".into(), number(*count as f64).into());
                json.insert("sum".into(), number(*sum).into());
            }
            Value::Histogram {
                count,
                sum,
                buckets,
                ..
            } => {
                let buckets = buckets
                    .iter()
                    .map(|b| (number(b.upper_bound), number(b.count as f64).into()));
                json.insert("buckets".into(), buckets.collect::<Map<_, _>>().into());
                json.insert("count".into(), number(*count as f64).into());
                json.insert("sum".into(), number(*sum).into());
            }
        }
        Json::Object(json)
    });
    json.insert("metrics".into(), metrics.collect());
    json.into()
}

fn strings(labels: &Labels) -> impl Iterator<Item = (String, Json)> {
    labels
        .iter()
        .map(|(name, value)| (name.to_string(), Json::from(value.to_string())))
}

fn number(value: f64) -> String {
    let mut out = String::new();
    text::encode::number(&mut out, value);
    out
}
