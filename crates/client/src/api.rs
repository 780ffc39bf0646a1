//! Responses of a Pushgateway's API: the groups of `GET /api/v1/metrics`, the version of `GET /api/v1/status`.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use metricsjob_metrics::{
    Bucket, Count, Family, Group, GroupingKey, Kind, Labels, Metric, Names, NativeBucket,
    NativeHistogram, Quantile, TIME_SERIES, TTL_SERIES, Value, gateways_own,
};

/// Path at which a Pushgateway (since 1.0) lists its groups.
pub const PATH: &str = "/api/v1/metrics";

/// Path at which a Pushgateway (since 1.0) describes itself.
pub const STATUS_PATH: &str = "/api/v1/status";

/// Returns the version in the body of a response of [`STATUS_PATH`].
pub fn version(answer: &[u8]) -> Option<String> {
    let answer: Json = serde_json::from_slice(answer).ok()?;
    let version = answer["data"]["build_information"]["version"].as_str()?;
    Some(version.to_owned())
}

/// Names in a group's object that are not families.
const NO_FAMILIES: [&str; 2] = ["labels", "last_push_successful"];

/// Parses the body of the response into groups, sorted by key. The series have all their labels, those of the
/// grouping key included.
///
/// # Errors
///
/// Returns a description of the first part that is missing or malformed.
pub fn groups(answer: &[u8]) -> Result<Vec<Group>, String> {
    let answer: Json = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let data = match &answer["data"] {
        Json::Array(data) => data,
        // The list is null at a Pushgateway without groups.
        Json::Null if answer["status"] == "success" => return Ok(Vec::new()),
        _ => return Err("it has no list \"data\"".into()),
    };
    let mut groups = data.iter().map(group).collect::<Result<Vec<_>, _>>()?;
    groups.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(groups)
}

fn group(json: &Json) -> Result<Group, String> {
    let object = json.as_object().ok_or("a group is no object")?;
    let mut labels = labels(&json["labels"])?;
    let job = labels.remove("job").ok_or("a group has no label \"job\"")?;
    let key = GroupingKey::with_names(job, labels, Names::Utf8);
    let key = key.map_err(|error| error.to_string())?;
    let time = |name: &str| -> Result<f64, String> {
        match &json[name]["metrics"][0]["value"] {
            Json::Null => Ok(0.0),
            value => number(value),
        }
    };
    let [push_time, push_failure_time] = TIME_SERIES;
    let mut families = object
        .iter()
        .filter(|(name, _)| !NO_FAMILIES.contains(&name.as_str()) && gateways_own(name).is_none())
        .map(|(name, json)| family(name, json))
        .collect::<Result<Vec<_>, _>>()?;
    families.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Group {
        push_time: time(push_time)?,
        push_failure_time: time(push_failure_time)?,
        ttl: Some(Duration::try_from_secs_f64(time(TTL_SERIES)?).unwrap_or_default())
            .filter(|ttl| !ttl.is_zero()),
        key,
        families,
    })
}

fn family(name: &str, json: &Json) -> Result<Family, String> {
    let kind = json["type"]
        .as_str()
        .and_then(Kind::from_name)
        .ok_or_else(|| format!("{name} has no known type"))?;
    let metrics = json["metrics"].as_array().map(Vec::as_slice);
    Ok(Family {
        name: name.to_owned(),
        help: json["help"].as_str().unwrap_or_default().to_owned(),
        kind,
        metrics: metrics
            .unwrap_or_default()
            .iter()
            .map(|metric| {
                Ok(Metric {
                    labels: labels(&metric["labels"])?,
                    value: value(kind, metric)?,
                    timestamp_ms: None,
                })
            })
            .collect::<Result<_, String>>()
            .map_err(|problem| format!("{name}: {problem}"))?,
    })
}

fn value(kind: Kind, json: &Json) -> Result<Value, String> {
    Ok(match kind {
        Kind::Counter | Kind::Gauge | Kind::Untyped => Value::Number(number(&json["value"])?),
        Kind::Summary => Value::Summary {
            count: match count(&json["count"])? {
                Count::Integer(count) => count,
                Count::Float(count) => count as u64,
            },
            sum: number(&json["sum"])?,
            quantiles: pairs(&json["quantiles"], number)?
                .map(|(quantile, value)| Quantile { quantile, value })
                .collect(),
        },
        Kind::Histogram => Value::Histogram {
            count: count(&json["count"])?,
            sum: number(&json["sum"])?,
            buckets: pairs(&json["buckets"], count)?
                .map(|(upper_bound, count)| Bucket { upper_bound, count })
                .collect(),
            native: match &json["buckets"] {
                Json::Array(buckets) => Some(Box::new(native(buckets)?)),
                _ => None,
            },
        },
    })
}

/// Returns the pairs of an object whose names are numbers, in ascending order.
fn pairs<T>(
    json: &Json,
    read: fn(&Json) -> Result<T, String>,
) -> Result<impl Iterator<Item = (f64, T)>, String> {
    let empty = Map::new();
    let mut pairs = json
        .as_object()
        .unwrap_or(&empty)
        .iter()
        .map(|(key, value)| Ok((parse(key)?, read(value)?)))
        .collect::<Result<Vec<_>, String>>()?;
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(pairs.into_iter())
}

/// Parses native buckets, as a Pushgateway since 1.8 lists them: an array of boundaries, lower and upper bound, and
/// count. The boundaries, which say what bounds are inclusive, are ignored, since they follow from the bounds.
fn native(buckets: &[Json]) -> Result<NativeHistogram, String> {
    let buckets = buckets.iter().map(|bucket| {
        Ok(NativeBucket {
            lower: number(&bucket[1])?,
            upper: number(&bucket[2])?,
            count: count(&bucket[3])?,
        })
    });
    NativeHistogram::of_buckets(&buckets.collect::<Result<Vec<_>, String>>()?)
}

/// Parses a count: an integer with all its digits, or a float.
fn count(json: &Json) -> Result<Count, String> {
    let integer = json.as_str().and_then(|text| text.parse().ok());
    integer.map_or_else(
        || number(json).map(Count::of),
        |integer| Ok(Count::Integer(integer)),
    )
}

/// Parses a number, which the API writes as a string.
fn number(json: &Json) -> Result<f64, String> {
    parse(json.as_str().ok_or("a number is missing")?)
}

fn parse(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn labels(json: &Json) -> Result<Labels, String> {
    let Some(object) = json.as_object() else {
        return Ok(Labels::new());
    };
    object
        .iter()
        .map(|(name, value)| match value {
            Json::String(value) => Ok((name.clone(), value.clone())),
            _ => Err(format!("the label {name} is no string")),
        })
        .collect()
}
