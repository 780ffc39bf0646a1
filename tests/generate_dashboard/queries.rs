//! Every query of every dashboard on a real Prometheus, which has scraped gateways, `serve` and the programs in
//! `examples/` after some runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::grafana::{Choice, Choices, SentQuery, choices, queries};
use super::targets::Targets;
use super::{NAMES, dashboard};
use crate::common::{Server, awaited};

/// Time until every query has data, from the start of all servers on.
const PATIENCE: Duration = Duration::from_secs(180);

/// How far back the queries look.
const RANGE: u64 = 120;

/// Counters of what does not happen here: their rates are 0.
const STILL: [&str; 3] = [
    "metricsjob_gateway_commit_failures_total",
    "metricsjob_gateway_expired_groups_total",
    "metricsjob_missed_runs_total",
];

/// Metrics that a Pushgateway lacks.
const NOT_OF_PUSHGATEWAY: [&str; 4] = ["metricsjob_", "http_request", "errors_total", "system_"];

/// Queries and their values once the variables have all values.
const AT_FIRST: [(&str, &str); 4] = [
    ("count(up == 1)", "8"),
    // Both jobs, of the server and through the gateway, which is there twice; both have failed.
    ("count(batch_job_duration_seconds)", "6"),
    (
        "count(max_over_time(batch_job_runs_total{outcome=\"failure\"}[10m]) > 0)",
        "6",
    ),
    (
        "count(count by (endpoint) (http_requests_total{job=\"users-api\"}))",
        "4",
    ),
];

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The data of Prometheus's response.
#[track_caller]
fn data(prometheus: &Server, path: &str) -> Json {
    let (status, body) = prometheus.request("GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str::<Json>(&body).unwrap()["data"].take()
}

fn label_values(prometheus: &Server, selector: &str, label: &str) -> Vec<String> {
    let from = now() - RANGE;
    let path = format!(
        "/api/v1/label/{label}/values?start={from}&match[]={}",
        encoded(selector)
    );
    let values = data(prometheus, &path);
    let values = values.as_array().unwrap().iter();
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// The numbers that a query returns.
fn numbers(prometheus: &Server, query: &SentQuery) -> Vec<f64> {
    let expression = encoded(&query.expression);
    let path = if query.is_instant {
        format!("/api/v1/query?query={expression}")
    } else {
        // Grafana moves both ends to a multiple of the step.
        let aligned = |time: u64| time / query.step * query.step;
        let (start, end) = (aligned(now() - RANGE.max(query.step)), aligned(now()));
        format!(
            "/api/v1/query_range?query={expression}&start={start}&end={end}&step={}",
            query.step
        )
    };
    let data = data(prometheus, &path);
    let mut numbers = Vec::new();
    for series in data["result"].as_array().unwrap() {
        let points = series["values"].as_array().into_iter().flatten();
        let values = points
            .chain([&series["value"]])
            .filter_map(|point| point[1].as_str());
        numbers.extend(values.map(|value| value.parse::<f64>().unwrap()));
    }
    numbers.retain(|number| number.is_finite());
    numbers
}

/// The queries of a dashboard for each value of each variable, by their places and expressions.
fn sent_queries(name: &str, prometheus: &Server, targets: &Targets) -> Sent {
    let dashboard = dashboard(name);
    let look_up = |selector: &str, label: &str| label_values(prometheus, selector, label);
    let all = choices(&dashboard, &look_up);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let has_values =
            |choices: &Choices| choices.contains_key(variable["name"].as_str().unwrap());
        let is_known = variable["type"] != "query" || all.iter().any(has_values);
        assert!(is_known, "{name}: no values of {variable}");
    }
    let of_pushgateway =
        ["pushgateway", targets.pushgateway.address()].map(|value| Choice::One(value.into()));
    let mut places = BTreeSet::new();
    let mut sent = Sent::new();
    for choices in all {
        let is_pushgateway = choices
            .values()
            .any(|choice| of_pushgateway.contains(choice));
        for query in queries(&dashboard, &choices) {
            places.insert(query.place.clone());
            let mut ours = NOT_OF_PUSHGATEWAY.iter();
            if !(is_pushgateway && ours.any(|name| query.expression.contains(name))) {
                sent.insert((query.place.clone(), query.expression.clone()), query);
            }
        }
    }
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let written: usize = panels
        .map(|panel| panel["targets"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(places.len(), written, "{name}: {places:#?}");
    sent
}

/// The dashboard of a job offers the metrics of its own by their types, and none of the runner's.
fn offers_own_metrics(prometheus: &Server) {
    let look_up = |selector: &str, label: &str| label_values(prometheus, selector, label);
    let all = choices(&dashboard("job"), &look_up);
    for job in ["dump", "nightly"] {
        let is_job = |choices: &&Choices| choices["job"] == Choice::One(job.into());
        let choices = all.iter().find(is_job).unwrap();
        let offered = |variable: &str| match &choices[variable] {
            Choice::All(values) => values.join(" "),
            _ => panic!("{variable}: one"),
        };
        assert_eq!(offered("counter"), format!("{job}_rows_total"));
        assert_eq!(offered("gauge"), format!("{job}_queue"));
        let histograms = format!("batch_job_run_duration_seconds {job}_wait_seconds");
        assert_eq!(offered("histogram"), histograms);
    }
}

type Sent = BTreeMap<(String, String), SentQuery>;

/// Places of queries that have found something, and of those that have found a number other than 0.
#[derive(Default)]
struct Seen {
    any: BTreeSet<String>,
    not_zero: BTreeSet<String>,
}

impl Seen {
    /// Returns true if a query with these results is as it should be.
    fn is_good(&mut self, query: &SentQuery, numbers: &[f64]) -> bool {
        let place = &query.place;
        if !numbers.is_empty() {
            self.any.insert(place.clone());
        }
        if numbers.iter().any(|number| *number != 0.0) {
            self.not_zero.insert(place.clone());
        }
        let has_data = !numbers.is_empty() || query.may_be_empty && self.any.contains(place);
        // A query that counts events has counted some, for one choice at least.
        let has = |name: &&str| query.expression.contains(*name);
        let counts = ["increase(", "rate("].iter().any(has) && !STILL.iter().any(has);
        has_data && (!counts || self.not_zero.contains(place))
    }
}

#[test]
fn every_query_has_data_for_each_value_of_each_variable() {
    let targets = Targets::start();
    let prometheus = targets.prometheus();
    for (query, wanted) in AT_FIRST {
        awaited(PATIENCE, || {
            targets.stir();
            let path = format!("/api/v1/query?query={}", encoded(query));
            let result = data(&prometheus, &path)["result"].take();
            let is_there = result[0]["value"][1] == wanted;
            is_there.then_some(()).ok_or(format!("{query}: {result}"))
        });
    }
    offers_own_metrics(&prometheus);
    let mut left = Sent::new();
    for name in NAMES {
        left.extend(sent_queries(name, &prometheus, &targets));
    }
    assert!(left.len() > 300, "{}", left.len());
    let mut seen = Seen::default();
    awaited(PATIENCE, || {
        targets.stir();
        left.retain(|_, query| !seen.is_good(query, &numbers(&prometheus, query)));
        left.is_empty()
            .then_some(())
            .ok_or(format!("without data: {:#?}", left.keys()))
    });
}
