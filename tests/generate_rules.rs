//! `metricsjob generate rules`: alerts about jobs, and their unit tests.

use std::collections::BTreeSet;
use std::fs;

use crate::common::{Sandbox, monitoring};

/// The alerts in a file of rules, in the order of their first rules.
fn alerts(rules: &str) -> Vec<&str> {
    let mut known = BTreeSet::new();
    let lines = rules.lines();
    lines
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .filter(|alert| known.insert(*alert))
        .collect()
}

/// The jobs that have a rule for when they do not report.
fn never_reported(rules: &str) -> Vec<&str> {
    let lines = rules.lines();
    let metric = "absent(batch_job_last_completion_timestamp_seconds{job=";
    lines
        .filter_map(|line| line.trim_start().strip_prefix(metric)?.strip_suffix("})"))
        .collect()
}

#[test]
fn monitoring_has_the_rules() {
    monitoring::holds("rules.yml", "rules --jobs-dir ROOT/jobs");
    monitoring::holds("rules.test.yml", "rules --tests --jobs-dir ROOT/jobs");
}

#[test]
fn all_that_is_asked_for() {
    let rules = Sandbox::new().run("generate rules").code(0).stdout();
    let wanted = [
        "BatchJobLate",
        "BatchJobFailed",
        "BatchJobFailedRepeatedly",
        "BatchJobTakesTooLong",
        "BatchJobExpectationNotMet",
        "BatchJobUnusual",
        "BatchJobPushRejected",
        "BatchJobBudgetBurnsFast",
        "BatchJobBudgetBurns",
        "MetricsjobOutboxBacklog",
        "MetricsjobPushRejected",
        "MetricsjobGatewayCommitsFail",
        "MetricsjobGatewayDown",
        "MetricsjobScheduleLag",
        "MetricsjobMissedRuns",
        "MetricsjobJobFileProblems",
        "HighErrorRate",
        "HighResponseTime",
        "ServiceDown",
        "HighCPUUsage",
    ];
    assert_eq!(alerts(&rules), wanted);
    // Those about groups have a second rule each, for job arrays.
    let of_groups = 7;
    let count = wanted.len() + of_groups;
    for (text, count) in [
        ("- alert: ", count),
        ("          task: '*'\n", of_groups),
        ("severity: ", count),
        ("summary: ", count),
        ("description: ", count),
        ("runbook_url: ", count),
        ("rate(errors_total[5m]) > 0.1\n        for: 2m", 1),
        ("  external_service_up == 0\n", 1),
        ("(push_time_seconds))\n          )\n        for: 1m", 1),
    ] {
        assert_eq!(rules.matches(text).count(), count, "{text}");
    }
}

/// A person who gets an alert finds it in the documentation, by the address that it has.
#[test]
fn each_alert_is_explained() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-to/alerts.md");
    let page = fs::read_to_string(page).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("jobs/j.toml", "command = ['true']");
    let rules = sandbox.run("generate rules").code(0).stdout();
    let known: BTreeSet<&str> = alerts(&rules).into_iter().collect();
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(headings.collect::<BTreeSet<_>>(), known);
    for alert in known {
        let address = format!("docs/how-to/alerts.md#{}", alert.to_lowercase());
        assert!(rules.contains(&address), "{address}");
    }
}

#[test]
fn one_rule_for_each_job_with_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/nightly.toml", "command = ['true']");
    sandbox.write(
        "jobs/a.toml",
        "command = ['true']\njob = 'sync'\ngrouping.site = 'a'",
    );
    sandbox.write(
        "jobs/b.toml",
        "command = ['true']\njob = 'sync'\ngrouping.site = 'b'",
    );
    sandbox.write("jobs/demo.toml", "command = ['true']\ndemo = true");
    sandbox.write("more/other.toml", "command = ['true']");
    // Not what is only compiled in, such as backup.
    let rules = sandbox
        .run("generate rules")
        .code(0)
        .quiet_stderr()
        .stdout();
    assert_eq!(never_reported(&rules), ["\"nightly\"", "\"sync\""]);
    let rules = sandbox
        .run("generate rules --jobs-dir more")
        .code(0)
        .stdout();
    assert_eq!(
        never_reported(&rules),
        ["\"nightly\"", "\"other\"", "\"sync\""]
    );
}

