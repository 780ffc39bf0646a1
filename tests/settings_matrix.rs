//! Every setting of a job works as option, variable, key of its file and key of the host's config file, in this order.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;

use crate::common::{Finished, Sandbox, US, catches, eventually, finished, send};

/// Where a setting is given, the one with the last word first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Option,
    Variable,
    Job,
    Config,
}

use Place::{Config, Job, Option as Typed, Variable};

const PLACES: [Place; 4] = [Typed, Variable, Job, Config];

/// A job `j` that runs a script, with settings in some places.
struct Setup {
    sandbox: Sandbox,
    options: Vec<String>,
    job: String,
    config: String,
}

impl Setup {
    fn new(script: &str) -> Self {
        let script = script.replace("US", &US);
        Setup {
            sandbox: Sandbox::new(),
            options: Vec::new(),
            job: format!("command = ['sh', '-c', '''{script}''']\n"),
            config: String::new(),
        }
    }

    /// Gives the setting `name` the value `text` in one place.
    fn give(mut self, place: Place, name: &str, text: &str) -> Self {
        let is_bare = text.parse::<f64>().is_ok() || matches!(text, "true" | "false");
        let line = match (name, text.split_once('=')) {
            ("grouping", Some((label, value))) => format!("grouping.{label} = '{value}'\n"),
            _ if is_bare => format!("{name} = {text}\n"),
            _ => format!("{name} = '{text}'\n"),
        };
        match place {
            Typed => self
                .options
                .push(format!("--{}={text}", name.replace('_', "-"))),
            Variable => {
                let name = format!("METRICSJOB_{}", name.to_uppercase());
                self.sandbox = self.sandbox.variable(&name, text);
            }
            Job => self.job.push_str(&line),
            Config => self.config.push_str(&line),
        }
        self
    }

    fn arguments(&self, more: &str) -> Vec<String> {
        self.sandbox.write("jobs/j.toml", &self.job);
        self.sandbox
            .write(".config/metricsjob/metricsjob.toml", &self.config);
        let more = more.split_whitespace().map(str::to_owned);
        let words = ["run".to_owned(), "j".to_owned()].into_iter();
        words.chain(self.options.clone()).chain(more).collect()
    }

    fn run(&self, more: &str) -> Finished {
        self.sandbox.run_args(self.arguments(more))
    }

    /// The request that a run would send.
    fn request(&self) -> String {
        let run = self.run("--dry-run");
        run.stdout() + &run.stderr()
    }
}

/// Runs a job with the setting in each of the places, and without it.
fn in_each_place(name: &str, text: &str, script: &str, has_effect: impl Fn(&Setup) -> bool) {
    for place in PLACES {
        let setup = Setup::new(script).give(place, name, text);
        assert!(has_effect(&setup), "{name} by {place:?}");
    }
    assert!(!has_effect(&Setup::new(script)), "{name} by default");
}

#[test]
fn names_and_group() {
    in_each_place("prefix", "own", "true", |setup| {
        setup.request().contains("\nown_success 1\n")
    });
    in_each_place("method", "put", "true", |setup| {
        setup.request().starts_with("PUT ")
    });
    in_each_place("grouping", "site=berlin", "true", |setup| {
        setup.request().contains("/metrics/job/j/site/berlin")
    });
    in_each_place("instance", "web-1", "true", |setup| {
        setup.request().contains("/metrics/job/j/instance/web-1")
    });
    let host = nix::unistd::gethostname().unwrap();
    let path = format!("/metrics/job/j/instance/{}", host.to_string_lossy());
    in_each_place("instance", "true", "true", |setup| {
        setup.request().contains(&path)
    });
}

#[test]
fn time_limits() {
    in_each_place("timeout", "100ms", "exec sleep 3", |setup| {
        setup.run("").code_is(124)
    });
    let deaf = "trap '' TERM; echo $$ >pid; for _ in 1 2 3; do sleep 1; done";
    in_each_place("kill_after", "0s", deaf, |setup| {
        let start = Instant::now();
        setup.run("--timeout 50ms").code(124);
        start.elapsed() < Duration::from_secs(2)
    });
}

