//! What a server shows of its groups, so that it can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde_json::{Map, Value as Json};

use crate::common::Server;

/// The job of groups that only tell that all before them was done.
pub const SETTLED: &str = "settled";

/// What a server shows of its groups, apart from times and from what it tells about itself.
#[derive(PartialEq, Clone, Debug)]
pub struct Shown {
    /// The status of `/metrics`.
    pub status: u16,
    /// The values of each series at `/metrics`: a quantile that was pushed twice stands twice.
    pub series: BTreeMap<String, String>,
    /// The type and the help of each family there. Of helps that differ any may be shown.
    metas: BTreeMap<String, String>,
    /// The parts of each group at `/api/v1/metrics`.
    pub parts: BTreeMap<String, Json>,
}

impl Shown {
    pub fn of(server: &Server) -> Shown {
        let (status, exposed) = server.request("GET", "/metrics", "");
        let mut shown = Shown {
            status,
            series: BTreeMap::new(),
            metas: BTreeMap::new(),
            parts: BTreeMap::new(),
        };
        let mut helps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let api: Json = serde_json::from_str(&server.get("/api/v1/metrics")).unwrap();
        for group in api["data"].as_array().unwrap() {
            shown.read_group(group.as_object().unwrap().clone(), &mut helps);
        }
        if status == 200 {
            shown.read_exposed(&exposed, &helps);
        }
        shown
    }

    fn read_group(
        &mut self,
        mut group: Map<String, Json>,
        helps: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        let labels: BTreeMap<String, String> =
            serde_json::from_value(group["labels"].clone()).unwrap();
        if labels["job"] == SETTLED {
            return;
        }
        for (name, part) in &mut group {
            if let Some(family) = part.as_object_mut().filter(|_| name != "labels") {
                let help = family.get("help").map_or("", |help| help.as_str().unwrap());
                helps.entry(name.clone()).or_default().insert(help.into());
                read_family(name, family);
            }
            let again = (self.parts).insert(format!("group {labels:?} {name}"), part.clone());
            assert_eq!(again, None, "the same group twice");
        }
    }

    fn read_exposed(&mut self, exposed: &str, helps: &BTreeMap<String, BTreeSet<String>>) {
        let (mut help, mut kind) = (("", ""), ("", ""));
        for line in exposed.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').unwrap();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                kind = rest.split_once(' ').unwrap();
            }
            // What a server tells about itself has no job.
            let is_of_group = !line.starts_with('#') && line.contains("job=\"");
            if !is_of_group || line.contains("job=\"settled\"") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value = number(value, series.starts_with("push_"));
            let values = self.series.entry(series.into()).or_default();
            values.push_str(&value);
            values.push(' ');
            let name = kind.0;
            let mut meta = kind.1.to_owned();
            let is_one = helps.get(name).is_some_and(|helps| helps.len() == 1);
            // Of its own metrics each server says something of its own.
            if is_one && !name.starts_with("pushgateway_") {
                let help = if help.0 == name { help.1 } else { "" };
                meta = format!("{meta}, {help}");
            }
            self.metas.insert(name.into(), meta);
        }
    }

    /// The data of all groups, without the times of their pushes.
    pub fn data(&self) -> BTreeMap<&String, &String> {
        let data = self.series.iter();
        data.filter(|(series, _)| !series.starts_with("push_"))
            .collect()
    }

    /// Whether the last push to a group was refused.
    pub fn has_failed_group(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|(part, value)| part.ends_with(" last_push_successful") && *value == false)
    }

    /// Whether a line of this, a series with its value or a group's part in JSON, contains `text`.
    pub fn has(&self, text: &str) -> bool {
        let series = self.series.iter();
        let parts = self.parts.iter();
        let series = series.map(|(series, value)| format!("{series} {value}"));
        let mut lines = series.chain(parts.map(|(part, value)| format!("{part} {value}")));
        lines.any(|line| line.contains(text))
    }

    /// With the bucket `+Inf` for histograms that were pushed without it, as in every exposition.
    pub fn with_implied_buckets(mut self) -> Self {
        for family in self.parts.values_mut() {
            let metrics = family.get_mut("metrics").and_then(Json::as_array_mut);
            for metric in metrics.into_iter().flatten() {
                let count = metric["count"].clone();
                if let Some(buckets) = metric.get_mut("buckets") {
                    let buckets = buckets.as_object_mut().unwrap();
                    buckets.entry("inf").or_insert(count);
                }
            }
        }
        self
    }

    /// What differs, a line each.
    pub fn difference(&self, ours: &Shown) -> String {
        let mut all = Vec::new();
        if self.status != ours.status {
            all.push(format!("status {} and ours {}", self.status, ours.status));
        }
        differing(&self.series, &ours.series, &mut all);
        differing(&self.metas, &ours.metas, &mut all);
        differing(&self.parts, &ours.parts, &mut all);
        all.join("\n")
    }
}

fn differing<V: PartialEq + Debug>(
    real: &BTreeMap<String, V>,
    ours: &BTreeMap<String, V>,
    all: &mut Vec<String>,
) {
    let names: BTreeSet<_> = real.keys().chain(ours.keys()).collect();
    for name in names {
        let (real, ours) = (real.get(name), ours.get(name));
        if real != ours {
            all.push(format!("{name}: {real:?} and ours {ours:?}"));
        }
    }
}

/// Makes a family of `/api/v1/metrics` comparable: its numbers, its times, the order of its series.
fn read_family(name: &str, family: &mut Map<String, Json>) {
    if let Some(time) = family.get_mut("time_stamp") {
        let text = time.as_str().unwrap();
        assert!(text.starts_with("20") && text.contains('T'), "{text}");
        *time = "a time".into();
    }
    let is_time = name.starts_with("push_");
    let metrics = family["metrics"].as_array_mut().unwrap();
    for metric in &mut *metrics {
        for (name, value) in metric.as_object_mut().unwrap() {
            match value {
                Json::Object(numbers) if name != "labels" => {
                    let read = std::mem::take(numbers).into_iter().map(|(key, value)| {
                        let value = number(value.as_str().unwrap(), is_time);
                        (number(&key, false), value.into())
                    });
                    *numbers = read.collect();
                }
                Json::String(text) => *text = number(text, is_time),
                _ => {}
            }
        }
    }
    metrics.sort_by_key(|metric| {
        let labels: BTreeMap<String, Json> =
            serde_json::from_value(metric["labels"].clone()).unwrap();
        format!("{labels:?}")
    });
}

/// A number, however it is written, -0 as 0; of a time only whether it is one.
fn number(text: &str, is_time: bool) -> String {
    let value: f64 = text.parse().unwrap_or_else(|_| panic!("{text}"));
    if is_time {
        if value == 0.0 { "never" } else { "once" }.into()
    } else {
        format!("{:?}", value + 0.0)
    }
}