/// The rules of a job would be missing, and nobody would see it.
#[test]
fn a_bad_job_file_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/bad.toml", "command = ['true']\ntimeout = '1 hor'");
    for line in ["generate rules", "generate rules --tests"] {
        let run = sandbox.run(line);
        run.code(2).err("error: jobs/bad.toml:2:11: timeout");
        assert_eq!(run.stdout(), "");
    }
    let run = sandbox.run("generate rules --jobs-dir nowhere");
    run.code(2).err("could not read the jobs directory nowhere");
}

#[test]
fn a_page_of_ones_own() {
    let sandbox = Sandbox::new();
    let line = "generate rules --runbook-url https://wiki.example/{{alerts}}";
    let rules = sandbox.run(line).code(0).stdout();
    let address = r##"{{ or $labels.runbook "https://wiki.example/{{alerts}}#batchjoblate" }}"##;
    assert!(rules.contains(address), "{rules}");
    let address = r##"'{{ "https://wiki.example/{{alerts}}#servicedown" }}'"##;
    assert!(rules.contains(address), "{rules}");
}

#[cfg(feature = "real-servers")]
mod on_real_servers {
    use std::process::Command;

    use serde_json::Value as Json;

    use super::*;
    use crate::common::own_server::{self, OwnServer};
    use crate::common::{Finished, PATIENCE, Server, awaited};

    fn promtool(sandbox: &Sandbox, line: &str) -> Finished {
        let mut command = Command::new("promtool");
        command.args(line.split(' ')).current_dir(sandbox.path());
        command.output().unwrap().into()
    }

    /// Writes rules.yml and rules.test.yml, with the further options of `options`.
    fn written(sandbox: &Sandbox, options: &str) {
        for (file, line) in [("rules.yml", "rules"), ("rules.test.yml", "rules --tests")] {
            let run = sandbox.run(&format!("generate {line} {options}"));
            sandbox.write(file, run.code(0).quiet_stderr().stdout());
        }
    }

    /// With names that each of YAML, PromQL and templates has to escape, and jobs that each file names.
    #[test]
    fn promtool_takes_rules_and_tests() {
        let sandbox = Sandbox::new();
        let nasty = r#"he's \"so\" \\d {{ 7 }} # \n \u0085 é: 😀"#;
        sandbox.write(
            "jobs/a.toml",
            format!("command = ['true']\njob = \"{nasty}\""),
        );
        sandbox.write("jobs/b.toml", "command = ['true']\njob = '{{ .Value }}'");
        sandbox.write("jobs/c.toml", "command = ['true']\njob = ' - c'");
        written(&sandbox, "--runbook-url https://wiki.example/{{alerts}}");
        let checked = promtool(&sandbox, "check rules --lint=all --lint-fatal rules.yml");
        checked.code(0).out("SUCCESS: 46 rules found");
        assert!(!checked.stderr().contains("error"), "{}", checked.stderr());
        promtool(&sandbox, "test rules rules.test.yml")
            .code(0)
            .out("SUCCESS");
    }

    /// Unit tests of the rules hold also where the last sample of each series counts.
    #[test]
    fn promtool_takes_those_for_remote_write() {
        let sandbox = Sandbox::new();
        sandbox.write("jobs/a.toml", "command = ['true']");
        sandbox.write("jobs/b.toml", "command = ['true']");
        written(&sandbox, "--destination remote-write");
        let rules = fs::read_to_string(sandbox.path().join("rules.yml")).unwrap();
        assert!(rules.contains("last_over_time(batch_job_success[35d]) == 0"));
        let checked = promtool(&sandbox, "check rules --lint=all --lint-fatal rules.yml");
        checked.code(0).out("SUCCESS");
        promtool(&sandbox, "test rules rules.test.yml").code(0);
    }

