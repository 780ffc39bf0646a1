//! Two gateways that each get every report: either may be killed while jobs report, and both end equal. A Prometheus that
//! scrapes both has each alert about a job once.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::common::own_gateway::OwnGateway;
use crate::common::{
    PATIENCE, Port, Process, Samples, Sandbox, Server, awaited, eventually_within, exposed_samples,
};

/// Hosts, each of which runs jobs of its own, and jobs of each, which run at the same time.
const HOSTS: usize = 2;
const JOBS: usize = 3;

/// How often each job runs before something happens to a gateway.
const RUNS: u32 = 5;

/// A gateway at an address that stays.
struct Replica {
    port: Port,
    start: fn(&Port, &Path) -> Running,
    running: Option<Running>,
    dir: TempDir,
}

enum Running {
    Ours(OwnGateway),
    Pushgateway(Server),
}

impl Deref for Running {
    type Target = Process;

    fn deref(&self) -> &Process {
        match self {
            Running::Ours(gateway) => gateway,
            Running::Pushgateway(server) => server,
        }
    }
}

fn ours(port: &Port, dir: &Path) -> Running {
    Running::Ours(OwnGateway::start_on(port, dir))
}

/// It keeps nothing: after a crash it is empty.
fn pushgateway(port: &Port, _: &Path) -> Running {
    Running::Pushgateway(Server::pushgateway_on(port))
}

impl Replica {
    fn start(start: fn(&Port, &Path) -> Running) -> Self {
        let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
        Replica {
            running: Some(start(&port, dir.path())),
            port,
            start,
            dir,
        }
    }

    /// Ends it by SIGKILL.
    fn kill(&mut self) {
        self.running = None;
    }

    fn bring_back(&mut self) {
        self.running = Some((self.start)(&self.port, self.dir.path()));
    }

    fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// All groups, without the times at which it got the pushes.
    fn groups(&self) -> Samples {
        let running = self.running.as_ref().unwrap();
        let answer = running.exchange("GET", "/metrics", &[], "");
        let mut samples = exposed_samples(&answer.body);
        samples.retain(|series, _| !series.starts_with("push_"));
        samples
    }
}

/// A host whose reports go to both gateways.
fn host(replicas: &[Replica; 2]) -> Sandbox {
    let [a, b] = replicas;
    Sandbox::new()
        .variable("METRICSJOB_GATEWAY", format!("{},{}", a.url(), b.url()))
        .variable("METRICSJOB_PUSH_RETRY_WINDOW", "0s")
}

/// Runs a job, and pushes how often that was.
fn run(host: &Sandbox, job: &str, count: u32) {
    // Some of them fail.
    let outcome = if count.is_multiple_of(3) {
        "false"
    } else {
        "true"
    };
    let code = i32::from(outcome == "false");
    host.exec(&format!("--job {job}"), outcome).code(code);
    let line = format!("push --job {job} -g of=pushes --method put");
    let pushed = host.run_with_input(&line, format!("count {count}\n"));
    // The report of a push that one gateway did not take is in the outbox.
    assert!(
        pushed.code_is(0) || pushed.code_is(69),
        "{}",
        pushed.stderr()
    );
}

