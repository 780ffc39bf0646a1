//! From a run to an alert at its receiver, and its end: through a gateway, a real Prometheus and a real Alertmanager.
//!
//! The three files are those in `monitoring/`. Times in them are shortened: the intervals of Prometheus and Alertmanager, and
//! how long a job has to be late (a minute) before there is an alert. A job falls silent after a run with a `max_age` of 1 s.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value as Json;

use crate::common::{FakeServer, PATIENCE, Sandbox, Server, awaited};

/// `text` with each `from` as its `to`. Nothing else is changed, and each of them is there.
#[track_caller]
fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        text.replace(from, to)
    })
}

/// The rules, where a job is late after a second and not after a minute.
fn rules() -> String {
    let shipped = include_str!("../monitoring/rules.yml");
    let (late, others) = shipped.split_once("- alert: BatchJobFailed\n").unwrap();
    assert!(late.contains("- alert: BatchJobLate\n"));
    with(late, &[("for: 1m", "for: 1s")]) + "- alert: BatchJobFailed\n" + others
}

/// All that watches the jobs at a gateway.
struct Watch<'a> {
    sandbox: Sandbox,
    prometheus: Server,
    _alertmanager: Server,
    receiver: FakeServer,
    gateway: &'a Server,
}

/// A job, by its name, the options that it has in all runs, and the labels and the summary of its alerts.
struct Job {
    name: &'static str,
    options: &'static str,
    labels: &'static [(&'static str, &'static str)],
    summary: &'static str,
}

const JOBS: [Job; 2] = [
    Job {
        name: "db_backup",
        options: "--prefix db_backup -g db=customers --severity page --owner dba",
        labels: &[
            ("db", "customers"),
            ("batch_job_group", "db_backup db=customers"),
            ("severity", "page"),
            ("owner", "dba"),
        ],
        summary: "db_backup db=customers",
    },
    Job {
        name: "nightly",
        options: "",
        labels: &[("batch_job_group", "nightly"), ("severity", "warning")],
        summary: "nightly",
    },
];

impl<'a> Watch<'a> {
    fn start(gateway: &'a Server) -> Self {
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
        let receiver = FakeServer::status("200 OK", "");
        let config = with(
            include_str!("../monitoring/alertmanager.yml"),
            &[
                ("group_wait: 30s", "group_wait: 100ms"),
                ("group_interval: 5m", "group_interval: 1s"),
                ("http://alert-log:8080/", &receiver.url()),
            ],
        );
        let config = sandbox.write("alertmanager.yml", config);
        let alertmanager = Server::alertmanager(&config);
        let shipped = include_str!("../monitoring/prometheus-full.yml");
        let (config, _) = shipped.split_once("\n  - job_name: metricsjob").unwrap();
        let config = with(
            config,
            &[
                ("scrape_interval: 10s", "scrape_interval: 1s"),
                ("evaluation_interval: 15s", "evaluation_interval: 1s"),
                ("alertmanager:9093", alertmanager.address()),
                ("gateway:9091", gateway.address()),
            ],
        );
        sandbox.write("rules.yml", rules());
        let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
        // An alert that comes before is sent again only after a minute.
        prometheus.wait_for("/api/v1/alertmanagers", |body| {
            body.contains(alertmanager.address())
        });
        Watch {
            sandbox,
            prometheus,
            _alertmanager: alertmanager,
            receiver,
            gateway,
        }
    }

    /// Runs each of the jobs, and waits until Prometheus has the time of this run's end.
    #[track_caller]
    fn run(&self, script: &str, max_age: &str) {
        for job in &JOBS {
            let options = format!("--job {} {} --max-age {max_age}", job.name, job.options);
            let run = self.sandbox.exec(&options, script);
            assert!(!run.stderr().contains("warning"), "{}", run.stderr());
            let prefix = job.options.split_whitespace().nth(1).unwrap_or("batch_job");
            let metric = format!("{prefix}_last_completion_timestamp_seconds");
            let completion = self.sample(&metric, job.name).unwrap();
            awaited(PATIENCE, || {
                let query = format!("{metric}%7Bjob%3D%22{}%22%7D", job.name);
                let answer = self.prometheus.get(&format!("/api/v1/query?query={query}"));
                let answer: Json = serde_json::from_str(&answer).unwrap();
                let value = answer["data"]["result"][0]["value"][1].as_str();
                let value = value.and_then(|value| value.parse::<f64>().ok());
                (value == Some(completion))
                    .then_some(())
                    .ok_or(format!("{answer}"))
            });
        }
    }

    /// The one sample of `metric` of a job on the gateway.
    fn sample(&self, metric: &str, job: &str) -> Option<f64> {
        let samples = self.gateway.samples().into_iter();
        let job = format!("job=\"{job}\"");
        let mut found = samples.filter(|(series, _)| {
            series.starts_with(&format!("{metric}{{")) && series.contains(&job)
        });
        found.next().map(|(_, value)| value)
    }

    /// The alerts of `job` that the receiver has got so far, in their order.
    fn received(&self, job: &str) -> Vec<Json> {
        let requests = self.receiver.requests().into_iter();
        let bodies = requests.map(|request| serde_json::from_str(&request.body).unwrap());
        let alerts = bodies.flat_map(|body: Json| body["alerts"].as_array().unwrap().clone());
        alerts
            .filter(|alert| alert["labels"]["job"] == job)
            .collect()
    }

    /// Waits until the receiver has the alerts `wanted` of each job in this order, each in a request of its own, and no others.
    #[track_caller]
    fn receives(&self, wanted: &[(&str, &str)]) {
        for job in &JOBS {
            let alerts = awaited(PATIENCE, || {
                let alerts = self.received(job.name);
                let shown: Vec<(&str, &str)> = alerts
                    .iter()
                    .map(|alert| {
                        let name = alert["labels"]["alertname"].as_str().unwrap();
                        (name, alert["status"].as_str().unwrap())
                    })
                    .collect();
                if shown == wanted {
                    return Ok(alerts);
                }
                Err(format!("{}: {shown:?}, not {wanted:?}", job.name))
            });
            for alert in &alerts {
                for (label, value) in job.labels {
                    assert_eq!(alert["labels"][label], *value, "{alert}");
                }
                let summary = alert["annotations"]["summary"].as_str().unwrap();
                assert!(summary.starts_with(job.summary), "{alert}");
            }
        }
        let of_jobs = JOBS.iter().map(|job| self.received(job.name).len());
        assert_eq!(self.receiver.requests().len(), of_jobs.sum::<usize>());
    }
}

/// A job succeeds, fails, succeeds, falls silent, and succeeds again.
fn chain(gateway: &Server) {
    let watch = Watch::start(gateway);
    let mut wanted = Vec::new();
    watch.run("true", "1h");
    watch.receives(&wanted);
    for (script, max_age, alert) in [
        ("exit 3", "1h", ("BatchJobFailed", "firing")),
        ("true", "1h", ("BatchJobFailed", "resolved")),
        ("true", "1s", ("BatchJobLate", "firing")),
        ("true", "1h", ("BatchJobLate", "resolved")),
    ] {
        watch.run(script, max_age);
        wanted.push(alert);
        watch.receives(&wanted);
    }
    // Nothing comes twice: two more intervals of Alertmanager have passed.
    sleep(Duration::from_secs(3));
    watch.receives(&wanted);
}

#[test]
fn through_a_pushgateway() {
    chain(&Server::pushgateway(&[]));
}

#[test]
fn through_our_gateway() {
    chain(&Server::gateway(&[]));
}