#[test]
fn retries_and_locks() {
    in_each_place("retries", "1", "false", |setup| {
        setup.run("--backoff 1ms").code(1);
        setup.sandbox.value("j", "batch_job_attempts") == Some(2.0)
    });
    in_each_place("backoff", "2ms", "false", |setup| {
        let run = setup.run("--retries 1");
        run.code(1);
        ["1ms", "2ms"]
            .iter()
            .any(|wait| run.stderr().contains(&format!("follows in {wait}\n")))
    });
    for (name, value) in [("lock", "true"), ("lock_wait", "1ms")] {
        in_each_place(name, value, "true", |setup| {
            let mut line = vec!["exec", "--job=j", "--lock=true", "--lock-wait=0s"];
            let inner = setup.arguments("");
            line.extend(["--instance=false", "--", &US]);
            line.extend(inner.iter().map(String::as_str));
            setup.sandbox.run_args(line).code(0);
            setup.sandbox.outcomes() == ["skipped", "success"]
        });
    }
}

#[test]
fn splay() {
    for place in PLACES {
        let setup = Setup::new("true").give(place, "splay", "10000h");
        let mut command = setup.sandbox.command(setup.arguments(""));
        let child = setup.sandbox.spawn(&mut command);
        eventually("it waits", || catches(child.id(), &[SIGTERM]));
        send(child.id(), SIGTERM);
        finished(child).code(143);
        assert!(setup.sandbox.history().is_empty(), "{place:?}");
    }
}

#[test]
fn history() {
    in_each_place("tail", "1", "echo a >&2; echo b >&2; exit 1", |setup| {
        setup.run("").code(1);
        setup.sandbox.history()[0]["tail"] == serde_json::json!(["b"])
    });
    in_each_place("keep", "1", "true", |setup| {
        setup.run("").code(0);
        setup.run("").code(0);
        setup.sandbox.history().len() == 1
    });
}

#[test]
fn reports() {
    in_each_place("metrics_limit", "3B", "US metric set a 1", |setup| {
        setup.run("").code(0);
        setup.sandbox.value("j", "a").is_none()
    });
    for (name, value) in [("push_start", "true"), ("push_interval", "1h")] {
        in_each_place(name, value, "true", |setup| {
            setup.run("").code(0);
            setup.sandbox.value("j", "batch_job_running") == Some(0.0)
        });
    }
    in_each_place("ttl", "90m", "true", |setup| {
        setup.request().contains("\nPushgateway-TTL: 1h 30m\n")
    });
}

#[test]
fn expectations() {
    for (name, value, series) in [
        ("max_age", "1h", "deadline_timestamp_seconds "),
        ("max_duration", "90s", "max_duration_seconds 90\n"),
        ("slo", "0.5", "slo_ratio 0.5\n"),
        ("severity", "page", "alerting_info{severity=\"page\"} 1\n"),
        ("owner", "dba", "alerting_info{owner=\"dba\"} 1\n"),
        (
            "runbook",
            "http://r/",
            "alerting_info{runbook=\"http://r/\"} 1\n",
        ),
    ] {
        let series = format!("\nbatch_job_{series}");
        in_each_place(name, value, "true", |setup| {
            setup.request().contains(&series)
        });
    }
    in_each_place("anomaly_metrics", "duration_seconds", "true", |setup| {
        for _ in 0..11 {
            setup.run("").code(0);
        }
        let score = "batch_job_anomaly_score{metric=\"duration_seconds\"}";
        setup.sandbox.value("j", score).is_some()
    });
    // Each label comes from the highest place that gives it.
    let setup = Setup::new("true")
        .give(Config, "severity", "info")
        .give(Config, "owner", "everybody")
        .give(Job, "owner", "dba")
        .give(Job, "runbook", "http://job/")
        .give(Variable, "runbook", "http://variable/")
        .give(Typed, "severity", "page");
    let info = "\nbatch_job_alerting_info{owner=\"dba\",runbook=\"http://variable/\",severity=\"page\"} 1\n";
    assert!(setup.request().contains(info), "{}", setup.request());
}