/// Jobs that go on running on all hosts while `meanwhile` does what it does; that gets a function that waits for further
/// runs of each. Returns how often each job has run.
fn under_load(hosts: &[Sandbox], meanwhile: impl FnOnce(&dyn Fn())) -> BTreeMap<String, u32> {
    let is_over = AtomicBool::new(false);
    let counts: Vec<AtomicU32> = (0..HOSTS * JOBS).map(|_| AtomicU32::new(0)).collect();
    let name = |index: usize| format!("job{index}");
    thread::scope(|scope| {
        for (index, count) in counts.iter().enumerate() {
            let (host, is_over) = (&hosts[index % HOSTS], &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    run(host, &name(index), count.load(Ordering::Relaxed) + 1);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        meanwhile(&|| {
            let all = || counts.iter().map(|count| count.load(Ordering::Relaxed));
            let before: Vec<u32> = all().collect();
            eventually_within(PATIENCE, "further runs of each job", || {
                all().zip(&before).all(|(now, before)| now >= before + RUNS)
            });
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let counts = counts.into_iter().enumerate();
    counts
        .map(|(index, count)| (name(index), count.into_inner()))
        .collect()
}

/// Kills each gateway in turn by SIGKILL while jobs report, and brings it back.
fn kill_each_in_turn(replicas: &mut [Replica; 2], hosts: &[Sandbox]) -> BTreeMap<String, u32> {
    under_load(hosts, |some_runs| {
        some_runs();
        for replica in replicas {
            replica.kill();
            some_runs();
            replica.bring_back();
            some_runs();
        }
    })
}

/// Both gateways show the same, and it is what the jobs have reported.
#[track_caller]
fn are_equal(replicas: &[Replica; 2], hosts: &[Sandbox], runs: &BTreeMap<String, u32>) {
    for host in hosts {
        host.run("outbox flush").code(0);
        assert_eq!(host.outbox_len(), 0);
    }
    let [a, b] = replicas;
    let shown = a.groups();
    assert_eq!(shown, b.groups());
    for (job, count) in runs {
        let value = |series: String| shown.get(&series).copied();
        let total = |outcome: &str| {
            let labels = format!("{{instance=\"\",job=\"{job}\",outcome=\"{outcome}\"}}");
            value(format!("batch_job_runs_total{labels}")).unwrap_or_default()
        };
        let failed = count / 3;
        assert_eq!(total("failure"), f64::from(failed), "{job}");
        assert_eq!(total("success"), f64::from(count - failed), "{job}");
        let last = value(format!("batch_job_success{{instance=\"\",job=\"{job}\"}}"));
        assert_eq!(last, Some(f64::from(u8::from(count % 3 != 0))), "{job}");
        let pushed = format!("count{{instance=\"\",job=\"{job}\",of=\"pushes\"}}");
        assert_eq!(value(pushed), Some(f64::from(*count)), "{job}");
    }
}

#[test]
fn either_may_be_killed_and_both_end_equal() {
    let mut replicas = [Replica::start(ours), Replica::start(ours)];
    let hosts: Vec<Sandbox> = (0..HOSTS).map(|_| host(&replicas)).collect();
    let runs = kill_each_in_turn(&mut replicas, &hosts);
    are_equal(&replicas, &hosts, &runs);
}

/// A Pushgateway loses what it has acknowledged. The next success of each job brings all of its report back.
#[test]
fn pushgateways_are_equal_after_the_next_run_of_each_job() {
    let mut replicas = [Replica::start(pushgateway), Replica::start(pushgateway)];
    let hosts: Vec<Sandbox> = (0..HOSTS).map(|_| host(&replicas)).collect();
    let mut runs = kill_each_in_turn(&mut replicas, &hosts);
    for (index, (job, count)) in runs.iter_mut().enumerate() {
        loop {
            *count += 1;
            run(&hosts[index % HOSTS], job, *count);
            if *count % 3 != 0 {
                break;
            }
        }
    }
    are_equal(&replicas, &hosts, &runs);
}

/// The configuration that ships, with other addresses and shorter times, and our rules.
fn prometheus(replicas: &[Replica; 2], files: &Sandbox) -> Server {
    let mut config = include_str!("../monitoring/prometheus-two-gateways.yml").replace(
        "scrape_interval: 15s",
        "scrape_interval: 2s\n  evaluation_interval: 1s",
    );
    for (replica, name) in replicas.iter().zip(["gateway-a:9091", "gateway-b:9091"]) {
        assert!(config.contains(name));
        config = config.replace(name, &replica.port.address());
    }
    let rules = files.run("generate rules").code(0).stdout();
    assert!(rules.contains("for: 2m"));
    files.write("rules.yml", rules.replace("for: 2m", "for: 2s"));
    Server::prometheus(&files.write("prometheus.yml", config))
}

/// The page has the configuration that ships, and that is tested here.
#[test]
fn the_page_has_the_configuration_that_ships() {
    let page = include_str!("../docs/how-to/run-two-gateways.md");
    let (_, advised) = page.split_once("```yaml\n").unwrap();
    let (advised, _) = advised.split_once("```").unwrap();
    let without_comments = |text: &str| {
        let lines = text.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    let shipped = include_str!("../monitoring/prometheus-two-gateways.yml");
    let advised = without_comments(advised);
    assert!(
        without_comments(shipped).ends_with(advised.trim_end()),
        "{advised}"
    );
}

/// Labels and values that a query results in.
fn results(prometheus: &Server, query: &str) -> Vec<(Json, String)> {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let answer = prometheus.get(&format!("/api/v1/query?query={query}"));
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let results = answer["data"]["result"].as_array().unwrap().iter();
    let value = |result: &Json| result["value"][1].as_str().unwrap().to_owned();
    results
        .map(|result| (result["metric"].clone(), value(result)))
        .collect()
}

/// Name and group of each alert that fires.
fn firing(prometheus: &Server) -> Vec<(String, String)> {
    let answer: Json = serde_json::from_str(&prometheus.get("/api/v1/alerts")).unwrap();
    let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
    let firing = alerts.filter(|alert| alert["state"] == "firing");
    let text = |label: &Json| label.as_str().unwrap_or_default().to_owned();
    let mut firing: Vec<(String, String)> = firing
        .map(|alert| {
            let labels = &alert["labels"];
            let of = [&labels["batch_job_group"], &labels["gateway_replica"]];
            (text(&labels["alertname"]), of.map(text).concat())
        })
        .collect();
    firing.sort();
    firing
}

const FAILED: (&str, &str) = ("BatchJobFailed", "nightly");
const A_DOWN: (&str, &str) = ("MetricsjobGatewayDown", "a");
const B_DOWN: (&str, &str) = ("MetricsjobGatewayDown", "b");

/// Returns true if Prometheus got each of its latest scrapes of these gateways: on a busy machine one may take too long.
fn is_scraped(prometheus: &Server, names: &str) -> bool {
    let query = format!("min_over_time(up{{gateway_replica=~\"{names}\"}}[6s])");
    let found = results(prometheus, &query);
    found.iter().all(|(_, up)| up == "1")
}

#[track_caller]
fn is_steady(prometheus: &Server, names: &str) {
    eventually_within(PATIENCE, "Prometheus scrapes it", || {
        is_scraped(prometheus, names)
    });
}

/// Waits until exactly these alerts fire. All the while `always` does, as far as Prometheus scrapes the gateway `up`.
#[track_caller]
fn awaits(prometheus: &Server, always: Option<((&str, &str), &str)>, wanted: &[(&str, &str)]) {
    awaited(PATIENCE, || {
        let firing = firing(prometheus);
        let shown: Vec<(&str, &str)> = firing.iter().map(|(a, b)| (&**a, &**b)).collect();
        if let Some((alert, up)) = always {
            let is_kept = shown.contains(&alert) || !is_scraped(prometheus, up);
            assert!(is_kept, "{alert:?} is missing in {shown:?}");
        }
        (shown == wanted).then_some(()).ok_or(format!("{shown:?}"))
    });
}

#[test]
fn one_prometheus_has_each_alert_once() {
    let mut replicas = [Replica::start(ours), Replica::start(ours)];
    let (host, files) = (host(&replicas), Sandbox::new());
    let prometheus = prometheus(&replicas, &files);
    host.exec("--job nightly", "true").code(0);
    let is_known = |value: &str| {
        awaited(PATIENCE, || {
            let found = results(&prometheus, "batch_job_success");
            let is_known = found.len() == 2 && found.iter().all(|(_, found)| found == value);
            is_known.then_some(()).ok_or(format!("{found:?}"))
        });
    };
    is_known("1");
    awaits(&prometheus, None, &[]);
    host.exec("--job nightly", "false").code(1);
    awaits(&prometheus, None, &[FAILED]);
    is_known("0");
    // The death of either is about the gateway alone, and hides nothing.
    for (index, down, other) in [(0, A_DOWN, "b"), (1, B_DOWN, "a")] {
        let always = Some((FAILED, other));
        is_steady(&prometheus, other);
        replicas[index].kill();
        awaits(&prometheus, always, &[FAILED, down]);
        replicas[index].bring_back();
        awaits(&prometheus, always, &[FAILED]);
        is_known("0");
    }
    // A success while one is down: what that shows when it is back, and has not got it yet, does not count.
    replicas[0].kill();
    host.exec("--job nightly", "true").code(0);
    awaits(&prometheus, None, &[A_DOWN]);
    replicas[0].bring_back();
    awaits(&prometheus, None, &[]);
    let values = |query: &str| -> Vec<String> {
        let found = results(&prometheus, query).into_iter();
        found.map(|(_, value)| value).collect()
    };
    let differ = || {
        awaited(PATIENCE, || {
            let found = values("sort(batch_job_success)");
            let differ = found == ["0", "1"];
            differ.then_some(()).ok_or(format!("{found:?}"))
        });
    };
    differ();
    is_steady(&prometheus, "b");
    for _ in 0..20 {
        let firing = firing(&prometheus);
        let is_right = firing.is_empty() || !is_scraped(&prometheus, "b");
        assert!(is_right, "{firing:?}");
        thread::sleep(Duration::from_millis(100));
    }
    // A failure that the one with the success misses.
    host.run("outbox flush").code(0);
    is_known("1");
    replicas[1].kill();
    awaits(&prometheus, None, &[B_DOWN]);
    host.exec("--job nightly", "false").code(1);
    awaits(&prometheus, None, &[FAILED, B_DOWN]);
    is_steady(&prometheus, "a");
    replicas[1].bring_back();
    awaits(&prometheus, Some((FAILED, "a")), &[FAILED]);
    differ();
    host.run("outbox flush").code(0);
    is_known("0");
    awaits(&prometheus, Some((FAILED, "a|b")), &[FAILED]);
}
