//! Labels of a job's series: the same at `/metrics` of `metricsjob serve` as through a gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::common::own_server::{GATE, OwnServer, close, open, with_jobs};
use crate::common::{Sandbox, Server, eventually};

/// A job with all that can be expected of one, so that its report has each of the runner's families.
fn job(head: &str, grouping: &str) -> String {
    format!(
        "{head}\nmax_age = '1h'\nmax_duration = '1m'\nslo = 0.99\nseverity = 'critical'\nowner = 'ops'\n\
         command = ['sh', '-c', 'echo \"rows 42\" >>\"$METRICSJOB_METRICS\"']\n\
         [[expect]]\nmetric = 'rows'\nmin = 1\n[grouping]\n{grouping}\n"
    )
}

/// The series as Prometheus has it: without empty labels. `job_name` is left out, which a gateway does not have.
fn stored(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else {
        return series.to_owned();
    };
    let labels = labels.strip_suffix("\"}").unwrap().split("\",");
    let labels = labels.map(|label| label.split_once("=\"").unwrap());
    let labels = labels.filter(|(name, value)| *name != "job_name" && !value.is_empty());
    let labels: BTreeMap<&str, &str> = labels.collect();
    format!("{name}{labels:?}")
}

/// Series of the group of `job`.
fn of_job(samples: impl IntoIterator<Item = (String, f64)>, job: &str) -> BTreeMap<String, f64> {
    let label = format!("job=\"{job}\"");
    let samples = samples.into_iter();
    let samples = samples.filter(|(series, _)| {
        let own = series.split(['{', ',', '}']).any(|part| part == label);
        own && !series.starts_with("push_")
    });
    let all: Vec<_> = samples
        .map(|(series, value)| (stored(&series), value))
        .collect();
    let distinct: BTreeMap<String, f64> = all.iter().cloned().collect();
    assert_eq!(distinct.len(), all.len(), "a series stands twice: {all:#?}");
    distinct
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap()
}

/// Each series of the gateway is there, with its value, and none of the same name with other labels.
#[track_caller]
fn shows_the_same(server: &OwnServer, gateway: &Server, job: &str) -> BTreeMap<String, f64> {
    let pushed = of_job(gateway.samples(), job);
    let names: BTreeSet<&str> = pushed.keys().map(|series| name(series)).collect();
    let mut shown = of_job(server.samples(""), job);
    shown.retain(|series, _| names.contains(name(series)));
    assert_eq!(shown, pushed);
    pushed
}

#[test]
fn a_job_has_the_same_labels_through_either_gateway_and_here() {
    for gateway in [Server::pushgateway(&[]), Server::gateway(&[])] {
        let sandbox = with_jobs(&[
            ("nightly", job("job = 'backup'", "db = 'customers'")),
            ("dump", job("prefix = 'dump'", "instance = 'i'\nsite = 'x'")),
            ("plain", job("method = 'put'", "")),
        ]);
        let server = OwnServer::start(&sandbox, &format!("--gateway={}", gateway.url()));
        for (file, job) in [("nightly", "backup"), ("dump", "dump"), ("plain", "plain")] {
            server.run(file);
            server.run(file);
            eventually("the report arrives", || {
                let pushed = of_job(gateway.samples(), job);
                let mut runs = pushed.iter().filter(|(series, value)| {
                    series.starts_with("batch_job_runs_total{") && **value == 2.0
                });
                runs.next().is_some()
            });
            let pushed = shows_the_same(&server, &gateway, job);
            let names: BTreeSet<&str> = pushed.keys().map(|series| name(series)).collect();
            for common in [
                "success",
                "last_success_timestamp_seconds",
                "last_completion_timestamp_seconds",
                "duration_seconds",
                "runs_total",
                "info",
                "deadline_timestamp_seconds",
                "max_duration_seconds",
                "expectation_met",
                "slo_ratio",
                "alerting_info",
            ] {
                let common = format!("batch_job_{common}");
                assert!(names.contains(&*common), "{job}: no {common}");
            }
            assert!(names.contains("rows"));
            assert_eq!(names.contains("dump_runs_total"), job == "dump");
        }
        // The job's file has another name than its group.
        let nightly = r#"{db="customers",job="backup",job_name="nightly"}"#;
        assert_eq!(server.sample(&format!("rows{nightly}")), Some(42.0));
        for of_server in [
            "batch_job_running",
            "batch_job_run_duration_seconds_count",
            "metricsjob_last_run_timestamp_seconds",
        ] {
            let value = server.sample(&format!("{of_server}{nightly}"));
            assert!(value.is_some(), "{of_server}: {}", server.metrics());
        }
        assert_eq!(
            server
                .metrics()
                .matches("# TYPE batch_job_runs_total ")
                .count(),
            1
        );
    }
}

#[test]
fn runs_with_labels_of_their_own_are_counted_with_these() {
    let gateway = Server::pushgateway(&[]);
    let sandbox = with_jobs(&[("j", job("", "db = 'x'"))]);
    let server = OwnServer::start(&sandbox, &format!("--gateway={}", gateway.url()));
    server.run("j");
    for _ in 0..2 {
        server.run_with("j", &json!({ "grouping": { "db": "y" } }));
    }
    let runs = |db: &str| format!("batch_job_runs_total{{db=\"{db}\",outcome=\"success\"}}");
    for (db, count) in [("x", 1.0), ("y", 2.0)] {
        eventually("the report arrives", || {
            gateway.value("j", &runs(db)) == Some(count)
        });
    }
    shows_the_same(&server, &gateway, "j");
    // A label that the metric has itself.
    for label in ["outcome", "le"] {
        server.run_with("j", &json!({ "grouping": { label: "z" } }));
    }
    of_job(server.samples(""), "j");
}