#[test]
fn notifications() {
    let outbox = |setup: &Setup| setup.sandbox.outbox().len();
    in_each_place("notify", "webhook:http://127.0.0.1:1", "false", |setup| {
        setup.run("").code(1);
        outbox(setup) == 1
    });
    in_each_place("notify_every", "1", "false", |setup| {
        for _ in 0..3 {
            setup.run("--notify slack:http://127.0.0.1:1").code(1);
        }
        outbox(setup) == 3
    });
}

#[test]
fn gateways() {
    in_each_place("gateway", "http://127.0.0.1:1", "true", |setup| {
        setup.request().starts_with("POST http://127.0.0.1:1/")
    });
    in_each_place("gateway", "http://127.0.0.1:1,embedded", "true", |setup| {
        let request = setup.request();
        request.starts_with("POST http://127.0.0.1:1/") && request.contains("\nPOST embedded:/")
    });
    for (index, &place) in PLACES.iter().enumerate() {
        let lower = PLACES[index..].iter();
        let url = |place: Place| format!("http://{}", format!("{place:?}").to_lowercase());
        let setup = lower.fold(Setup::new("true"), |setup, &lower| {
            setup.give(lower, "gateway", &url(lower))
        });
        let request = setup.request();
        let posts = request.lines().filter(|line| line.starts_with("POST "));
        let own = format!("POST {}/metrics/job/j\n", url(place));
        assert!(request.starts_with(&own), "{place:?}: {request}");
        assert_eq!(posts.count(), 1, "{place:?}: {request}");
    }
}

#[test]
fn required_pushes() {
    let code = |setup: &Setup| {
        let run = setup.run("--gateway 127.0.0.1:1 --push-retry-window 0s");
        assert!(run.code_is(0) || run.code_is(69), "{}", run.stderr());
        run.code_is(69)
    };
    in_each_place("require_push", "true", "true", code);
    for (index, &place) in PLACES.iter().enumerate() {
        for word in [true, false] {
            let mut setup = Setup::new("true").give(place, "require_push", &word.to_string());
            for &lower in &PLACES[index + 1..] {
                setup = setup.give(lower, "require_push", &(!word).to_string());
            }
            assert_eq!(code(&setup), word, "{place:?} {word}");
        }
    }
}

/// A lower place has the word only where no higher one has it.
#[test]
fn the_order() {
    for (index, &place) in PLACES.iter().enumerate() {
        let lower = PLACES[index..].iter();
        let setup = lower.fold(Setup::new("true"), |setup, &lower| {
            setup.give(lower, "prefix", &format!("{lower:?}").to_lowercase())
        });
        let sample = format!("\n{}_success 1\n", format!("{place:?}").to_lowercase());
        assert!(setup.request().contains(&sample), "{place:?}");
    }
}

#[test]
fn labels_are_merged() {
    let setup = Setup::new("true")
        .give(Config, "grouping", "a=config")
        .give(Config, "instance", "true")
        .give(Job, "grouping", "b=job")
        .give(Variable, "grouping", "b=variable,c=variable,d=${user}")
        .give(Typed, "grouping", "c=typed")
        .give(Typed, "instance", "me");
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let path = format!(
        "POST embedded:/metrics/job/j/a/config/b/variable/c/typed/d/{}/instance/me\n",
        user.unwrap().unwrap().name
    );
    assert!(setup.request().starts_with(&path), "{}", setup.request());
    let dropped =
        setup.run("--dry-run --drop-label a --drop-label d --drop-label instance --drop-label c");
    let text = dropped.stdout() + &dropped.stderr();
    assert!(
        text.starts_with("POST embedded:/metrics/job/j/b/variable\n"),
        "{text}"
    );
}

/// What is typed beats both variables about locks.
#[test]
fn a_typed_wait_takes_the_lock() {
    let setup = Setup::new("true").give(Variable, "lock", "false");
    let line = ["exec", "--job=j", "--lock=true", "--no-push", "--", &US];
    let inner = setup.arguments("--lock-wait 1ms");
    let line = line.into_iter().map(str::to_owned).chain(inner);
    setup.sandbox.run_args(line).code(0);
    assert_eq!(setup.sandbox.outcomes(), ["skipped", "success"]);
}
