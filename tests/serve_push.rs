//! Where `metricsjob serve` sends what it knows: reports of runs to gateways, its own metrics too, and both to its log.

use std::net::TcpListener;

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use crate::common::{Exporter, Port, Sandbox, Server, eventually, send};

/// With a label that the group of the server's own metrics has too.
const JOB: &str = "\
command = [\"sh\", \"-c\", 'echo \"rows 42\" >>\"$METRICSJOB_METRICS\"']
[grouping]
db = \"customers\"
instance = \"i\"
";

const QUICK: &str = "command = [\"true\"]\n";

/// Waits until the gateway shows this series with this value.
#[track_caller]
fn shows(gateway: &Server, series: &str, value: f64) {
    let mut shown = None;
    eventually(&format!("{series} {value}"), || {
        shown = gateway.samples().get(series).copied();
        shown == Some(value)
    });
}

/// How many reports wait in the outbox. Of those that a gateway needs only once, one may be left.
fn waiting(exporter: &Exporter) -> u32 {
    let text = exporter.metrics();
    let start = "metricsjob_outbox_entries{status=\"waiting\"} ";
    let mut values = text.lines().filter_map(|line| line.strip_prefix(start));
    values.next().unwrap().parse().unwrap()
}

#[test]
fn reports_arrive_at_the_gateway() {
    let gateway = Server::pushgateway(&[]);
    let flag = format!("--gateway={}", gateway.url());
    let exporter = Exporter::start(&[("j", JOB)], &[&flag]);
    exporter.run("j");
    let runs =
        "batch_job_runs_total{db=\"customers\",instance=\"i\",job=\"j\",outcome=\"success\"}";
    shows(&gateway, runs, 1.0);
    shows(
        &gateway,
        "rows{db=\"customers\",instance=\"i\",job=\"j\"}",
        42.0,
    );
    exporter.run_with("j", r#"{"grouping":{"db":"orders"}}"#);
    let orders = "batch_job_success{db=\"orders\",instance=\"i\",job=\"j\"}";
    shows(&gateway, orders, 1.0);
    exporter.run("j");
    shows(&gateway, runs, 2.0);
    eventually("the outbox is empty", || waiting(&exporter) == 0);
    let log = exporter.server.log();
    assert!(!log.contains("level=error"), "{log}");
}

#[test]
fn what_a_gateway_missed_comes_when_it_is_back() {
    let port = Port::reserve();
    let flag = format!("--gateway=http://{}", port.address());
    let exporter = Exporter::start(&[("a", QUICK), ("b", QUICK)], &[&flag]);
    for job in ["a", "b", "a"] {
        exporter.run(job);
    }
    eventually("the reports wait", || waiting(&exporter) >= 2);
    exporter.server.logs("reports wait in the outbox");
    let gateway = Server::pushgateway_on(&port);
    // By itself: no run has to bring it.
    let runs =
        |job| format!("batch_job_runs_total{{instance=\"\",job=\"{job}\",outcome=\"success\"}}");
    shows(&gateway, &runs("a"), 2.0);
    shows(&gateway, &runs("b"), 1.0);
    eventually("the outbox is empty", || waiting(&exporter) == 0);
    exporter.server.logs("reports are delivered again");
}

/// Of the gateways one refuses connections, and another takes them and is silent for ever.
#[test]
fn a_gateway_that_is_down_delays_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let closed = Port::reserve();
    let gateway = Server::pushgateway(&[]);
    let urls = [
        silent_url,
        format!("http://{}", closed.address()),
        gateway.url(),
    ];
    let mut flags = urls.map(|url| format!("--gateway={url}")).to_vec();
    // Longer than what is waited for here.
    flags.extend(["--push-deadline=10m".into(), "--push-timeout=10m".into()]);
    flags.extend([
        "--push-interval=200ms".into(),
        "--push-instance=here".into(),
    ]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let exporter = Exporter::start(&[("a", QUICK)], &flags);
    let runs = "batch_job_runs_total{instance=\"\",job=\"a\",outcome=\"success\"}";
    let own = "batch_job_runs_total{instance=\"here\",job=\"metricsjob\",job_name=\"a\",outcome=\"success\"}";
    for count in 1..=3 {
        exporter.run("a");
        shows(&gateway, runs, f64::from(count));
        shows(&gateway, own, f64::from(count));
    }
    assert!(waiting(&exporter) >= 2, "those of two gateways wait");
}

#[test]
fn the_servers_own_metrics_are_pushed() {
    let gateway = Server::pushgateway(&[]);
    let flag = format!("--gateway={}", gateway.url());
    let flags = [&flag, "--push-interval=1s", "--push-instance=here or there"];
    let mut exporter = Exporter::start(&[("j", JOB), ("quick", QUICK)], &flags);
    exporter.run("j");
    exporter.run("quick");
    let group = "instance=\"here or there\",job=\"metricsjob\"";
    let of_quick =
        format!("batch_job_runs_total{{{group},job_name=\"quick\",outcome=\"success\"}}");
    shows(&gateway, &of_quick, 1.0);
    let rows = format!("rows{{db=\"customers\",exported_instance=\"i\",{group},job_name=\"j\"}}");
    shows(&gateway, &rows, 42.0);
    let samples = gateway.samples();
    for start in [
        "metricsjob_build_info{instance=\"here or there\",job=\"metricsjob\",revision=",
        &format!("batch_job_run_duration_seconds_count{{{group},job_name=\"quick\"}}"),
        &format!("process_open_fds{{{group}}}"),
        &format!("metricsjob_uptime_seconds{{{group}}}"),
        &format!("system_memory_usage_bytes{{{group}}}"),
        &format!("http_requests_in_flight{{{group}}}"),
        // The reports of the jobs are beside it.
        "batch_job_success{instance=\"\",job=\"quick\"}",
        "rows{db=\"customers\",instance=\"i\",job=\"j\"}",
    ] {
        assert!(
            samples.keys().any(|series| series.starts_with(start)),
            "no {start}: {samples:#?}"
        );
    }
    let failure = format!("push_failure_time_seconds{{{group}}}");
    assert_eq!(samples.get(&failure), Some(&0.0));
    // Again and again.
    let uptime = format!("metricsjob_uptime_seconds{{{group}}}");
    let before = samples[&uptime];
    eventually("it is pushed again", || gateway.samples()[&uptime] > before);
    assert_eq!(exporter.terminate(), Some(0));
    let log = exporter.server.log();
    assert!(!log.contains("could not"), "{log}");
}

#[test]
fn the_last_push_has_all_that_the_end_brought() {
    let gateway = Server::pushgateway(&[]);
    let flag = format!("--gateway={}", gateway.url());
    let flags = [
        &flag,
        "--push-interval=1h",
        "--push-instance=here",
        "--grace=0s",
        "--log-window=1h",
    ];
    let long = "command = [\"sleep\", \"600\"]\n";
    let mut exporter = Exporter::start(&[("quick", QUICK), ("long", long)], &flags);
    exporter.run("quick");
    let begun = exporter.request("POST", "/api/v1/jobs/long/runs", &[], "");
    assert_eq!(begun.status, 202);
    eventually("it runs", || {
        let text = exporter.metrics();
        text.contains("\nbatch_job_running{job_name=\"long\"} 1\n")
    });
    let own = |series: &str| series.contains("job=\"metricsjob\"");
    assert!(!gateway.samples().keys().any(|series| own(series)));
    assert_eq!(exporter.terminate(), Some(0));
    let samples = gateway.samples();
    for (series, value) in [
        (
            "batch_job_runs_total{instance=\"here\",job=\"metricsjob\",job_name=\"quick\",outcome=\"success\"}",
            1.0,
        ),
        (
            "batch_job_runs_total{instance=\"here\",job=\"metricsjob\",job_name=\"long\",outcome=\"signal\"}",
            1.0,
        ),
        (
            "batch_job_running{instance=\"here\",job=\"metricsjob\",job_name=\"long\"}",
            0.0,
        ),
        (
            "batch_job_runs_total{instance=\"\",job=\"long\",outcome=\"signal\"}",
            1.0,
        ),
        (
            "metricsjob_outbox_entries{instance=\"here\",job=\"metricsjob\",status=\"waiting\"}",
            0.0,
        ),
    ] {
        assert_eq!(
            samples.get(series),
            Some(&value),
            "{series}: {samples:#?}\n{}",
            exporter.server.log()
        );
    }
    // So has the last window.
    let windows = windows(&exporter.server.log());
    assert_eq!(windows.len(), 1, "{windows:?}");
    assert!(windows[0].contains(" runs=2 "), "{windows:?}");
}

/// The lines of the log that are windows.
fn windows(log: &str) -> Vec<String> {
    let lines = log.lines();
    lines
        .filter(|line| line.contains("msg=metrics ") || line.contains("\"msg\":\"metrics\""))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_log_has_what_happened_lately() {
    let gateway = Server::pushgateway(&[]);
    let flag = format!("--gateway={}", gateway.url());
    let flags = [&flag, "--log-window=1h", "--log.format=json"];
    let flaky = "retries = 2\nbackoff = \"1ms\"\n\
                 command = [\"sh\", \"-c\", \"echo >>tries; test $(wc -l <tries) -eq 2\"]\n";
    let bad = "command = [\"false\"]\n";
    let jobs = [("quick", QUICK), ("flaky", flaky), ("bad", bad)];
    let mut exporter = Exporter::start(&jobs, &flags);
    for job in ["quick", "quick", "flaky", "bad"] {
        exporter.run(job);
    }
    eventually("all is delivered", || waiting(&exporter) == 0);
    assert_eq!(exporter.terminate(), Some(0));
    let windows = windows(&exporter.server.log());
    let [window] = &windows[..] else {
        panic!("{windows:?}")
    };
    let window: Json = serde_json::from_str(window).unwrap();
    assert_eq!(window["level"], "info");
    assert_eq!(window["runs"], 4);
    assert_eq!(window["retries"], 1);
    assert_eq!(window["pushes_sent"], 4);
    assert_eq!(window["pushes_failed"], 0);
    let expected = serde_json::json!({
        "bad": { "failure": 1 }, "flaky": { "success": 1 }, "quick": { "success": 2 },
    });
    let runs = &window["runs_by_job_and_outcome"];
    let runs: Json = serde_json::from_str(runs.as_str().unwrap()).unwrap();
    assert_eq!(runs, expected);
    let quantiles = ["p50", "p95", "p99"].map(|quantile| {
        let seconds = &window[&format!("run_duration_{quantile}_seconds")];
        seconds.as_f64().unwrap()
    });
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{quantiles:?}");
    assert!(window["window_seconds"].as_f64().unwrap() >= quantiles[0]);
}

#[test]
fn windows_follow_each_other() {
    for (flags, variables) in [
        (&["--log-window=1s"][..], &[][..]),
        (&["--log-window=1"], &[("ENABLE_METRICS", "false")]),
        (&[], &[("METRICS_INTERVAL_SECONDS", "1")]),
        (
            &[],
            &[
                ("METRICS_INTERVAL_SECONDS", "0.5"),
                ("ENABLE_METRICS", "yes"),
            ],
        ),
    ] {
        let mut sandbox = Sandbox::new();
        for (name, value) in variables {
            sandbox = sandbox.variable(name, *value);
        }
        let exporter = Exporter::start_in(sandbox, &[("quick", QUICK)], flags);
        exporter.run("quick");
        eventually("three windows", || {
            windows(&exporter.server.log()).len() >= 3
        });
        let windows = windows(&exporter.server.log());
        // Each run is in one of them.
        let with_run = windows.iter().filter(|line| line.contains(" runs=1 "));
        assert_eq!(with_run.count(), 1, "{windows:?}");
        let empty = windows.iter().find(|line| line.contains(" runs=0 "));
        let empty = empty.unwrap();
        assert!(!empty.contains("NaN"), "{empty}");
    }
}

#[test]
fn no_windows() {
    for (flags, variables) in [
        (&["--log-window=0"][..], &[][..]),
        (&["--log-window=0s"], &[("METRICS_INTERVAL_SECONDS", "1")]),
        (&[], &[("METRICS_INTERVAL_SECONDS", "0")]),
        (
            &[],
            &[
                ("METRICS_INTERVAL_SECONDS", "1"),
                ("ENABLE_METRICS", "false"),
            ],
        ),
    ] {
        let mut sandbox = Sandbox::new();
        for (name, value) in variables {
            sandbox = sandbox.variable(name, *value);
        }
        let mut exporter = Exporter::start_in(sandbox, &[("quick", QUICK)], flags);
        exporter.run("quick");
        // There would be one at the end.
        assert_eq!(exporter.terminate(), Some(0));
        assert_eq!(
            windows(&exporter.server.log()),
            [""; 0],
            "{flags:?} {variables:?}"
        );
    }
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    for (flags, name, value) in [
        ("", "METRICS_INTERVAL_SECONDS", "often"),
        ("", "METRICS_INTERVAL_SECONDS", "-1"),
        ("", "METRICS_INTERVAL_SECONDS", "NaN"),
        ("", "ENABLE_METRICS", "maybe"),
        ("--log-window=often", "A", ""),
        ("--log-window=-1", "A", ""),
        ("--push-interval=0s", "A", ""),
    ] {
        let sandbox = Sandbox::new().variable(name, value);
        let line = format!("serve --web.listen-address=127.0.0.1:0 {flags}");
        let refused = sandbox.run(&line);
        refused.code(2);
        let about = if flags.is_empty() { name } else { &flags[..12] };
        refused.err(about);
    }
}

/// A second signal waits for no gateway.
#[test]
fn a_second_signal_ends_it_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--gateway=http://{}", silent.local_addr().unwrap());
    let flags = [
        &flag,
        "--push-deadline=10m",
        "--push-timeout=10m",
        "--push-interval=1h",
        "--grace=10m",
    ];
    let long = "command = [\"sleep\", \"600\"]\n";
    let mut exporter = Exporter::start(&[("quick", QUICK), ("long", long)], &flags);
    exporter.run("quick");
    exporter.request("POST", "/api/v1/jobs/long/runs", &[], "");
    eventually("it runs", || {
        let text = exporter.metrics();
        text.contains("\nbatch_job_running{job_name=\"long\"} 1\n")
    });
    send(exporter.server.pid(), Signal::SIGTERM);
    exporter.server.logs("msg=ending");
    send(exporter.server.pid(), Signal::SIGTERM);
    let ended = std::thread::spawn(move || {
        let code = exporter.server.wait();
        (code, exporter)
    });
    eventually("the server has ended", || ended.is_finished());
    let (code, exporter) = ended.join().unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(exporter.sandbox.outbox().len(), 2);
}