#[test]
fn runs_in_progress_have_the_labels_of_their_group() {
    let head = "overlap = 'allow'\nmax_duration = '1s'\n";
    let long = format!("{head}command = ['sh', '-c', '''{GATE}''']\n[grouping]\ndb = 'x'\n");
    let sandbox = with_jobs(&[("j", long)]);
    let server = OwnServer::start(&sandbox, "");
    server.run("j");
    let of = |metric: &str, db: &str| {
        format!("batch_job_{metric}{{db=\"{db}\",job=\"j\",job_name=\"j\"}}")
    };
    let start = of("start_timestamp_seconds", "x");
    let before = server.sample(&start).unwrap();
    close(&sandbox);
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let begun = begun.as_secs_f64();
    let ids = [
        server.ask("j"),
        server.ask("j"),
        server.ask_with("j", &json!({ "grouping": { "db": "y" } })),
    ];
    server.shows(&of("running", "x"), 2.0);
    server.shows(&of("running", "y"), 1.0);
    // An alert compares it with the clock, and must not take the last run for this one.
    eventually("the start of the run is shown", || {
        server
            .sample(&start)
            .is_some_and(|at| at >= begun && at > before)
    });
    open(&sandbox);
    for id in ids {
        server.run_once(&id, "finished");
    }
    for db in ["x", "y"] {
        server.shows(&of("running", db), 0.0);
    }
}

/// Two files of one group report into it in turn; here `job_name` keeps them apart.
#[test]
fn files_that_share_a_group_stay_apart() {
    let sandbox = with_jobs(&[
        ("a", job("job = 'shared'", "db = 'x'")),
        ("b", job("job = 'shared'", "db = 'x'")),
    ]);
    let server = OwnServer::start(&sandbox, "");
    for name in ["a", "b"] {
        server.run(name);
    }
    for name in ["a", "b"] {
        for series in [
            "batch_job_success",
            "rows",
            "metricsjob_last_run_timestamp_seconds",
        ] {
            let labels = format!("{{db=\"x\",job=\"shared\",job_name=\"{name}\"}}");
            let value = server.sample(&format!("{series}{labels}"));
            assert!(value.is_some(), "{series}{labels}: {}", server.metrics());
        }
    }
}

/// A key that changes takes the series with the old labels along.
#[test]
fn a_changed_key_leaves_no_old_labels() {
    let sandbox = with_jobs(&[("j", job("", "db = 'x'"))]);
    let server = OwnServer::start(&sandbox, "");
    server.run("j");
    sandbox.write("jobs/j.toml", job("job = 'other'", "db = 'y'"));
    server.reload();
    let runs = r#"batch_job_runs_total{db="y",job="other",job_name="j",outcome="success"}"#;
    assert_eq!(server.sample(runs), Some(0.0));
    server.run("j");
    assert_eq!(server.sample(runs), Some(1.0));
    let text = server.metrics();
    assert!(!text.contains("db=\"x\""), "{text}");
}

fn label(prometheus: &Server, query: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    prometheus.wait_for(&format!("/api/v1/query?query={encoded}"), |body| {
        let answer: serde_json::Value = serde_json::from_str(body).unwrap();
        let result = answer["data"]["result"].as_array().unwrap();
        result.len() == 1 && wanted(&result[0])
    });
}

/// The rules of jobs see a job that only `serve` shows, by the configuration that ships.
#[test]
fn the_rules_work_on_what_is_scraped_here() {
    let failing = "prefix = 'dump'\nseverity = 'critical'\nowner = 'dba'\nmax_duration = '1ms'\n\
        command = ['sh', '-c', 'sleep 0.1; exit 1']\n[grouping]\ndb = 'shop'\n";
    let sandbox = with_jobs(&[("dump", failing)]);
    let server = OwnServer::start(&sandbox, "");
    let rules = Sandbox::new().run("generate rules").code(0).stdout();
    sandbox.write("rules.yml", rules);
    let shipped = include_str!("../monitoring/prometheus.yml");
    let config = shipped
        .replace(
            "scrape_interval: 15s",
            "scrape_interval: 1s\n  evaluation_interval: 1s",
        )
        .replace("serve:9464", server.address());
    assert!(config.contains(server.address()));
    let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
    for _ in 0..3 {
        server.run("dump");
    }
    let target = server.address();
    for alert in [
        "BatchJobFailed",
        "BatchJobFailedRepeatedly",
        "BatchJobTakesTooLong",
    ] {
        let query = format!(
            "ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",job=\"dump\",db=\"shop\",owner=\"dba\",severity=\"critical\"}}"
        );
        label(&prometheus, &query, |alert| {
            alert["metric"]["instance"] == target
        });
    }
    label(
        &prometheus,
        "batch_job_running * on (job, db) batch_job_success",
        |_| true,
    );
    // The server's own series have the labels of the scrape.
    label(&prometheus, "metricsjob_build_info", |info| {
        info["metric"]["job"] == "metricsjob" && info["metric"]["instance"] == target
    });
}
