//! JSON API, in the format of the Pushgateway.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, SystemTime};

use super::app::App;
use super::own_metrics;
use super::renderings::{Shape, rendered};
use metricsjob_metrics::{
    Count, Family, Group, GroupingKey, LAST_SECOND, Labels, Metric, NativeHistogram, Value, text,
};
use metricsjob_state::store::{Snapshot, StoredGroup, exposition};
use metricsjob_web::observe::build;

/// Responds with all groups.
pub async fn metrics(app: &Arc<App>) -> Response {
    match rendered(app, Shape::Api).await {
        Ok(rendered) => answer(rendered.sending.body()),
        Err(failure) => failure.into_response(),
    }
}

/// Responds with the build, the flags and the start time.
pub fn status(app: &App) -> Response {
    let flags: Map<String, Json> = (app.options().flags.iter())
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let status = json!({
        "status": "success",
        "data": {
            "build_information": build_information(),
            "flags": flags,
            "start_time": humantime::format_rfc3339_nanos(app.start_time()).to_string(),
        },
    });
    answer(status.to_string().into())
}

/// Returns the fields that the Pushgateway has. It is built by Go, so clients expect the version of some
/// compiler.
fn build_information() -> Json {
    json!({
        "branch": "unknown",
        "buildDate": "unknown",
        "buildUser": "unknown",
        "goVersion": format!("rustc {}", build::RUST_VERSION),
        "implementation": own_metrics::IMPLEMENTATION,
        "revision": build::REVISION,
        "version": build::VERSION,
    })
}

fn answer(body: HttpBody) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    (headers, body).into_response()
}

/// Serializes all groups without a tree in between: a native bucket takes a byte or two in a push, but
/// several allocations in a tree.
pub(super) fn metrics_json(snapshot: Snapshot) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::from(br#"{"status":"success","data":["#);
    let groups = snapshot.sorted();
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, &GroupJson(&group.to_group()))?;
    }
    out.push(b']');
    // Not in a group, where other clients look for families only.
    let clashes = groups.iter().filter_map(|group| clash_json(group));
    let clashes: Vec<Json> = clashes.collect();
    if !clashes.is_empty() {
        out.extend(br#","host_clashes":"#);
        serde_json::to_writer(&mut out, &clashes)?;
    }
    out.push(b'}');
    Ok(out)
}

/// The two hosts that report to the group, if there are two.
fn clash_json(group: &StoredGroup) -> Option<Json> {
    let clash = group.host_clash()?;
    Some(json!({
        "labels": labels(&group.key),
        "host": clash.host,
        "host_before": clash.host_before,
        "time_before": time(clash.time_before),
    }))
}

fn labels(key: &GroupingKey) -> Map<String, Json> {
    let mut labels = Map::new();
    labels.insert("job".into(), key.job().into());
    labels.extend(strings(key.labels()));
    labels
}

fn time(seconds: f64) -> String {
    let since = Duration::from_secs_f64(seconds.clamp(0.0, LAST_SECOND));
    humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + since).to_string()
}

struct GroupJson<'a>(&'a Group);

impl Serialize for GroupJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let group = self.0;
        let times = [group.push_time, group.push_failure_time];
        let time = time(times.into_iter().fold(0.0, f64::max));
        let own = exposition::group_families(group);
        let families = || own.iter().chain(&group.families);
        // As in the Pushgateway, a family of this name takes precedence.
        let is_free = |name: &str| families().all(|family| family.name != name);
        let mut json = serializer.serialize_map(None)?;
        if is_free("labels") {
            json.serialize_entry("labels", &labels(&group.key))?;
        }
        if is_free("last_push_successful") {
            let is_success = group.push_time >= group.push_failure_time;
            json.serialize_entry("last_push_successful", &is_success)?;
        }
        for family in families() {
            let time = time.as_str();
            json.serialize_entry(&family.name, &FamilyJson { family, time })?;
        }
        json.end()
    }
}

struct FamilyJson<'a> {
    family: &'a Family,
    time: &'a str,
}

impl Serialize for FamilyJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let family = self.family;
        let mut json = serializer.serialize_map(None)?;
        json.serialize_entry("time_stamp", self.time)?;
        json.serialize_entry("type", &family.kind.name().to_ascii_uppercase())?;
        if !family.help.is_empty() {
            json.serialize_entry("help", &family.help)?;
        }
        let metrics: Vec<_> = family.metrics.iter().map(MetricJson).collect();
        json.serialize_entry("metrics", &metrics)?;
        json.end()
    }
}

struct MetricJson<'a>(&'a Metric);

impl Serialize for MetricJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_map(None)?;
        let labels: Map<_, _> = strings(&self.0.labels).collect();
        json.serialize_entry("labels", &labels)?;
        match &self.0.value {
            Value::Number(value) => json.serialize_entry("value", &number(*value))?,
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                let quantiles = quantiles
                    .iter()
                    .map(|q| (number(q.quantile), number(q.value).into()));
                json.serialize_entry("quantiles", &quantiles.collect::<Map<_, _>>())?;
                json.serialize_entry("count", &count.to_string())?;
                json.serialize_entry("sum", &number(*sum))?;
            }
            Value::Histogram {
                count,
                sum,
                buckets,
                native,
            } => {
                match native.as_ref().filter(|native| native.has_spans()) {
                    Some(native) => {
                        json.serialize_entry("buckets", &NativeJson(native, *count))?;
                    }
                    None => {
                        let buckets = buckets
                            .iter()
                            .map(|b| (number(b.upper_bound), b.count.to_string().into()));
                        json.serialize_entry("buckets", &buckets.collect::<Map<_, _>>())?;
                    }
                }
                json.serialize_entry("count", &count.to_string())?;
                json.serialize_entry("sum", &number(*sum))?;
            }
        }
        json.end()
    }
}

/// Native buckets of a histogram with this count, in the format of the Pushgateway: boundaries, lower and
/// upper bound, count. They replace the classic ones.
struct NativeJson<'a>(&'a NativeHistogram, Count);

impl Serialize for NativeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let NativeJson(native, count) = self;
        serializer.collect_seq(native.buckets(*count).map(|bucket| {
            let boundaries = match (bucket.includes_lower(), bucket.includes_upper()) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let [lower, upper] = [bucket.lower, bucket.upper].map(number);
            (boundaries, lower, upper, bucket.count.to_string())
        }))
    }
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
