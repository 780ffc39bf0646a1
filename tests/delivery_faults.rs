//! Campaigns: many runs through random faults, kills and restarts, and in the end the gateway holds
//! what it would hold without them.
//!
//! `METRICSJOB_TEST_ROUNDS` is how many rounds the first campaign has (the others in proportion),
//! `METRICSJOB_TEST_SEED` what the random choices come from; `scripts/soak` sets both. The choices
//! are the same ones for the same seed, but which process meets which fault is up to the scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::common::campaign::{WORKERS, assert_same, on_workers, pushed, random, rounds, seed};
use crate::common::{
    Fault, FaultProxy, Finished, Port, Samples, Sandbox, Server, eventually, finished, of_job,
};

/// Delivers what is left in the outbox, which is all.
#[track_caller]
fn flush(sandbox: &Sandbox, gateway: &str) {
    let flush = sandbox.run(&format!("outbox flush --gateway {gateway}"));
    flush.code(0);
    let list = sandbox.run("outbox list --output json");
    assert_eq!(list.code(0).json(), serde_json::json!([]));
    assert_eq!(sandbox.outbox_len(), 0);
}

// Runs through random faults.

/// One run of a job: all that is to be known about it beforehand.
struct Round {
    group: usize,
    method: &'static str,
    metrics: String,
    exit_code: i32,
}

impl Round {
    const GROUPS: usize = 8;

    fn new(seed: u64, number: usize) -> Self {
        let mut random = random(seed, number + 1);
        let mut metrics = format!("round {number}\n");
        // Which families a report has varies, and so do the series of each: POST replaces families.
        for family in ["files", "rows", "bytes", "users"] {
            for part in ["a", "b"] {
                if random.random_bool(0.3) {
                    let value = random.random_range(0..1000);
                    metrics += &format!("{family}{{part=\"{part}\"}} {value}\n");
                }
            }
        }
        Round {
            group: number % Round::GROUPS,
            method: ["post", "put"][usize::from(random.random_bool(0.3))],
            metrics,
            exit_code: [0, 0, 0, 3, 42][random.random_range(0..5)],
        }
    }

    fn run(&self, sandbox: &Sandbox, options: &str) -> Finished {
        let (job, shard) = (self.group % 3, self.group / 3);
        let method = self.method;
        let options = format!("--job j{job} -g shard={shard} --method {method} --quiet {options}");
        let script = format!(
            "printf '%s' '{}' >> \"$METRICSJOB_METRICS\"; exit {}",
            self.metrics, self.exit_code
        );
        Finished::from(sandbox.exec_command(&options, &script).output().unwrap())
    }
}

/// Runs all rounds, those of one group one after the other. Returns how many were complained about.
fn run_all(seed: u64, rounds: usize, sandbox: &Sandbox, options: &str) -> usize {
    let complaints = on_workers(|worker| {
        let mine = (0..rounds).filter(|number| number % Round::GROUPS % WORKERS == worker);
        let rounds = mine.map(|number| Round::new(seed, number));
        rounds
            .filter(|round| {
                let run = round.run(sandbox, options);
                run.code(round.exit_code).stderr().contains("warning: ")
            })
            .count()
    });
    complaints.into_iter().sum()
}

#[test]
fn runs_through_random_faults_end_as_without_them() {
    let (seed, rounds) = (seed(), rounds(1000));
    let (gateway, calm_gateway) = (Server::pushgateway(&[]), Server::pushgateway(&[]));
    let mut random = random(seed, 0);
    let proxy = FaultProxy::new(gateway.address(), move || Fault::random(&mut random));
    let sandbox = Sandbox::new();
    let options = format!(
        "--gateway {} --push-timeout 150ms --connect-timeout 150ms",
        proxy.url()
    );
    let warned = run_all(seed, rounds, &sandbox, &options);
    let counts = proxy.counts();
    println!("{warned} of {rounds} runs warned; {counts:?}");
    if rounds >= 1000 {
        assert!(Fault::KINDS.iter().all(|kind| counts.contains_key(kind)));
        assert!(warned > 0);
    }
    proxy.heal();
    flush(&sandbox, &proxy.url());

    let calm = Sandbox::new();
    let options = format!("--gateway {}", calm_gateway.url());
    assert_eq!(run_all(seed, rounds, &calm, &options), 0);
    assert_same(&pushed(&gateway), &pushed(&calm_gateway));
}

// Kills.

