//! A gateway to push to, and what it shows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::sandbox::{Finished, Sandbox};

/// A sandbox whose commands push to one gateway.
pub struct TestGateway {
    pub sandbox: Sandbox,
    kind: Kind,
}

enum Kind {
    Embedded,
    #[cfg(feature = "real-servers")]
    Pushgateway(super::server::Server),
}

/// The samples of a gateway: from `name{label="value"}`, labels sorted, to the value.
pub type Samples = BTreeMap<String, f64>;

impl TestGateway {
    pub fn embedded() -> Self {
        TestGateway {
            sandbox: Sandbox::new(),
            kind: Kind::Embedded,
        }
    }

    /// A real Pushgateway of its own.
    #[cfg(feature = "real-servers")]
    pub fn pushgateway() -> Self {
        let server = super::server::Server::pushgateway(&[]);
        TestGateway {
            sandbox: Sandbox::new().variable("METRICSJOB_GATEWAY", server.url()),
            kind: Kind::Pushgateway(server),
        }
    }

    /// The gateway as the outbox names it.
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Embedded => "embedded".into(),
            #[cfg(feature = "real-servers")]
            Kind::Pushgateway(server) => server.url(),
        }
    }

    /// Pushes while the gateway is down: the push is in the outbox after it.
    #[track_caller]
    pub fn push_down(&self, line: &str, text: &str) {
        let down = "http://127.0.0.1:1";
        self.push(
            &format!("{line} --gateway {down} --push-retry-window 0s"),
            text,
        )
        .code(69);
        self.sandbox.redirect_outbox(down, &self.name());
    }

    pub fn run(&self, line: &str) -> Finished {
        self.sandbox.run(line)
    }

    pub fn push(&self, line: &str, text: &str) -> Finished {
        self.sandbox.run_with_input(&format!("push {line}"), text)
    }

    pub fn write(&self, path: &str, content: &str) -> PathBuf {
        self.sandbox.write(path, content)
    }

    /// All that was pushed, with the two push times of each group: the embedded gateway's by
    /// `status`, a Pushgateway's by its own `/metrics`.
    pub fn samples(&self) -> Samples {
        match &self.kind {
            Kind::Embedded => self.sandbox.samples(),
            #[cfg(feature = "real-servers")]
            Kind::Pushgateway(server) => server.samples(),
        }
    }

    /// The value of [`of_job`].
    #[track_caller]
    pub fn value(&self, job: &str, series: &str) -> Option<f64> {
        self.samples().get(&of_job(job, series)).copied()
    }

    /// The value of a series of the job `db_backup` with the given grouping labels.
    pub fn backup(&self, metric: &str, labels: &str) -> Option<f64> {
        self.value("db_backup", &format!("db_backup_{metric}{{{labels}}}"))
    }
}

/// The series that a gateway shows when `series` is pushed for `job`: with the labels `job` and `instance`, all in its
/// order.
pub fn of_job(job: &str, series: &str) -> String {
    let series = series.strip_suffix('}').unwrap_or(series);
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut labels: Vec<&str> = labels
        .split(|symbol| {
            is_quoted ^= symbol == '"' && !is_escaped;
            is_escaped = symbol == '\\' && !is_escaped;
            symbol == ',' && !is_quoted
        })
        .filter(|label| !label.is_empty())
        .collect();
    if !labels.iter().any(|label| label.starts_with("instance=")) {
        labels.push("instance=\"\"");
    }
    let job = format!("job=\"{job}\"");
    labels.push(&job);
    // Where a Pushgateway puts `le` and `quantile`: behind the other labels.
    let is_last = |label: &str| label.starts_with("le=") || label.starts_with("quantile=");
    labels.sort_by_key(|label| (is_last(label), *label));
    format!("{name}{{{}}}", labels.join(","))
}

/// From the JSON of `status`.
pub fn status_samples(status: &Json) -> Samples {
    let mut samples = Samples::new();
    for group in status.as_array().unwrap() {
        let mut labels = strings(&group["grouping"]);
        labels.insert("job".into(), group["job"].as_str().unwrap().into());
        labels.entry("instance".into()).or_default();
        for time in ["push_time_seconds", "push_failure_time_seconds"] {
            samples.insert(series(time, &labels), group[time].as_f64().unwrap_or(0.0));
        }
        for family in group["families"].as_array().unwrap() {
            let name = family["name"].as_str().unwrap();
            for metric in family["metrics"].as_array().unwrap() {
                let labels = strings(&metric["labels"]);
                let mut add = |suffix: &str, extra: Option<(&str, &Json)>, value: &Json| {
                    let mut labels = labels.clone();
                    if let Some((label, value)) = extra {
                        labels.insert(label.into(), value.to_string().replace('"', ""));
                    }
                    samples.insert(series(&format!("{name}{suffix}"), &labels), number(value));
                };
                if let value @ (Json::Number(_) | Json::String(_)) = &metric["value"] {
                    add("", None, value);
                    continue;
                }
                add("_count", None, &metric["count"]);
                add("_sum", None, &metric["sum"]);
                for quantile in metric["quantiles"].as_array().into_iter().flatten() {
                    add(
                        "",
                        Some(("quantile", &quantile["quantile"])),
                        &quantile["value"],
                    );
                }
                for bucket in metric["buckets"].as_array().into_iter().flatten() {
                    add("_bucket", Some(("le", &bucket["le"])), &bucket["count"]);
                }
            }
        }
    }
    samples
}

/// From a Pushgateway's `/metrics`, without its metrics about itself, which have no label `job`.
pub fn exposed_samples(text: &str) -> Samples {
    chosen_samples(text, |series| series.contains("job=\""))
}

/// The series in the text format that are chosen.
pub fn chosen_samples(text: &str, is_chosen: impl Fn(&str) -> bool) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| is_chosen(series))
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
        .collect()
}

fn strings(json: &Json) -> BTreeMap<String, String> {
    let pairs = json.as_object().unwrap().iter();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

fn number(json: &Json) -> f64 {
    match json {
        Json::String(text) => text.parse().unwrap(),
        number => number.as_f64().unwrap(),
    }
}

fn series(name: &str, labels: &BTreeMap<String, String>) -> String {
    let escape = |value: &str| {
        value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"")
    };
    // Where a Pushgateway puts `le` and `quantile`: behind the other labels.
    let is_last = |name: &str| name == "le" || name == "quantile";
    let (last, first): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| is_last(name));
    let pairs = first.iter().chain(&last);
    let labels: Vec<String> = pairs
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}