    /// Each alert is expected to fire somewhere, so that a rule that never does is found.
    #[test]
    fn the_tests_fail_without_the_rules() {
        let sandbox = Sandbox::new();
        sandbox.write("jobs/j.toml", "command = ['true']");
        written(&sandbox, "");
        let rules = fs::read_to_string(sandbox.path().join("rules.yml")).unwrap();
        sandbox.write("rules.yml", "groups: []\n");
        let failed = promtool(&sandbox, "test rules rules.test.yml");
        let failed = failed.code(1).stdout() + &failed.stderr();
        for alert in alerts(&rules) {
            assert!(failed.contains(&format!("alertname: {alert}, ")), "{alert}");
        }
    }

    /// The metrics of our servers have the names that the rules ask for.
    #[test]
    fn the_servers_have_the_metrics() {
        let sandbox = Sandbox::new();
        own_server::job(&sandbox, "j", "every = '1h'", "true");
        let server = OwnServer::start(&sandbox, "");
        server.run("j");
        let gateway = Server::gateway(&[]);
        let push = format!("push --job j --gateway {}", gateway.url());
        sandbox.run_with_input(&push, "a 1\n").code(0);
        server.get("/metrics");
        let shown = server.get("/metrics").body + &gateway.get("/metrics");
        let rules = sandbox.run("generate rules").code(0).stdout();
        let words =
            rules.split(|char: char| !(char.is_ascii_alphanumeric() || "_:".contains(char)));
        let ours = words.filter(|word| {
            let has = |prefix| word.starts_with(prefix);
            let is_metric = ["_total", "_entries", "_problems", "_bucket", "_ratio"];
            let is_metric = is_metric.iter().any(|suffix| word.ends_with(suffix));
            is_metric
                && ["metricsjob_", "http_", "errors_", "system_"]
                    .into_iter()
                    .any(has)
                || has("push_") && word.ends_with("_time_seconds")
        });
        let ours: BTreeSet<&str> = ours.collect();
        assert_eq!(ours.len(), 10, "{ours:?}");
        for name in ours {
            let is_shown = |line: &str| {
                line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))
            };
            assert!(shown.lines().any(is_shown), "{name}");
        }
    }

    /// The alerts that fire, each with its summary.
    fn firing(prometheus: &Server) -> Vec<(String, String)> {
        let answer: Json = serde_json::from_str(&prometheus.get("/api/v1/alerts")).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let mut firing: Vec<(String, String)> = firing
            .map(|alert| {
                let summary = &alert["annotations"]["summary"];
                (text(&alert["labels"]["alertname"]), text(summary))
            })
            .collect();
        firing.sort();
        firing
    }

    #[track_caller]
    fn awaits(prometheus: &Server, wanted: &[(&str, &str)]) {
        awaited(PATIENCE, || {
            let firing = firing(prometheus);
            let shown = firing.iter().map(|(name, summary)| (&**name, &**summary));
            if shown.eq(wanted.iter().copied()) {
                return Ok(());
            }
            Err(format!("{firing:?}"))
        });
    }

    /// A job that fails, fails again, and succeeds, with a Pushgateway between.
    #[test]
    fn a_real_prometheus_fires_and_resolves() {
        let gateway = Server::pushgateway(&[]);
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
        let rules = sandbox.run("generate rules").code(0).stdout();
        sandbox.write("rules.yml", rules);
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n\
             - {{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: [\"{}\"]}}]}}\n",
            gateway.address()
        );
        let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
        let run = |script: &str| {
            sandbox.exec("--job nightly -g db=shop", script);
        };
        run("true");
        prometheus.wait_for("/api/v1/query?query=batch_job_success", |body| {
            body.contains("\"metric\"")
        });
        awaits(&prometheus, &[]);
        run("false");
        awaits(&prometheus, &[("BatchJobFailed", "nightly db=shop failed")]);
        run("kill -9 $$");
        run("exit 3");
        let repeated = "nightly db=shop has failed 3 times running";
        awaits(
            &prometheus,
            &[
                ("BatchJobFailed", "nightly db=shop failed"),
                ("BatchJobFailedRepeatedly", repeated),
            ],
        );
        run("true");
        awaits(&prometheus, &[]);
    }
}