/// A run is recorded and its report kept in one step, so whenever it dies: either there was no run,
/// or its report arrives.
#[test]
fn killed_runs_are_reported_or_never_were() {
    let (seed, rounds) = (seed(), rounds(200));
    let gateway = Server::pushgateway(&[]);
    let mut faults = random(seed, 0);
    let proxy = FaultProxy::new(gateway.address(), move || match faults.random_range(0..8) {
        0 => Fault::None,
        pause => Fault::Slow(Duration::from_millis(pause)),
    });
    let sandbox = Sandbox::new();
    let killed = on_workers(|worker| {
        let mut random = random(seed, worker + 1);
        let mut killed = BTreeSet::new();
        for number in (worker..rounds).step_by(WORKERS) {
            let options = format!(
                "--job killed -g n={number} --keep 1000000 --gateway {}",
                proxy.url()
            );
            let script = format!("echo n {number} >> \"$METRICSJOB_METRICS\"");
            let mut command = sandbox.exec_command(&options, &script);
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // From 1 ms to 1 s, each doubling as likely: some in each stage however slow all is.
            let delay = Duration::from_secs_f64(2_f64.powf(random.random_range(-10.0..0.0)));
            let (start, mut has_ended) = (Instant::now(), false);
            while !has_ended && start.elapsed() < delay {
                thread::sleep(Duration::from_micros(200));
                has_ended = child.try_wait().unwrap().is_some();
            }
            child.kill().unwrap();
            if child.wait().unwrap().signal().is_some() {
                killed.insert(number);
            }
        }
        killed
    });
    let killed: BTreeSet<_> = killed.into_iter().flatten().collect();
    let history = sandbox.run(&format!("history --last {rounds} --output json"));
    let runs = history.code(0).json();
    let number = |run: &serde_json::Value| run["grouping"]["n"].as_str().unwrap().parse().unwrap();
    let recorded: BTreeSet<usize> = runs.as_array().unwrap().iter().map(number).collect();
    let late = killed.intersection(&recorded).count();
    let early = killed.len() - late;
    println!("of {rounds}, {early} were killed before they were recorded, {late} after that");
    if rounds >= 200 {
        assert!(early > rounds / 40 && late > rounds / 40);
    }
    assert!((0..rounds).all(|number| killed.contains(&number) || recorded.contains(&number)));

    proxy.heal();
    flush(&sandbox, &proxy.url());
    let samples = pushed(&gateway);
    for number in 0..rounds {
        let series = |name: &str| of_job("killed", &format!(r#"{name}{{n="{number}"}}"#));
        let value = samples.get(&series("n")).copied();
        let expected = recorded.contains(&number).then_some(number as f64);
        assert_eq!(value, expected, "run {number}");
        let success = samples.get(&series("batch_job_success")).copied();
        assert_eq!(success, expected.map(|_| 1.0), "run {number}");
    }
}

// Pushes of which the newest counts.

/// A push to a group, all of it following from the group's number and how many there were before.
struct Step {
    key: usize,
    value: usize,
}

impl Step {
    fn is_put(&self) -> bool {
        (self.key + self.value).is_multiple_of(4)
    }

    fn families(&self) -> [String; 2] {
        ["newest".into(), format!("family{}", self.value % 3)]
    }

    fn push(&self, sandbox: &Sandbox, gateway: &str) -> Finished {
        let method = if self.is_put() { "put" } else { "post" };
        let key = self.key;
        let options = "--quiet --push-retry-window 0s";
        let line =
            format!("push --job j -g key={key} --method {method} --gateway {gateway} {options}");
        let value = self.value;
        let lines = self.families().map(|family| format!("{family} {value}\n"));
        sandbox.run_with_input(&line, lines.concat())
    }
}

/// What a gateway holds after steps: a PUT replaces the group, a POST what has the same name.
#[derive(Default)]
struct Model(BTreeMap<usize, BTreeMap<String, usize>>);

impl Model {
    fn apply(&mut self, step: &Step) {
        let group = self.0.entry(step.key).or_default();
        if step.is_put() {
            group.clear();
        }
        group.extend(step.families().map(|family| (family, step.value)));
    }

    fn samples(&self) -> Samples {
        let groups = self.0.iter();
        groups
            .flat_map(|(key, families)| {
                let times = [("push_time_seconds", 1), ("push_failure_time_seconds", 0)];
                let families = families.iter().map(|(name, value)| (&**name, *value));
                let all = families.chain(times);
                all.map(move |(name, value)| {
                    let series = of_job("j", &format!(r#"{name}{{key="{key}"}}"#));
                    (series, value as f64)
                })
            })
            .collect()
    }
}

/// A gateway that some requests reach slowly, an outbox full of pushes to it, and what comes of them.
struct Backlog {
    gateway: Server,
    proxy: FaultProxy,
    sandbox: Sandbox,
}

impl Backlog {
    const KEYS: usize = 100;
    const VALUES: usize = 10;

    fn new() -> Self {
        let gateway = Server::pushgateway(&[]);
        let mut random = random(seed(), 0);
        let proxy = FaultProxy::new(gateway.address(), move || {
            if random.random_bool(0.1) {
                Fault::Slow(Duration::from_millis(1))
            } else {
                Fault::None
            }
        });
        let backlog = Backlog {
            gateway,
            proxy,
            // Whoever waits for the others may wait long on a busy machine.
            sandbox: Sandbox::new().variable("METRICSJOB_PUSH_DEADLINE", "5m"),
        };
        backlog.proxy.close();
        for pushes in backlog.push_all(1..=Backlog::VALUES) {
            assert!(pushes.iter().all(|push| push.code(69).stderr() != ""));
        }
        backlog.proxy.open();
        assert!(backlog.sandbox.outbox_len() >= Backlog::KEYS as i64);
        backlog
    }

    /// Pushes all `values` to all groups, several at a time, but not to one group.
    fn push_all(&self, values: RangeInclusive<usize>) -> Vec<Vec<Finished>> {
        let (sandbox, url) = (&self.sandbox, self.proxy.url());
        on_workers(|worker| {
            let keys = (worker..Backlog::KEYS).step_by(WORKERS);
            let steps = keys.flat_map(|key| values.clone().map(move |value| Step { key, value }));
            steps.map(|step| step.push(sandbox, &url)).collect()
        })
    }

    /// Flushes the outbox by 20 processes while `meanwhile` goes on.
    fn flush(&self, meanwhile: impl FnOnce()) {
        let line = format!("outbox flush --gateway {}", self.proxy.url());
        let start = |_| {
            let mut command = self.sandbox.command(line.split(' '));
            self.sandbox.spawn(&mut command)
        };
        let flushes: Vec<_> = (0..20).map(start).collect();
        meanwhile();
        for flush in flushes {
            finished(flush).code(0);
        }
    }

    /// Asserts that all values up to `newest` are delivered to each group, in their order.
    #[track_caller]
    fn assert_delivered(&self, newest: usize) {
        let mut model = Model::default();
        for key in 0..Backlog::KEYS {
            (1..=newest).for_each(|value| model.apply(&Step { key, value }));
        }
        assert_same(&pushed(&self.gateway), &model.samples());
        assert_eq!(self.sandbox.outbox_len(), 0);
    }
}

#[test]
fn twenty_flushes_of_one_outbox() {
    for _ in 0..rounds(1) {
        let backlog = Backlog::new();
        backlog.flush(|| {});
        backlog.assert_delivered(Backlog::VALUES);
    }
}

#[test]
fn a_newer_push_wins_over_flushes() {
    for _ in 0..rounds(1) {
        let backlog = Backlog::new();
        let newer = Backlog::VALUES + 1;
        backlog.flush(|| {
            for push in backlog.push_all(newer..=newer).iter().flatten() {
                push.code(0);
            }
        });
        backlog.assert_delivered(newer);
    }
}

// Restarts of the gateway, which forgets all.

/// It then holds what was pushed since it went down.
#[test]
fn a_gateway_that_restarts() {
    let mut random = random(seed(), 0);
    let (port, sandbox) = (Port::reserve(), Sandbox::new());
    let mut gateway = Server::pushgateway_on(&port);
    let (mut model, mut value) = (Model::default(), 0);
    let mut push_some = |model: &mut Model, code| {
        for _ in 0..8 {
            value += 1;
            let key = random.random_range(0..6);
            let step = Step { key, value };
            step.push(&sandbox, &port.address()).code(code);
            model.apply(&step);
        }
    };
    for _ in 0..rounds(5) {
        push_some(&mut model, 0);
        assert_same(&pushed(&gateway), &model.samples());
        drop(gateway);
        model = Model::default();
        push_some(&mut model, 69);
        gateway = Server::pushgateway_on(&port);
        push_some(&mut model, 0);
        flush(&sandbox, &port.address());
        assert_same(&pushed(&gateway), &model.samples());
    }
}

/// What a gateway took before it died is lost with it, but not what came last.
#[test]
fn a_gateway_that_restarts_under_load() {
    let (port, sandbox) = (Port::reserve(), Sandbox::new());
    let (pushes, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let push = |key, value| {
        let push = Step { key, value }.push(&sandbox, &port.address());
        pushes.fetch_add(1, Ordering::SeqCst);
        push
    };
    let more_pushes = || {
        let before = pushes.load(Ordering::SeqCst);
        eventually("pushes go on", || {
            pushes.load(Ordering::SeqCst) > before + 20
        });
    };
    let restarts = || {
        // However this ends, or the load would go on for ever.
        let _over = Over(&is_over);
        let mut gateway = Server::pushgateway_on(&port);
        for _ in 0..rounds(5) {
            more_pushes();
            drop(gateway);
            more_pushes();
            gateway = Server::pushgateway_on(&port);
            more_pushes();
        }
        gateway
    };
    let (gateway, last) = thread::scope(|scope| {
        let restarts = scope.spawn(restarts);
        let last = on_workers(|key| {
            let is_last = |value: &usize| {
                push(key, *value);
                is_over.load(Ordering::SeqCst)
            };
            (1..).find(is_last).unwrap() + 1
        });
        (restarts.join().unwrap(), last)
    });
    for (key, value) in last.iter().enumerate() {
        push(key, *value).code(0);
    }
    flush(&sandbox, &port.address());
    let samples = pushed(&gateway);
    for (key, value) in last.iter().enumerate() {
        let series = of_job("j", &format!(r#"newest{{key="{key}"}}"#));
        assert_eq!(samples.get(&series), Some(&(*value as f64)), "{key}");
    }
}

/// Sets the flag when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
